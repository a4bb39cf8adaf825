"""Refunds under attack: late and contradictory news, an answer that never comes, one that waits behind another."""

from __future__ import annotations

import json
import secrets
from typing import Any

import pytest
import requests

from core.domain.identifiers import parse_id, public_id
from core.domain.outcomes import Decline, DeclineCategory, Declined, Facts, LookUp
from core.orchestration import announce, jobs
from core.persistence.queries import payments as rows
from core.providers.base import LookUpRequest
from core.providers.paystack import PaystackProvider
from tests.orchestration import by_hand
from tests.support.waiting import wait_until
from tests.support.world import World

GOOD_CARD = "4084084084084081"
#: Long enough for a refund to be absent from Paystack's list twice, far enough apart.
UNTIL_REVIEW = (7, 60, 700, 700)


def paid_at_paystack(world: World) -> Any:
    body = world.redirect_body(currency="NGN", amount=500000, provider="paystack")
    answer = world.post("/v1/payments", body)
    world.work()
    payment = world.payment(answer.json()["payment"]["id"])
    data = {"action": "pay", "card": GOOD_CARD}
    requests.post(payment["next_action"]["url"], data=data, allow_redirects=False, timeout=10)
    world.settle()
    return world.payment(payment["id"])


def ask_refund(world: World, payment: Any, amount: int) -> Any:
    answer = world.post(f"/v1/payments/{payment['id']}/refunds", {"amount": amount})
    assert answer.status_code == 202, answer.text
    return answer.json()


def refund_status(world: World, asked: Any) -> Any:
    return world.get(f"/v1/refunds/{asked['refund']['id']}").json()["status"]


def die_after_announcing(world: World) -> jobs.Job:
    """The worker writes down that it will send the refund, and dies before anything leaves."""
    (job,) = jobs.claim(world.worker.database, "payments", 5, "dies", 5.0)
    with world.worker.transaction(job.scope) as connection:
        announce.refund(world.worker, connection, job, rows.lock_payment(connection, job.payment))
    return job


def pass_by(world: World, *seconds: float) -> None:
    for one in seconds:
        world.advance(one)
        world.work(("payments",))


def job_row(world: World, job: jobs.Job) -> Any:
    return world.one("SELECT * FROM jobs WHERE id = :id", id=job.id)


class TestStripe:
    @pytest.fixture(autouse=True)
    def webhooks_by_hand(self, world: World) -> None:
        by_hand.keep_webhooks_back(world, "stripe")

    def test_a_success_told_late_does_not_revive_a_refund_that_failed(self, world: World) -> None:
        payment = world.pay()
        with world.fault("stripe", operation="refunds.create", effect="timeout_after"):
            asked = ask_refund(world, payment, 1000)
            world.work(("payments",))
        charge, refund = world.transactions(payment["id"])
        body = {
            "id": f"re_{secrets.token_hex(12)}",
            "object": "refund",
            "amount": 1000,
            "currency": "usd",
            "payment_intent": charge["provider_id"],
            "balance_transaction": "txn_1",
            "metadata": {"tollgate_transaction": public_id("transaction", refund["id"])},
        }
        failed = {**body, "status": "failed", "failure_reason": "declined"}
        self._tell(world, "refund.failed", failed)
        assert refund_status(world, asked) == "failed"
        self._tell(world, "refund.updated", {**body, "status": "succeeded"})
        self._tell(world, "refund.updated", failed)
        assert world.payment(payment["id"])["amount_refunded"] == 0

    def _tell(self, world: World, kind: str, body: Any) -> None:
        event = by_hand.made_up_event(kind, body, f"evt_{secrets.token_hex(12)}")
        assert by_hand.deliver(world, event).status_code == 200
        world.work(("webhooks",))

    def test_money_of_a_contradiction_is_given_back_or_refused_but_never_left_hanging(self, world: World) -> None:
        with world.fault("stripe", operation="payment_intents.create", effect="wrong_amount"):
            payment = world.create()
            world.work(("payments",))
        answer = world.post(f"/v1/payments/{payment['id']}/refunds")
        assert (answer.status_code, answer.json()["code"]) == (409, "nothing_to_refund")
        assert [row["kind"] for row in world.transactions(payment["id"])] == ["charge"]


class TestPaystackInReview:
    def test_asking_again_never_sends_it_again(self, world: World) -> None:
        """Paystack knows no idempotency keys for refunds: a second send is a second refund."""
        payment = paid_at_paystack(world)
        ask_refund(world, payment, 100000)
        job = die_after_announcing(world)
        pass_by(world, *UNTIL_REVIEW)
        assert job_row(world, job)["status"] == "needs_review"
        before = len(world.ledger("paystack")["refunds"])
        with world.owner.begin() as connection:
            again = "UPDATE jobs SET status = 'queued', run_after = app_now() WHERE id = %s"
            connection.exec_driver_sql(again, (str(job.id),))
        world.work(("payments",))
        assert world.transactions(payment["id"])[-1]["send_count"] == 1
        assert len(world.ledger("paystack")["refunds"]) == before

    def test_another_one_asked_afterwards_is_refused(self, world: World) -> None:
        payment = paid_at_paystack(world)
        ask_refund(world, payment, 100000)
        job = die_after_announcing(world)
        pass_by(world, *UNTIL_REVIEW)
        assert job_row(world, job)["status"] == "needs_review"
        before = world.count()
        answer = world.post(f"/v1/payments/{payment['id']}/refunds", {"amount": 50000})
        assert (answer.status_code, answer.json()["code"]) == (409, "outcome_unknown")
        assert world.count() == before

    def test_another_one_asked_before_fails_and_gives_its_reservation_back(self, world: World) -> None:
        """Two refunds of unknown outcome could not be told apart, and nobody waits for a person unseen."""
        payment = paid_at_paystack(world)
        ask_refund(world, payment, 100000)
        job = die_after_announcing(world)
        behind = ask_refund(world, payment, 50000)
        assert self._reserved(world, job) == 150000
        pass_by(world, *UNTIL_REVIEW, *[120] * 3)
        assert job_row(world, job)["status"] == "needs_review"
        assert refund_status(world, behind) == "failed"
        assert world.get(behind["job"]["url"]).json()["status"] == "succeeded"
        assert self._reserved(world, job) == 100000
        sent = [row["amount"] for row in world.transactions(payment["id"]) if row["kind"] == "refund"]
        assert sent == [100000], "what failed was never sent"

    def _reserved(self, world: World, job: jobs.Job) -> Any:
        return world.one("SELECT refund_reserved FROM payments WHERE id = :id", id=job.payment)["refund_reserved"]


def test_a_paystack_refund_that_fails_days_later_is_taken_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    payment = paid_at_paystack(world)
    asked = ask_refund(world, payment, 100000)

    def succeeded() -> bool:
        world.settle()
        return bool(refund_status(world, asked) == "succeeded")

    wait_until(succeeded, "the refund")

    def look_up(_: PaystackProvider, request: LookUpRequest) -> LookUp:
        return Declined(Facts(), Decline("refund_failed", DeclineCategory.UNKNOWN, "the bank sent it back"))

    monkeypatch.setattr(PaystackProvider, "look_up", look_up)
    charge, refund = world.transactions(payment["id"])
    told = {
        "status": "failed",
        "transaction_reference": charge["provider_id"],
        "amount": 100000,
        "currency": "NGN",
        "merchant_note": f"Tollgate {public_id('transaction', refund['id'])}",
    }
    by_hand.deliver_all(world, [json.dumps({"event": "refund.failed", "data": told}).encode()], "paystack")
    assert refund_status(world, asked) == "failed"
    assert world.payment(payment["id"])["amount_refunded"] == 0


def test_what_went_back_although_we_called_it_failed_is_not_given_back_again(world: World) -> None:
    payment = world.pay()
    with world.owner.begin() as connection:
        statement = "UPDATE payments SET amount_refunded = 1000 WHERE id = %s"
        connection.exec_driver_sql(statement, (str(parse_id("payment", payment["id"])),))
    answer = world.post(f"/v1/payments/{payment['id']}/refunds", {"amount": 5000})
    assert (answer.status_code, answer.json()["code"]) == (422, "amount_too_large")
    assert world.post(f"/v1/payments/{payment['id']}/refunds", {"amount": 4000}).status_code == 202
