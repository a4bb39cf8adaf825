"""Providers' events through the gate and the worker: verified, stored once, applied in any order, never lost."""

from __future__ import annotations

import json
import random
import secrets
from typing import Any
from uuid import uuid4

import pytest
import requests

from core.domain.identifiers import new_id, public_id
from core.orchestration import accounts, execute, inbox, jobs
from core.persistence.database import Scope
from tests.orchestration import by_hand
from tests.support.world import World

#: Longer than an index takes, and not to be squeezed.
LONG = random.Random(5).randbytes(4000).hex()
NEEDS_3DS = {"type": "token", "token": "pm_card_authenticationRequired"}


@pytest.fixture(autouse=True, scope="module")
def webhooks_by_hand(world: World) -> None:
    by_hand.keep_webhooks_back(world)


def act(payment: Any, action: str) -> None:
    page = payment["next_action"]["url"]
    requests.post(page, data={"action": action}, allow_redirects=False, timeout=10)


def rows(world: World) -> dict[str, int]:
    return {**world.count(), "inbox_events": len(by_hand.inbox(world))}


def forged(world: World, account: str = "stripe") -> int:
    query = "SELECT coalesce(sum(count), 0) AS n FROM forged_webhooks WHERE provider_account_id = :id"
    return int(world.one(query, id=world.accounts[account])["n"])


def some_event() -> bytes:
    return by_hand.made_up_event("payment_intent.succeeded", {"id": "pi_1"}, f"evt_{secrets.token_hex(8)}")


class TestAtTheDoor:
    def test_forged_old_and_future_ones_are_only_counted(self, world: World) -> None:
        body, own = some_event(), world.secrets["stripe.webhook"]
        other = world.secrets["paystack.webhook"]
        bad = [
            {"Stripe-Signature": ""},
            {"Stripe-Signature": by_hand.stripe_signature(body, other)},
            {"Stripe-Signature": by_hand.stripe_signature(body + b" ", own)},
            {"Stripe-Signature": by_hand.stripe_signature(body, own, age=301)},
            {"Stripe-Signature": by_hand.stripe_signature(body, own, age=-310)},
            {"X-Paystack-Signature": by_hand.signature(world, body, "paystack")["X-Paystack-Signature"]},
        ]
        before, counted = rows(world), forged(world)
        for headers in bad:
            answer = by_hand.deliver(world, body, **headers)
            assert (answer.status_code, answer.json()["code"]) == (401, "webhook_forged"), headers
        assert rows(world) == before
        assert forged(world) == counted + len(bad)
        for age in (290, -290):
            fresh = some_event()
            in_time = {"Stripe-Signature": by_hand.stripe_signature(fresh, own, age=age)}
            assert by_hand.deliver(world, fresh, **in_time).status_code == 200

    def test_an_unknown_address_is_404_and_not_even_counted(self, world: World) -> None:
        body = some_event()
        before, counted = rows(world), forged(world)
        own = public_id("provider_account", world.accounts["stripe"])
        for path in (f"stripe/{public_id('provider_account', new_id())}", f"paystack/{own}", f"acme/{own}", "stripe/x"):
            answer = requests.post(
                f"{world.url}/webhooks/{path}", data=body, headers=by_hand.signature(world, body), timeout=10
            )
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), path
        assert (rows(world), forged(world)) == (before, counted)

    def test_the_same_event_again_is_200_and_nothing_more(self, world: World) -> None:
        body = some_event()
        assert by_hand.deliver(world, body).status_code == 200
        world.work()
        before = rows(world)
        assert by_hand.deliver(world, body).status_code == 200
        assert (rows(world), world.work()) == (before, 0)

    def test_what_was_answered_200_is_kept_while_no_worker_is_there(self, world: World) -> None:
        payment = world.pay(payment_method=NEEDS_3DS)
        act(payment, "authorize")
        (body,) = by_hand.stripe_events(world, by_hand.intent_of(world, payment), "payment_intent.succeeded")
        assert by_hand.deliver(world, body).status_code == 200
        stored = by_hand.inbox(world)[-1]
        assert (stored["status"], stored["provider_event_id"]) == ("received", json.loads(body)["id"])
        world.advance(3600)
        assert world.payment(payment["id"])["status"] == "requires_action"
        world.work()
        assert world.payment(payment["id"])["status"] == "succeeded"
        assert [row["status"] for row in by_hand.inbox(world, payment)] == ["applied"]


class TestUnreadable:
    @pytest.mark.parametrize(
        ("account", "body"),
        [
            ("stripe", b"not json at all"),
            ("stripe", b""),
            ("stripe", b"[1, 2]"),
            ("stripe", b'"text"'),
            ("stripe", b"\xff\xfe\x00"),
            ("stripe", b"[" * 200_000),
            ("paystack", b"not json at all"),
            ("paystack", b"null"),
            ("paystack", b'{"a":' * 200_000),
        ],
        ids=lambda value: value if isinstance(value, str) else repr(value[:12]),
    )
    def test_is_stored_answered_and_ignored_with_the_reason(self, world: World, account: str, body: bytes) -> None:
        assert by_hand.deliver(world, body, account).status_code == 200
        world.work()
        stored = by_hand.inbox(world)[-1]
        assert (stored["kind"], stored["status"]) == ("unreadable", "ignored")
        assert stored["reason"] == "the body is not JSON"
        assert stored["processed_at"] is not None

    @pytest.mark.parametrize(
        ("kind", "reason"),
        [
            ("customer.created", "our customer is kept here; the object at Stripe only follows it"),
            ("no.such.kind", "kind not handled"),
        ],
    )
    def test_other_kinds_are_ignored_with_the_reason(self, world: World, kind: str, reason: str) -> None:
        by_hand.deliver_all(world, [by_hand.made_up_event(kind, {"id": "x_1"}, f"evt_{secrets.token_hex(8)}")])
        stored = by_hand.inbox(world)[-1]
        assert (stored["kind"], stored["status"], stored["reason"]) == (kind, "ignored", reason)

    @pytest.mark.parametrize("text", ["nul\x00byte", "half\ud800pair", LONG], ids=["nul", "half a pair", "long"])
    def test_odd_words_under_a_valid_signature_are_stored_once_too(self, world: World, text: str) -> None:
        body = json.dumps({"id": f"evt_{uuid4().hex}{text}", "type": text, "data": {"object": {"id": text}}}).encode()
        before = len(by_hand.inbox(world))
        assert [by_hand.deliver(world, body).status_code for _ in range(2)] == [200, 200]
        world.work()
        assert [row["status"] for row in by_hand.inbox(world)[before:]] == ["ignored"]


class TestOrder:
    def test_old_news_after_success_changes_nothing(self, world: World) -> None:
        payment = world.pay(payment_method=NEEDS_3DS)
        act(payment, "authorize")
        kinds = ("payment_intent.succeeded", "payment_intent.requires_action", "payment_intent.created")
        by_hand.deliver_all(world, by_hand.stripe_events(world, by_hand.intent_of(world, payment), *kinds))
        done = world.payment(payment["id"])
        assert (done["status"], done["amount_received"], done["next_action"]) == ("succeeded", 5000, None)
        reasons = [(row["status"], row["reason"]) for row in by_hand.inbox(world, payment)]
        put_aside = ("ignored", "the answer to our own request says more")
        assert reasons == [("applied", "applied"), ("applied", "older than what is known"), put_aside]
        assert by_hand.told(world, payment) == ["payment.processing", "payment.requires_action", "payment.succeeded"]

    def test_a_refund_told_before_the_success_it_belongs_to(self, world: World) -> None:
        payment = world.pay(payment_method=NEEDS_3DS)
        act(payment, "authorize")
        intent = by_hand.intent_of(world, payment)
        by_hand.client(world).v1.refunds.create({"payment_intent": intent, "amount": 700})
        kinds = ("charge.refunded", "refund.created", "payment_intent.succeeded")
        by_hand.deliver_all(world, by_hand.stripe_events(world, intent, *kinds))
        done = world.payment(payment["id"])
        assert (done["status"], done["amount_captured"], done["amount_refunded"]) == ("succeeded", 5000, 700)

    @pytest.mark.parametrize("turn", [1, -1])
    def test_the_end_is_the_same_in_either_order(self, world: World, turn: int) -> None:
        payment = world.pay(capture="manual")
        world.post(f"/v1/payments/{payment['id']}/capture", {"amount": 3000})
        world.work()
        refund = world.post(f"/v1/payments/{payment['id']}/refunds", {"amount": 1000})
        world.work()
        before = (world.payment(payment["id"]), by_hand.told(world, payment))
        by_hand.deliver_all(world, by_hand.stripe_events(world, payment["id"])[::turn])
        assert (world.payment(payment["id"]), by_hand.told(world, payment)) == before
        assert world.get(f"/v1/refunds/{refund.json()['refund']['id']}").json()["status"] == "succeeded"
        assert by_hand.findings(world, payment) == []

    def test_a_refund_that_fails_days_later(self, world: World) -> None:
        payment = world.pay(payment_method={"type": "token", "token": "pm_card_refundFail"})
        refund = world.post(f"/v1/payments/{payment['id']}/refunds", {"amount": 5000}).json()["refund"]["id"]
        world.work()
        assert world.payment(payment["id"])["amount_refunded"] == 5000
        world.advance(3 * 86400)
        failed = by_hand.stripe_events(world, payment["id"], "refund.failed")
        by_hand.deliver_all(world, failed * 2)
        assert world.get(f"/v1/refunds/{refund}").json()["status"] == "failed"
        assert world.payment(payment["id"])["amount_refunded"] == 0
        again = world.post(f"/v1/payments/{payment['id']}/refunds", {"amount": 5000})
        assert again.status_code == 202, "what came back can be given back anew"

    def test_money_after_the_end_is_asked_about_before_it_is_believed(self, world: World) -> None:
        payment = world.pay(payment_method=NEEDS_3DS)
        intent = by_hand.intent_of(world, payment)
        world.post(f"/v1/payments/{payment['id']}/cancel")
        world.work()
        mark = {"tollgate_transaction": public_id("transaction", world.transactions(payment["id"])[0]["id"])}
        claims = {"id": intent, "status": "succeeded", "amount": 5000, "amount_received": 5000, "currency": "usd"}
        late = by_hand.made_up_event("payment_intent.succeeded", {**claims, "metadata": mark}, f"evt_{uuid4().hex}")
        by_hand.deliver_all(world, [late])
        assert by_hand.inbox(world, payment)[-1]["reason"] == "the provider is asked whether this is still so"
        seen = world.payment(payment["id"])
        assert (seen["status"], seen["amount_received"]) == ("canceled", 0)
        assert by_hand.findings(world, payment) == []


class TestEarly:
    def test_the_event_comes_while_our_own_call_is_under_way(self, world: World) -> None:
        world.work()
        payment = world.create()
        (job,) = jobs.claim(world.worker.database, "payments", 1, "slow", 60.0)
        with world.worker.transaction(job.scope) as connection:
            locked = execute.rows.lock_payment(connection, job.payment)
            step = execute.MONEY[job.kind](world.worker, connection, job, locked)
        assert step is not None
        answer = execute.take(world.worker, job, step)

        by_hand.deliver_all(world, by_hand.stripe_events(world, payment["id"], "payment_intent.succeeded"))
        assert world.payment(payment["id"])["status"] == "succeeded"
        with world.worker.transaction(job.scope) as connection:
            execute.settle.settle(world.worker, connection, job, step, answer)

        assert by_hand.told(world, payment) == ["payment.processing", "payment.succeeded"]
        done = world.payment(payment["id"])
        assert (done["amount_captured"], done["amount_received"]) == (5000, 5000)
        assert world.one("SELECT status FROM jobs WHERE id = :id", id=job.id)["status"] == "succeeded"

    def test_one_about_an_object_no_answer_has_named_yet_waits_for_it(self, world: World) -> None:
        with world.fault("stripe", operation="payment_intents.create", effect="reset_after"):
            payment = world.create()
            world.work()
        (paid,) = by_hand.stripe_events(world, payment["id"], "payment_intent.succeeded")
        intent = json.loads(paid)["data"]["object"]["id"]
        refund = by_hand.client(world).v1.refunds.create({"payment_intent": intent, "amount": 700})
        by_hand.deliver_all(world, by_hand.stripe_events(world, refund.id, "refund.created"))
        stored = by_hand.inbox(world)[-1]
        assert (stored["status"], stored["reason"]) == ("parked", "no transaction of ours matches yet")
        assert stored["processed_at"] is None
        world.advance(inbox.PARKED_DELAYS[0] + 1)
        world.work()
        done = world.payment(payment["id"])
        assert (done["status"], done["amount_captured"], done["amount_refunded"]) == ("succeeded", 5000, 700)
        assert [row["status"] for row in by_hand.inbox(world, payment)] == ["applied"]


class TestForeign:
    def test_an_object_that_is_not_ours_is_parked_then_called_foreign(self, world: World) -> None:
        paid = {"amount": 900, "currency": "usd", "confirm": True, "payment_method": "pm_card_visa"}
        never = {"automatic_payment_methods": {"enabled": True, "allow_redirects": "never"}}
        intent = by_hand.client(world).v1.payment_intents.create({**paid, **never})  # type: ignore[typeddict-item]
        before = world.count()
        by_hand.deliver_all(world, by_hand.stripe_events(world, intent.id, "payment_intent.succeeded"))
        for delay in inbox.PARKED_DELAYS:
            stored = by_hand.inbox(world)[-1]
            assert (stored["status"], stored["reason"]) == ("parked", "no transaction of ours matches yet")
            world.advance(delay + 1)
            world.work()
        stored = by_hand.inbox(world)[-1]
        assert (stored["status"], stored["reason"]) == ("ignored", "foreign: about an object that is not ours")
        assert world.rows("SELECT id FROM findings WHERE inbox_id = :id", id=stored["id"]) == []
        assert {**world.count(), "jobs": before["jobs"]} == before

    def test_one_that_carries_our_mark_and_is_unknown_is_a_finding(self, world: World) -> None:
        mark = public_id("transaction", new_id())
        body = {"id": "pi_lost", "status": "succeeded", "amount": 1, "metadata": {"tollgate_transaction": mark}}
        by_hand.deliver_all(world, [by_hand.made_up_event("payment_intent.succeeded", body, f"evt_{uuid4().hex}")])
        for delay in inbox.PARKED_DELAYS:
            world.advance(delay + 1)
            world.work()
        stored = by_hand.inbox(world)[-1]
        found = world.one("SELECT kind, details FROM findings WHERE inbox_id = :id", id=stored["id"])
        assert (stored["status"], found["kind"], found["details"]["mark"]) == ("ignored", "unmatched_event", mark)

    @pytest.mark.parametrize("whose", ["another merchant", "the same merchant"])
    def test_another_accounts_event_cannot_speak_of_this_ones_payment(self, world: World, whose: str) -> None:
        scope = world.scope
        if whose == "another merchant":
            scope = Scope(accounts.create_merchant(world.admin, "Other shop"), "test")
        name = f"stripe.{uuid4().hex}"
        world.add_account("stripe", scope, name)
        payment = world.pay(payment_method=NEEDS_3DS)
        act(payment, "authorize")
        intent = by_hand.intent_of(world, payment)
        (body,) = by_hand.stripe_events(world, intent, "payment_intent.succeeded")
        assert by_hand.deliver(world, body, name).status_code == 200
        world.work()
        stored = by_hand.inbox(world)[-1]
        assert (stored["merchant_id"], stored["status"], stored["payment_id"]) == (scope.merchant_id, "parked", None)
        assert world.payment(payment["id"])["status"] == "requires_action"
