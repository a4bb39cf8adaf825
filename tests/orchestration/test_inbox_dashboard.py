"""What is done at the provider's own dashboard, without us: it is taken over, and a finding says so."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests

from core.domain.identifiers import parse_id
from tests.orchestration import by_hand
from tests.support.world import World


@pytest.fixture(autouse=True, scope="module")
def webhooks_by_hand(world: World) -> None:
    by_hand.keep_webhooks_back(world)


def refunds(world: World, payment: Any) -> list[tuple[str, str, int]]:
    found = world.rows(
        "SELECT * FROM refunds WHERE payment_id = :id ORDER BY id", id=parse_id("payment", payment["id"])
    )
    return [(row["origin"], row["status"], row["amount"]) for row in found]


class TestRefund:
    def test_appears_as_the_providers_with_a_finding(self, world: World) -> None:
        payment = world.pay()
        intent = by_hand.intent_of(world, payment)
        made = by_hand.client(world).v1.refunds.create({"payment_intent": intent, "amount": 700})
        events = by_hand.stripe_events(world, made.id)
        by_hand.deliver_all(world, events * 2)
        assert refunds(world, payment) == [("provider", "succeeded", 700)]
        assert world.payment(payment["id"])["amount_refunded"] == 700
        assert by_hand.findings(world, payment) == ["refund_not_ours"]
        found = world.one("SELECT * FROM findings WHERE payment_id = :id", id=parse_id("payment", payment["id"]))
        assert (found["amount"], found["currency"]) == (700, "USD")
        assert found["evidence"]["theirs"] == {"refund": made.id, "amount": 700, "currency": "USD"}
        assert found["evidence"]["ours"]["amount_captured"] == 5000
        assert by_hand.told(world, payment)[2:] == ["refund.processing", "refund.succeeded"]
        shown = world.get("/v1/refunds", params={"payment": payment["id"]}).json()["data"]
        assert [(one["origin"], one["amount"]) for one in shown] == [("provider", 700)]

    def test_leaves_that_much_less_to_give_back(self, world: World) -> None:
        payment = world.pay()
        path = f"/v1/payments/{payment['id']}/refunds"
        made = by_hand.client(world).v1.refunds.create(
            {"payment_intent": by_hand.intent_of(world, payment), "amount": 4000}
        )
        by_hand.deliver_all(world, by_hand.stripe_events(world, made.id))
        too_much = world.post(path, {"amount": 1001})
        assert (too_much.status_code, too_much.json()["code"]) == (422, "amount_too_large")
        assert world.post(path).json()["refund"]["amount"] == 1000
        world.work()
        assert world.payment(payment["id"])["amount_refunded"] == 5000
        assert world.charges("stripe", payment["id"])[0]["amount_refunded"] == 5000

    def test_that_meets_one_of_ours_leaves_neither_out(self, world: World) -> None:
        """Both asked for before either was told: ours is refused by the provider, and its sum freed again."""
        payment = world.pay()
        ours = world.post(f"/v1/payments/{payment['id']}/refunds", {"amount": 3000}).json()["refund"]["id"]
        made = by_hand.client(world).v1.refunds.create(
            {"payment_intent": by_hand.intent_of(world, payment), "amount": 4000}
        )
        world.work()
        by_hand.deliver_all(world, by_hand.stripe_events(world, made.id))
        assert world.get(f"/v1/refunds/{ours}").json()["status"] == "failed"
        assert sorted(refunds(world, payment)) == [("api", "failed", 3000), ("provider", "succeeded", 4000)]
        query = "SELECT amount_refunded, refund_reserved FROM payments WHERE id = :id"
        stored = world.one(query, id=parse_id("payment", payment["id"]))
        assert (stored["amount_refunded"], stored["refund_reserved"]) == (4000, 0)


class TestHold:
    @pytest.mark.parametrize(("asked", "taken"), [({}, 5000), ({"amount_to_capture": 3000}, 3000)])
    def test_captured_there(self, world: World, asked: Any, taken: int) -> None:
        payment = world.pay(capture="manual")
        intent = by_hand.intent_of(world, payment)
        by_hand.client(world).v1.payment_intents.capture(intent, asked)
        by_hand.deliver_all(world, by_hand.stripe_events(world, intent))
        done = world.payment(payment["id"])
        assert (done["status"], done["amount_captured"], done["amount_received"]) == ("succeeded", taken, taken)
        assert (done["amount_authorized"], done["amount_refunded"]) == (5000, 0)
        assert by_hand.findings(world, payment) == ["operation_not_ours"]
        assert by_hand.told(world, payment)[-1] == "payment.succeeded"
        # And it can be given back through us.
        assert world.post(f"/v1/payments/{payment['id']}/refunds").json()["refund"]["amount"] == taken
        world.work()
        assert world.charges("stripe", payment["id"])[0]["amount_refunded"] == taken

    def test_released_there(self, world: World) -> None:
        payment = world.pay(capture="manual")
        intent = by_hand.intent_of(world, payment)
        by_hand.client(world).v1.payment_intents.cancel(intent)
        by_hand.deliver_all(world, by_hand.stripe_events(world, intent) * 2)
        done = world.payment(payment["id"])
        assert (done["status"], done["amount_captured"], done["amount_refunded"]) == ("canceled", 0, 0)
        assert by_hand.findings(world, payment) == ["operation_not_ours"]
        assert by_hand.told(world, payment)[-1] == "payment.canceled"
        late = world.post(f"/v1/payments/{payment['id']}/capture")
        assert late.status_code == 409

    @pytest.mark.parametrize("operation", ["capture", "cancel"])
    def test_found_by_asking_when_no_event_comes(self, world: World, operation: str) -> None:
        payment = world.pay(capture="manual")
        intents = by_hand.client(world).v1.payment_intents
        getattr(intents, operation)(by_hand.intent_of(world, payment))
        world.post(f"/v1/payments/{payment['id']}/sync")
        world.work()
        expected = {"capture": ("succeeded", 5000), "cancel": ("canceled", 0)}[operation]
        done = world.payment(payment["id"])
        assert (done["status"], done["amount_captured"]) == expected

    def test_our_capture_comes_too_late(self, world: World) -> None:
        payment = world.pay(capture="manual")
        job = world.post(f"/v1/payments/{payment['id']}/capture").json()["job"]
        intent = by_hand.intent_of(world, payment)
        by_hand.client(world).v1.payment_intents.cancel(intent)
        world.work()
        by_hand.deliver_all(world, by_hand.stripe_events(world, intent))
        assert world.payment(payment["id"])["status"] == "canceled"
        assert world.get(job["url"]).json()["status"] in ("succeeded", "failed")
        assert world.charges("stripe", payment["id"])[0]["status"] == "voided"


def test_an_unfinished_authentication_ended_there(world: World) -> None:
    payment = world.pay(payment_method={"type": "token", "token": "pm_card_authenticationRequired"})
    intent = by_hand.intent_of(world, payment)
    by_hand.client(world).v1.payment_intents.cancel(intent)
    by_hand.deliver_all(world, by_hand.stripe_events(world, intent))
    done = world.payment(payment["id"])
    assert (done["status"], done["next_action"]) == ("canceled", None)
    assert [row["status"] for row in world.transactions(payment["id"])] == ["canceled"]


class TestPaystack:
    def _paid(self, world: World) -> Any:
        body = world.redirect_body(currency="NGN", amount=500000, provider="paystack")
        created = world.post("/v1/payments", body).json()["payment"]
        world.work()
        payment = world.payment(created["id"])
        card = {"action": "pay", "card": "4084084084084081"}
        requests.post(payment["next_action"]["url"], data=card, allow_redirects=False, timeout=10)
        return payment

    def test_an_event_moves_no_money_but_makes_us_ask(self, world: World) -> None:
        payment = self._paid(world)
        (sent,) = world.transactions(payment["id"])
        claims = {"id": 1, "reference": sent["provider_id"], "amount": 999, "status": "failed", "currency": "GHS"}
        body = _event("charge.success", claims)
        assert by_hand.deliver(world, body, "paystack").status_code == 200
        assert by_hand.deliver(world, body, "paystack").status_code == 200
        world.work()
        done = world.payment(payment["id"])
        assert (done["status"], done["amount_captured"], done["currency"]) == ("succeeded", 500000, "NGN")
        assert [(row["status"], row["reason"]) for row in by_hand.inbox(world, payment)] == [
            ("applied", "the provider is asked")
        ]

    def test_many_events_are_one_question(self, world: World) -> None:
        payment = self._paid(world)
        (sent,) = world.transactions(payment["id"])
        for number in range(5):
            body = _event("charge.success", {"id": number, "reference": sent["provider_id"]})
            assert by_hand.deliver(world, body, "paystack").status_code == 200
        world.work(("webhooks",))
        query = "SELECT count(*) AS n FROM jobs WHERE kind = 'sync_payment' AND payment_id = :id"
        assert world.one(query, id=parse_id("payment", payment["id"]))["n"] == 1
        world.work()
        assert world.payment(payment["id"])["status"] == "succeeded"

    def test_a_claim_about_an_unpaid_page_is_not_believed(self, world: World) -> None:
        body = world.redirect_body(currency="NGN", amount=500000, provider="paystack")
        payment = world.post("/v1/payments", body).json()["payment"]
        world.work()
        (sent,) = world.transactions(payment["id"])
        claims = {"id": 7, "reference": sent["provider_id"], "amount": 500000, "status": "success", "currency": "NGN"}
        by_hand.deliver_all(world, [_event("charge.success", claims)], "paystack")
        assert world.payment(payment["id"])["status"] == "requires_action"
        assert world.payment(payment["id"])["amount_received"] == 0


def _event(kind: str, data: Any) -> bytes:
    return json.dumps({"event": kind, "data": data}).encode()
