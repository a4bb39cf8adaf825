"""Preauthorization at Paystack: rand are held on its page, captured in part or released, and expire by themselves."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from tests.orchestration import by_hand
from tests.support.world import World

CARD = "4084084084084081"
DAY = 86400


def held(world: World) -> dict[str, Any]:
    payment = world.pay(
        amount=90000,
        currency="ZAR",
        capture="manual",
        payment_method={"type": "redirect"},
        customer={"email": "thandi@example.com"},
        provider="paystack",
    )
    assert payment["status"] == "requires_action", payment
    page = payment["next_action"]["url"]
    assert requests.post(page, data={"action": "pay", "card": CARD}, allow_redirects=False, timeout=10).ok
    world.settle()
    found = world.payment(payment["id"])
    if found["status"] != "authorized":
        world.post(f"/v1/payments/{payment['id']}/sync")
        world.settle()
        found = world.payment(payment["id"])
    assert (found["status"], found["amount_authorized"], found["amount_captured"]) == ("authorized", 90000, 0)
    return found


def ask(world: World, payment: dict[str, Any], what: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    answer = world.post(f"/v1/payments/{payment['id']}/{what}", body)
    assert answer.status_code == 202, answer.text
    world.settle()
    return world.payment(payment["id"])


def test_a_part_is_captured_and_a_part_of_it_given_back(world: World) -> None:
    payment = held(world)
    captured = ask(world, payment, "capture", {"amount": 60000})
    assert (captured["status"], captured["amount_captured"]) == ("succeeded", 60000)
    ask(world, payment, "refunds", {"amount": 10000})
    world.advance(3600)
    world.settle()
    assert world.payment(payment["id"])["amount_refunded"] == 10000
    kinds = [(row["kind"], row["status"]) for row in world.transactions(payment["id"])]
    assert kinds == [("authorize", "succeeded"), ("capture", "succeeded"), ("refund", "succeeded")]
    assert by_hand.findings(world, payment) == []


def test_all_of_it_is_released(world: World) -> None:
    payment = held(world)
    assert ask(world, payment, "cancel")["status"] == "canceled"
    assert [(row["kind"], row["status"]) for row in world.transactions(payment["id"])][-1] == ("void", "succeeded")


def test_a_hold_that_expires_is_canceled_because_paystack_says_so(world: World) -> None:
    payment = held(world)
    world.advance(6 * DAY)
    world.settle()
    if world.payment(payment["id"])["status"] == "authorized":
        ask(world, payment, "sync")
    assert world.payment(payment["id"])["status"] == "canceled"


@pytest.mark.parametrize("effect", ["reset_after", "timeout_before"])
def test_a_lost_answer_to_a_capture_is_settled_by_asking(world: World, effect: str) -> None:
    payment = held(world)
    with world.fault("paystack", operation="preauthorization.capture", effect=effect, times=1):
        answer = world.post(f"/v1/payments/{payment['id']}/capture", {"amount": 60000})
        assert answer.status_code == 202
        world.work()
    for seconds in (10, 60, 200, 900):
        world.advance(seconds)
        world.settle()
    found = world.payment(payment["id"])
    assert (found["status"], found["amount_captured"]) == ("succeeded", 60000)
    charged = [one for one in world.charges("paystack", payment["id"]) if one["status"] == "succeeded"]
    assert sum(one["amount_captured"] for one in charged) == 60000


def test_other_currencies_cannot_be_held_there(world: World) -> None:
    body = world.redirect_body(amount=500000, currency="NGN", capture="manual", provider="paystack")
    answer = world.post("/v1/payments", body)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "capture")


def test_a_saved_card_is_held_while_its_owner_is_away(world: World) -> None:
    first = world.pay(
        amount=50000,
        currency="ZAR",
        provider="paystack",
        payment_method={"type": "redirect"},
        save_payment_method=True,
        customer={"email": "sipho@example.com"},
    )
    page = first["next_action"]["url"]
    assert requests.post(page, data={"action": "pay", "card": CARD}, allow_redirects=False, timeout=10).ok
    world.settle()
    method = world.payment(first["id"])["payment_method"]["id"]
    assert method
    payment = world.pay(
        amount=20000,
        currency="ZAR",
        capture="manual",
        payment_method={"type": "saved", "id": method},
        off_session=True,
    )
    assert payment["status"] == "authorized", payment
    assert ask(world, payment, "capture")["amount_captured"] == 20000
