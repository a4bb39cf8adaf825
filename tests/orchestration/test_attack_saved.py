"""Saved cards whose answers were lost or are odd: never a second charge without proof."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from core.domain.identifiers import parse_id
from core.domain.outcomes import ActionRequired, Facts, Succeeded
from core.orchestration import execute, jobs
from tests.orchestration import by_hand
from tests.support.waiting import wait_until
from tests.support.world import World

CARD = "4084084084084081"
PERSON = {"email": "ada@example.com"}


def saved_at_paystack(world: World, currency: str = "NGN") -> str:
    payment = world.pay(
        amount=500000,
        currency=currency,
        provider="paystack",
        payment_method={"type": "redirect"},
        save_payment_method=True,
        customer=PERSON,
    )
    page = payment["next_action"]["url"]
    assert requests.post(page, data={"action": "pay", "card": CARD}, allow_redirects=False, timeout=10).ok
    world.settle()
    return str(world.payment(payment["id"])["payment_method"]["id"])


@pytest.mark.parametrize(("currency", "capture"), [("NGN", "automatic"), ("ZAR", "manual")])
def test_a_saved_card_that_reads_abandoned_is_not_charged_again(world: World, currency: str, capture: str) -> None:
    """The provider may charge it whatever its answer was to be: an address that was lost proves nothing."""
    method = saved_at_paystack(world, currency)
    with world.without_webhooks("paystack"):
        payment = world.create(
            amount=100000, currency=currency, capture=capture, payment_method={"type": "saved", "id": method}
        )
        (job,) = jobs.claim(world.worker.database, "payments", 1, "tests", 60.0)
        begun = execute._begin(world.worker, job)
        assert begun.step is not None
        answer = execute.take(world.worker, job, begun.step)
        assert isinstance(answer, Succeeded)
        odd = ActionRequired(Facts(answer.facts.provider_id), None)
        assert execute._settle(world.worker, job, begun.step, odd) is None
        world.work()
    starts = [row for row in world.transactions(payment["id"]) if row["kind"] in ("charge", "authorize")]
    assert len(starts) == 1
    world.post(f"/v1/payments/{payment['id']}/sync")
    world.settle()
    found = world.payment(payment["id"])
    assert found["status"] == ("succeeded" if capture == "automatic" else "authorized")
    assert len(world.charges("paystack", payment["id"])) <= 1
    assert [row["number"] for row in world.transactions(payment["id"])] == [1]


def disputed(world: World, payment: dict[str, Any], amount: int) -> None:
    sent = world.transactions(payment["id"])[0]
    body = {"secret_key": world.secrets["paystack"], "reference": sent["provider_id"], "amount": amount}
    world.sandboxes["paystack"].post("disputes", **body)


def paid_at_paystack(world: World) -> dict[str, Any]:
    payment = world.pay(
        amount=500000, currency="NGN", provider="paystack", payment_method={"type": "redirect"}, customer=PERSON
    )
    page = payment["next_action"]["url"]
    assert requests.post(page, data={"action": "pay", "card": CARD}, allow_redirects=False, timeout=10).ok
    world.settle()
    return world.payment(payment["id"])


@pytest.mark.parametrize("sent_before", [False, True])
def test_a_refund_that_waited_is_not_sent_into_a_dispute(world: World, sent_before: bool) -> None:
    payment = paid_at_paystack(world)
    refund = world.post(f"/v1/payments/{payment['id']}/refunds", {"amount": 500000}).json()["refund"]["id"]
    if sent_before:
        with world.fault("paystack", operation="refund.create", effect="status_before", status=429, times=1):
            world.work(("payments",))
    disputed(world, payment, 500000)

    known = parse_id("payment", payment["id"])
    told = "SELECT 1 FROM inbox_events WHERE kind = 'charge.dispute.create' AND status = 'applied' AND payment_id = :id"

    def dispute_is_known() -> bool:
        world.work(("webhooks",))
        return bool(world.rows(told, id=known))

    wait_until(dispute_is_known, "the dispute's webhook")
    with world.owner.begin() as connection:  # the refund waits until the dispute was read
        connection.exec_driver_sql(
            "UPDATE jobs SET run_after = app_now() + interval '3 s' WHERE kind = 'refund_payment' AND status = 'queued'"
        )
    world.work()
    assert world.payment(payment["id"])["amount_disputed"] == 500000
    world.advance(5)
    world.settle()
    found = world.get(f"/v1/refunds/{refund}").json()
    assert found["status"] == "failed", found
    assert "payment_disputed" in found["failure"].values()
    assert world.charges("paystack", payment["id"])[0]["amount_refunded"] == 0
    assert world.payment(payment["id"])["amount_refunded"] == 0


def test_a_list_that_says_a_refund_failed_is_heeded(world: World) -> None:
    """Its webhook was lost, and it is ended for us."""
    body = {"payment_method": {"type": "token", "token": "pm_card_refundFail"}}
    payment = world.pay(**body)
    with world.without_webhooks("stripe"):
        world.post(f"/v1/payments/{payment['id']}/refunds", {"amount": 1000})
        world.work()
        assert world.payment(payment["id"])["amount_refunded"] == 1000
        world.advance(3600)
        world.post(f"/v1/payments/{payment['id']}/sync")
        world.work()
        assert world.payment(payment["id"])["amount_refunded"] == 0
    world.settle()
    assert by_hand.told(world, payment)[-1] == "refund.failed"
