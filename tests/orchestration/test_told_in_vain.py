"""A provider that tells of a payment and then does not answer, or answers with another sum, when it is asked."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from core.domain.identifiers import parse_id
from tests.orchestration import by_hand
from tests.support.world import World

CARD = "4084084084084081"


def on_page(world: World) -> dict[str, Any]:
    return world.pay(
        amount=500000,
        currency="NGN",
        provider="paystack",
        payment_method={"type": "redirect"},
        customer={"email": "ada@example.com"},
    )


def press(payment: dict[str, Any]) -> None:
    page = payment["next_action"]["url"]
    assert requests.post(page, data={"action": "pay", "card": CARD}, allow_redirects=False, timeout=10).ok


@pytest.mark.parametrize("fault", [{"effect": "status_before", "status": 500}, {"effect": "html"}])
def test_a_question_that_was_not_answered_is_put_again_within_seconds(world: World, fault: dict[str, Any]) -> None:
    payment = on_page(world)
    with world.fault("paystack", operation="transaction.verify", times=2, **fault):
        press(payment)
        world.settle()
        assert world.payment(payment["id"])["status"] == "requires_action"
        world.advance(6)
        world.settle()
        assert world.payment(payment["id"])["status"] == "requires_action"
        world.advance(31)
        world.settle()
    assert world.payment(payment["id"])["status"] == "succeeded"


def test_it_goes_over_to_the_schedule_in_the_end_and_loses_no_turn(world: World) -> None:
    payment = on_page(world)
    with world.fault("paystack", operation="transaction.verify", times=100, effect="status_before", status=500):
        press(payment)
        for seconds in (0, 6, 31, 121):
            world.advance(seconds)
            world.settle()
        row = world.one(
            "SELECT sync_count, next_sync_at - app_now() AS wait FROM payments WHERE id = :id",
            id=parse_id("payment", payment["id"]),
        )
        kinds = world.rows(
            "SELECT status FROM jobs WHERE kind = 'sync_payment' AND payment_id = :id",
            id=parse_id("payment", payment["id"]),
        )
    assert (row["sync_count"], [one["status"] for one in kinds]) == (0, ["succeeded"])
    assert 0 < row["wait"].total_seconds() <= 60


def test_another_sum_found_by_asking_goes_to_a_person_and_is_not_kept_when_it_was_wrong(world: World) -> None:
    payment = on_page(world)
    with world.fault("paystack", operation="transaction.verify", effect="wrong_amount", times=100):
        press(payment)
        world.settle()
        found = world.payment(payment["id"])
        assert (found["status"], found["amount_received"], found["amount_captured"]) == ("processing", 5000000, 0)
        assert by_hand.findings(world, payment) == ["amount_mismatch"]
        world.post(f"/v1/payments/{payment['id']}/sync")
        world.settle()
        waiting = "SELECT status FROM jobs WHERE status = 'needs_review' AND payment_id = :id"
        assert len(world.rows(waiting, id=parse_id("payment", payment["id"]))) == 1
    world.post(f"/v1/payments/{payment['id']}/sync")
    world.settle()
    found = world.payment(payment["id"])
    assert (found["status"], found["amount_received"], found["amount_captured"]) == ("succeeded", 500000, 500000)


def test_a_suspended_account_is_not_called_a_fault_of_the_shop(world: World) -> None:
    with world.owner.begin() as connection:
        connection.exec_driver_sql("UPDATE provider_accounts SET status = 'suspended' WHERE provider = 'stripe'")
    try:
        answer = world.post("/v1/payments", world.payment_body())
        assert (answer.status_code, answer.json()["code"]) == (422, "provider_misconfigured")
    finally:
        with world.owner.begin() as connection:
            connection.exec_driver_sql("UPDATE provider_accounts SET status = 'enabled' WHERE provider = 'stripe'")
