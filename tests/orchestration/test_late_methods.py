"""Methods whose money comes, or fails to come, days after the customer has gone; and events that are too early."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from tests.orchestration import by_hand
from tests.support.world import World

#: docs.stripe.com/testing: account numbers of a bank that pays, and of one without funds.
PAYS, FAILS = "000123456789", "000222222227"


def on_page(world: World) -> dict[str, Any]:
    return world.pay(payment_method={"type": "redirect"}, customer={"email": "ada@example.com"}, provider="stripe")


def debit(payment: dict[str, Any], account_number: str) -> None:
    """The customer gives a bank account on Stripe's page."""
    fields = {"action": "pay", "card": account_number}
    page = requests.post(payment["next_action"]["url"], data=fields, allow_redirects=False, timeout=10)
    assert page.status_code == 303, page.text


@pytest.mark.parametrize(("number", "status"), [(PAYS, "succeeded"), (FAILS, "failed")])
def test_a_bank_debit_waits_and_then_ends(world: World, number: str, status: str) -> None:
    world.sandboxes["stripe"].post("settings", settle_ms=3_600_000)
    try:
        payment = on_page(world)
        debit(payment, number)
        world.settle()
        assert world.payment(payment["id"])["status"] == "processing"
        world.advance(3601)
        world.settle()
    finally:
        world.sandboxes["stripe"].post("settings", settle_ms=1000)
    found = world.payment(payment["id"])
    assert found["status"] == status
    assert found["amount_captured"] == (5000 if status == "succeeded" else 0)
    assert by_hand.findings(world, payment) == []
    if status == "failed":
        assert found["decline"]["code"] == "insufficient_funds"


@pytest.mark.parametrize("number", [PAYS, FAILS])
def test_its_end_is_found_without_any_webhook(world: World, number: str) -> None:
    payment = on_page(world)
    with world.without_webhooks("stripe"):
        debit(payment, number)
        world.advance(7200)
        assert world.post(f"/v1/payments/{payment['id']}/sync").status_code == 202
        world.work()
        assert world.payment(payment["id"])["status"] == ("succeeded" if number == PAYS else "failed")


def test_an_event_that_comes_before_the_answer_changes_nothing(world: World) -> None:
    with world.fault("stripe", effect="webhook_early", times=5):
        payment = world.pay()
    assert payment["status"] == "succeeded"
    assert by_hand.told(world, payment) == ["payment.processing", "payment.succeeded"]
    assert len(world.charges("stripe", payment["id"])) == 1


@pytest.mark.parametrize("effect", ["webhook_double", "webhook_reorder", "webhook_forge", "webhook_lose"])
def test_spoiled_webhooks_are_harmless(world: World, effect: str) -> None:
    with world.fault("stripe", effect=effect, times=50):
        payment = world.pay(capture="manual")
        world.settle()
        assert world.post(f"/v1/payments/{payment['id']}/capture").status_code == 202
        world.settle()
    found = world.payment(payment["id"])
    assert (found["status"], found["amount_captured"]) == ("succeeded", 5000)
    assert by_hand.findings(world, payment) == []
