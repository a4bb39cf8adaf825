"""The payment road at Paystack: a redirect paid on its page, refunds that have no ids, pages nobody finishes."""

from __future__ import annotations

from typing import Any

import requests

from core.orchestration import scheduled
from tests.support.waiting import wait_until
from tests.support.world import RETURN_URL, World

GOOD_CARD = "4084084084084081"


def start(world: World, **changes: Any) -> Any:
    body = world.redirect_body(currency="NGN", amount=500000, provider="paystack", **changes)
    answer = world.post("/v1/payments", body)
    assert answer.status_code == 202, answer.text
    world.work()
    return world.payment(answer.json()["payment"]["id"])


def pay_page(payment: Any, card: str = GOOD_CARD) -> requests.Response:
    url = payment["next_action"]["url"]
    return requests.post(url, data={"action": "pay", "card": card}, allow_redirects=False, timeout=10)


def paid(world: World, **changes: Any) -> Any:
    payment = start(world, **changes)
    assert pay_page(payment).status_code == 303
    world.settle()
    return world.payment(payment["id"])


def test_naira_goes_to_paystack_and_is_paid_on_its_page(world: World) -> None:
    payment = start(world)
    assert (payment["status"], payment["provider"]) == ("requires_action", "paystack")
    back = pay_page(payment)
    assert back.headers["Location"].startswith(RETURN_URL)
    world.settle()

    done = world.payment(payment["id"])
    assert (done["status"], done["amount_captured"]) == ("succeeded", 500000)
    assert [one["status"] for one in world.charges("paystack", payment["id"])] == ["succeeded"]
    fee = world.transactions(payment["id"])[0]["fee"]
    assert fee is not None
    assert fee > 0


def test_a_failed_card_leaves_the_page_open(world: World) -> None:
    payment = start(world)
    pay_page(payment, "4084080000005408")
    world.post(f"/v1/payments/{payment['id']}/sync")
    world.settle()
    assert world.payment(payment["id"])["status"] == "requires_action"
    pay_page(payment)
    world.settle()
    assert world.payment(payment["id"])["status"] == "succeeded"


def test_two_equal_partial_refunds_are_two(world: World) -> None:
    payment = paid(world)
    refunds = []
    for _ in range(2):
        answer = world.post(f"/v1/payments/{payment['id']}/refunds", {"amount": 100000})
        assert answer.status_code == 202, answer.text
        refunds.append(answer.json()["refund"]["id"])
        world.settle()

    def all_done() -> bool:
        world.settle()
        return all(world.get(f"/v1/refunds/{one}").json()["status"] == "succeeded" for one in refunds)

    wait_until(all_done, "both refunds")
    assert world.payment(payment["id"])["amount_refunded"] == 200000
    ledger = [one for one in world.ledger("paystack")["refunds"] if one["amount"] == 100000]
    assert len(ledger) == 2


def test_a_refund_the_bank_refuses_gives_the_reservation_back(world: World) -> None:
    payment = start(world)
    pay_page(payment, "4084080000671803")
    world.settle()
    refund = world.post(f"/v1/payments/{payment['id']}/refunds").json()["refund"]["id"]

    def failed() -> bool:
        world.settle()
        return bool(world.get(f"/v1/refunds/{refund}").json()["status"] == "failed")

    wait_until(failed, "the refund to fail")
    assert world.payment(payment["id"])["amount_refunded"] == 0
    again = world.post(f"/v1/payments/{payment['id']}/refunds")
    assert again.status_code == 202


def test_cancel_is_refused_before_anything_is_sent(world: World) -> None:
    payment = start(world)
    answer = world.post(f"/v1/payments/{payment['id']}/cancel")
    assert (answer.status_code, answer.json()["code"]) == (422, "capability_unsupported")


def test_manual_capture_is_refused_with_the_reason(world: World) -> None:
    body = world.redirect_body(currency="NGN", amount=500000, provider="paystack", capture="manual")
    answer = world.post("/v1/payments", body)
    assert (answer.status_code, answer.json()["code"]) == (422, "capability_unsupported")
    reason = {"field": "capture", "message": "paystack: cannot authorize first and capture later in NGN, only in ZAR"}
    assert reason in answer.json()["errors"]


class TestAbandoned:
    def test_is_closed_after_its_time_and_watched(self, world: World) -> None:
        payment = start(world)
        world.advance(24 * 3600 + 60)
        scheduled.close_abandoned(world.worker)
        world.settle()
        assert world.payment(payment["id"])["status"] == "canceled"

        # The customer pays after all: money is never denied, and the payment's status does not move backwards.
        pay_page(payment)
        world.settle()
        late = world.payment(payment["id"])
        assert (late["status"], late["amount_captured"], late["amount_received"]) == ("canceled", 0, 500000)
        assert world.transactions(payment["id"])[0]["surplus"] is True
        findings = world.rows("SELECT kind FROM findings WHERE payment_id IS NOT NULL AND status = 'open'")
        assert "surplus_received" in {row["kind"] for row in findings}

        assert world.post(f"/v1/payments/{payment['id']}/refunds").status_code == 202

    def test_one_paid_in_time_is_not_closed(self, world: World) -> None:
        with world.without_webhooks("paystack"):
            payment = start(world)
            pay_page(payment)
            world.advance(24 * 3600 + 60)
            scheduled.close_abandoned(world.worker)
            world.work()
            assert world.payment(payment["id"])["status"] == "succeeded"
