"""Customers who leave at the second step: a paused saved card, a lost page, a bank's password; a slow transfer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import requests

from core.domain.identifiers import parse_id
from core.orchestration import scheduled
from core.providers.paystack import payments
from sandbox.paystack.transactions import access_code
from tests.orchestration import by_hand
from tests.support.world import World

PAUSES, ASKS_THE_BANK = "4084080000001001", "5192602720584796"
DAY = 86400


def press(page: str, **fields: str) -> requests.Response:
    return requests.post(page, data=fields, allow_redirects=False, timeout=10)


def page_payment(world: World, **changes: Any) -> dict[str, Any]:
    body = {"currency": "NGN", "amount": 500000, "provider": "paystack", "payment_method": {"type": "redirect"}}
    payment = world.pay(**{**body, "customer": {"email": "tola@example.com"}, **changes})
    assert payment["status"] == "requires_action", payment
    return payment


def saved_card(world: World, currency: str = "NGN") -> str:
    """One that its bank lets be charged again only after asking the customer."""
    first = page_payment(world, currency=currency, save_payment_method=True)
    assert press(first["next_action"]["url"], action="pay", card=PAUSES).status_code == 303
    world.settle()
    return str(world.payment(first["id"])["payment_method"]["id"])


def saved_body(method: str) -> dict[str, Any]:
    return {"amount": 100000, "currency": "NGN", "payment_method": {"type": "saved", "id": method}}


def ask(world: World, payment: dict[str, Any]) -> dict[str, Any]:
    assert world.post(f"/v1/payments/{payment['id']}/sync").status_code == 202
    world.settle()
    return world.payment(payment["id"])


def pass_days(world: World, days: int) -> None:
    """With what the clock does meanwhile."""
    for _ in range(days):
        world.advance(DAY + 60)
        scheduled.synchronise_open(world.worker)
        scheduled.close_abandoned(world.worker)
        scheduled.resolve_unknown(world.worker)
        world.work()


def attempts(world: World, payment: dict[str, Any]) -> list[tuple[str, str]]:
    return [(row["kind"], row["status"]) for row in world.transactions(payment["id"])]


def refused_to_end(world: World, payment: dict[str, Any]) -> bool:
    answer = world.post(f"/v1/payments/{payment['id']}/cancel")
    return (answer.status_code, answer.json()["code"]) == (422, "capability_unsupported")


@pytest.mark.parametrize("came", [False, True])
def test_a_paused_card_keeps_its_page_and_is_closed_after_its_time(world: World, came: bool) -> None:
    payment = world.pay(**saved_body(saved_card(world)))
    page = payment["next_action"]["url"]
    if came:  # and left again, while the bank waited for a password
        assert requests.get(page, timeout=10).ok
    world.advance(120)
    still = ask(world, payment)
    assert (still["status"], still["next_action"]["url"]) == ("requires_action", page)
    assert refused_to_end(world, payment)
    assert world.request("DELETE", f"/v1/customers/{still['customer']}").status_code == 409

    pass_days(world, 1)
    assert world.payment(payment["id"])["status"] == "canceled"
    assert attempts(world, payment) == [("charge", "canceled")]
    # Money that comes after all is told, and can be given back.
    assert "Thank you" in press(page, action="authorize").text
    world.settle()
    late = world.payment(payment["id"])
    assert (late["status"], late["amount_captured"], late["amount_received"]) == ("canceled", 0, 100000)
    assert by_hand.findings(world, payment) == ["surplus_received"]
    assert world.post(f"/v1/payments/{payment['id']}/refunds").status_code == 202


def test_a_paused_card_is_paid_on_its_page(world: World) -> None:
    payment = world.pay(**saved_body(saved_card(world)))
    ask(world, payment)
    press(payment["next_action"]["url"], action="authorize")
    world.settle()
    paid = world.payment(payment["id"])
    assert (paid["status"], paid["amount_captured"]) == ("succeeded", 100000)


@pytest.mark.parametrize(("currency", "capture"), [("NGN", "automatic"), ("ZAR", "manual")])
def test_a_page_left_at_its_second_step_is_closed(world: World, currency: str, capture: str) -> None:
    payment = page_payment(world, currency=currency, capture=capture)
    page = payment["next_action"]["url"]
    assert "Confirm with your bank" in press(page, action="pay", card=ASKS_THE_BANK).text
    still = ask(world, payment)
    assert (still["status"], still["next_action"]["url"]) == ("requires_action", page)
    pass_days(world, 1)
    assert world.payment(payment["id"])["status"] == "canceled"
    assert world.request("DELETE", f"/v1/customers/{still['customer']}").status_code in (200, 202, 204)


@contextmanager
def lost_pause(world: World, method: str) -> Iterator[dict[str, Any]]:
    """Paystack has paused the charge, and nobody has read where the customer should go."""
    with world.fault("paystack", operation="transaction.charge*", effect="reset_after", times=1):
        payment = world.create(**saved_body(method))
        world.work()
    yield payment


def lost_page(world: World, payment: dict[str, Any]) -> str:
    (charge,) = world.charges("paystack", payment["id"])
    return f"{world.sandboxes['paystack'].url}/checkout/{access_code(int(charge['id']))}"


@pytest.mark.parametrize("customer", ["never comes", "stays at the bank", "pays in time", "pays late", "fails"])
def test_a_lost_pause_is_one_charge_whatever_its_customer_does(world: World, customer: str) -> None:
    with lost_pause(world, saved_card(world)) as payment:
        page = lost_page(world, payment)
        if customer == "stays at the bank":
            assert requests.get(page, timeout=10).ok
        for seconds in (10, 60, 700):
            world.advance(seconds)
            world.settle()
        still = ask(world, payment)
        assert (still["status"], still["next_action"]) == ("requires_action", None)
        assert refused_to_end(world, payment)
        if customer in ("pays in time", "fails"):
            press(page, action="authorize" if customer == "pays in time" else "fail")
            ask(world, payment)
        pass_days(world, 2)
        if customer == "pays late":
            assert "Thank you" in press(page, action="authorize").text
            world.settle()
        pass_days(world, 2)
    ends = {"pays in time": "succeeded", "fails": "failed"}
    done = world.payment(payment["id"])
    assert done["status"] == ends.get(customer, "canceled")
    assert done["amount_received"] == (100000 if "pays" in customer else 0)
    assert len(attempts(world, payment)) == len(world.charges("paystack", payment["id"])) == 1
    found = by_hand.findings(world, payment)
    assert found == (["surplus_received"] if customer == "pays late" else [])


def test_a_transfer_under_way_is_asked_about_until_it_ends(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its money may come after `expires_at`: it is neither closed nor forgotten."""
    body = payments._body
    # As a dashboard that offers transfers beside cards does.
    monkeypatch.setattr(payments, "_body", lambda *asked: {**body(*asked), "channels": ["card", "bank_transfer"]})
    sandbox = world.sandboxes["paystack"]
    sandbox.post("settings", settle_ms=5 * DAY * 1000)
    try:
        payment = page_payment(world)
        assert press(payment["next_action"]["url"], action="channel", channel="bank_transfer").status_code == 303
        assert ask(world, payment)["status"] == "processing"
        assert refused_to_end(world, payment)
        with world.without_webhooks("paystack"):
            pass_days(world, 3)
            assert world.payment(payment["id"])["status"] == "processing"
            planned = world.one(
                "SELECT next_sync_at > expires_at AS kept FROM payments WHERE id = :id",
                id=parse_id("payment", payment["id"]),
            )
            assert planned["kept"]
            pass_days(world, 3)
            done = world.payment(payment["id"])
            assert (done["status"], done["amount_captured"]) == ("succeeded", 500000)
    finally:
        sandbox.post("settings", settle_ms=1000)
