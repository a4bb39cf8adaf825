"""Refunds made on the providers' own dashboards: found by asking for the list, each kept once."""

from __future__ import annotations

from typing import Any

import pytest
import requests
import sqlalchemy as sa

from core.domain.identifiers import parse_id
from core.orchestration import scheduled
from tests.orchestration import by_hand
from tests.support.world import World

CARD = "4084084084084081"


def paid_at_paystack(world: World) -> dict[str, Any]:
    payment = world.pay(
        amount=500000,
        currency="NGN",
        provider="paystack",
        payment_method={"type": "redirect"},
        customer={"email": "ada@example.com"},
    )
    page = payment["next_action"]["url"]
    assert requests.post(page, data={"action": "pay", "card": CARD}, allow_redirects=False, timeout=10).ok
    world.settle()
    return world.payment(payment["id"])


def refund_on_dashboard(world: World, provider: str, payment: dict[str, Any], amount: int) -> None:
    """As the merchant's staff would: with the account's own key, and without our mark."""
    sent = world.transactions(payment["id"])[0]
    headers = {"Authorization": f"Bearer {world.secrets[provider]}"}
    url = world.sandboxes[provider].url
    if provider == "stripe":
        body = {"payment_intent": sent["provider_id"], "amount": amount}
        answer = requests.post(f"{url}/v1/refunds", data=body, headers=headers, timeout=10)
    else:
        body = {"transaction": sent["provider_id"], "amount": amount}
        answer = requests.post(f"{url}/refund", json=body, headers=headers, timeout=10)
    assert answer.ok, answer.text


def refunds(world: World, payment_id: str) -> list[tuple[str, str, int]]:
    query = "SELECT origin, status, amount FROM refunds WHERE payment_id = :id ORDER BY id"
    found = world.rows(query, id=parse_id("payment", payment_id))
    return [(row["origin"], row["status"], row["amount"]) for row in found]


def test_two_equal_refunds_on_paystacks_dashboard_are_two(world: World) -> None:
    payment = paid_at_paystack(world)
    refund_on_dashboard(world, "paystack", payment, 100000)
    refund_on_dashboard(world, "paystack", payment, 100000)
    world.settle()
    world.advance(3600)
    world.settle()
    assert refunds(world, payment["id"]) == [("provider", "succeeded", 100000)] * 2
    assert world.payment(payment["id"])["amount_refunded"] == 200000
    findings = "SELECT kind FROM findings WHERE payment_id = :id"
    found = [row["kind"] for row in world.rows(findings, id=parse_id("payment", payment["id"]))]
    assert found == ["refund_not_ours"] * 2


@pytest.mark.parametrize("provider", ["stripe", "paystack"])
def test_one_whose_webhook_was_lost_is_found_by_asking(world: World, provider: str) -> None:
    payment = world.pay() if provider == "stripe" else paid_at_paystack(world)
    with world.without_webhooks(provider):
        refund_on_dashboard(world, provider, payment, 1000)
        world.advance(3600)
        assert refunds(world, payment["id"]) == []
        assert world.post(f"/v1/payments/{payment['id']}/sync").status_code == 202
        world.work()
        assert refunds(world, payment["id"]) == [("provider", "succeeded", 1000)]
    world.settle()
    assert refunds(world, payment["id"]) == [("provider", "succeeded", 1000)]


@pytest.mark.parametrize("provider", ["stripe", "paystack"])
def test_our_own_is_not_taken_for_another(world: World, provider: str) -> None:
    payment = world.pay() if provider == "stripe" else paid_at_paystack(world)
    assert world.post(f"/v1/payments/{payment['id']}/refunds", {"amount": 1000}).status_code == 202
    world.settle()
    assert world.post(f"/v1/payments/{payment['id']}/sync").status_code == 202
    world.settle()
    assert [(origin, amount) for origin, _, amount in refunds(world, payment["id"])] == [("api", 1000)]


def test_the_release_of_a_hold_is_no_refund(world: World) -> None:
    payment = world.pay(capture="manual")
    assert world.post(f"/v1/payments/{payment['id']}/capture", {"amount": 3000}).status_code == 202
    world.settle()
    assert world.post(f"/v1/payments/{payment['id']}/sync").status_code == 202
    world.settle()
    assert refunds(world, payment["id"]) == []
    assert world.payment(payment["id"])["amount_refunded"] == 0


def test_one_of_surplus_money_is_found_too(world: World) -> None:
    body = {"payment_method": {"type": "redirect"}, "customer": {"email": "ada@example.com"}, "currency": "NGN"}
    payment = world.pay(amount=500000, provider="paystack", **body)
    page = payment["next_action"]["url"]
    world.advance(25 * 3600)
    scheduled.close_abandoned(world.worker)
    world.settle()
    assert world.payment(payment["id"])["status"] == "canceled"
    assert requests.post(page, data={"action": "pay", "card": CARD}, allow_redirects=False, timeout=10).ok
    world.settle()
    assert world.payment(payment["id"])["amount_received"] == 500000
    refund_on_dashboard(world, "paystack", payment, 500000)
    world.advance(3600)
    world.settle()
    assert refunds(world, payment["id"]) == [("provider", "succeeded", 500000)]
    assert world.payment(payment["id"])["amount_refunded"] == 500000


def test_one_that_may_be_ours_is_not_counted_twice(world: World) -> None:
    payment = paid_at_paystack(world)
    with world.fault("paystack", operation="refund.create", effect="reset_before", times=1):
        world.post(f"/v1/payments/{payment['id']}/refunds", {"amount": 1000})
        world.work(("payments",))
    refund_on_dashboard(world, "paystack", payment, 1000)
    world.post(f"/v1/payments/{payment['id']}/sync")
    world.work(("payments",))
    assert [(origin, amount) for origin, _, amount in refunds(world, payment["id"])] == [("api", 1000)]
    assert by_hand.findings(world, payment) == ["refund_unmarked"]


def test_doubt_about_a_refund_that_never_was_ends(world: World) -> None:
    payment = paid_at_paystack(world)
    with world.fault("paystack", operation="refund.create", effect="status_before", status=400, times=1):
        world.post(f"/v1/payments/{payment['id']}/refunds", {"amount": 1000})
        world.work(("payments",))
    with world.owner.begin() as connection:
        doubt = "UPDATE transactions SET recheck_at = app_now() WHERE payment_id = :id AND kind = 'refund'"
        connection.execute(sa.text(doubt), {"id": parse_id("payment", payment["id"])})
    world.advance(120)
    world.post(f"/v1/payments/{payment['id']}/sync")
    world.work(("payments",))
    (refund,) = [row for row in world.transactions(payment["id"]) if row["kind"] == "refund"]
    assert (refund["status"], refund["recheck_at"]) == ("not_executed", None)
    assert (
        world.one("SELECT next_sync_at FROM payments WHERE id = :id", id=refund["payment_id"])["next_sync_at"] is None
    )
