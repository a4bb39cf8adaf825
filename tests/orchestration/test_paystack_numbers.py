"""Paystack numbers charges and refunds each on their own: an equal number is not the same thing."""

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


def paid(world: World) -> dict[str, Any]:
    payment = world.pay(**world.redirect_body(currency="NGN", amount=500000, provider="paystack"))
    page = payment["next_action"]["url"]
    assert requests.post(page, data={"action": "pay", "card": "4084084084084081"}, allow_redirects=False, timeout=10).ok
    world.post(f"/v1/payments/{payment['id']}/sync")
    world.work()
    found = world.payment(payment["id"])
    assert found["status"] == "succeeded"
    return found


def tell(world: World, kind: str, data: Any) -> None:
    by_hand.deliver_all(world, [json.dumps({"event": kind, "data": data}).encode()], "paystack")


def test_a_dispute_of_somebody_elses_charge_is_not_pinned_on_our_refund(world: World) -> None:
    payment = paid(world)
    assert world.post(f"/v1/payments/{payment['id']}/refunds", {"amount": 1000}).status_code == 202
    world.work()
    refund = world.transactions(payment["id"])[-1]
    assert refund["kind"] == "refund"
    assert refund["provider_id"]
    tell(
        world,
        "charge.dispute.create",
        {"id": 987654, "transaction": {"id": int(refund["provider_id"]), "reference": "somebody-else"}},
    )
    assert by_hand.inbox(world)[-1]["status"] == "parked"
    asked = "SELECT 1 FROM jobs WHERE kind = 'sync_dispute' AND payment_id = :id"
    assert world.rows(asked, id=parse_id("payment", payment["id"])) == []


def test_a_refund_is_its_payments_though_another_charge_has_its_number(world: World) -> None:
    other, payment = paid(world), paid(world)
    number = world.transactions(other["id"])[0]["provider_charge_id"]
    reference = world.transactions(payment["id"])[0]["provider_id"]
    tell(world, "refund.needs-attention", {"id": int(number), "transaction_reference": reference})
    assert by_hand.inbox(world)[-1]["payment_id"] == parse_id("payment", payment["id"])
