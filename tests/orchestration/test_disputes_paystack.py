"""Disputes at Paystack: no event is believed, evidence goes in several steps, silence is consent after two days."""

from __future__ import annotations

from typing import Any

import requests

from core.orchestration import scheduled
from tests.orchestration import by_hand
from tests.support.waiting import wait_until
from tests.support.world import World

GOOD_CARD = "4084084084084081"
DAY = 86400.0
EVIDENCE = {
    "message": "It was delivered and signed for.",
    "customer_name": "Ada",
    "customer_email": "ada@example.com",
    "customer_phone": "+2348100000000",
    "service_details": "Two books",
}


def paid(world: World) -> Any:
    answer = world.post("/v1/payments", world.redirect_body(currency="NGN", amount=500000, provider="paystack"))
    world.work()
    payment = world.payment(answer.json()["payment"]["id"])
    page = payment["next_action"]["url"]
    requests.post(page, data={"action": "pay", "card": GOOD_CARD}, allow_redirects=False, timeout=10)
    world.settle()
    return world.payment(payment["id"])


def disputed(world: World, **wanted: Any) -> tuple[Any, Any]:
    """A payment and its dispute, as we tell them."""
    payment = paid(world)
    reference = world.transactions(payment["id"])[0]["provider_id"]
    made = {"secret_key": world.secrets["paystack"], "reference": reference, **wanted}
    world.sandboxes["paystack"].post("disputes", **made)
    world.settle()
    (dispute,) = world.get(f"/v1/payments/{payment['id']}/disputes").json()["data"]
    return world.payment(payment["id"]), dispute


def standing(world: World, dispute: Any, status: str) -> Any:
    def reached() -> Any:
        world.settle()
        found = world.get(f"/v1/disputes/{dispute['id']}").json()
        return found if found["status"] == status else None

    return wait_until(reached, f"the dispute to be {status}")


def refund(world: World, payment: Any, **body: Any) -> tuple[int, str | None]:
    made = world.post(f"/v1/payments/{payment['id']}/refunds", body)
    return made.status_code, made.json().get("code")


def test_from_the_complaint_to_the_victory(world: World) -> None:
    payment, dispute = disputed(world, winner="merchant")
    assert (dispute["provider"], dispute["status"], dispute["amount"]) == ("paystack", "needs_response", 500000)
    assert (dispute["withheld"], dispute["refundable"], payment["amount_disputed"]) == (True, False, 500000)
    assert dispute["evidence_due_by"] is not None
    assert refund(world, payment, amount=1000) == (409, "payment_disputed")
    accepted = world.post(f"/v1/disputes/{dispute['id']}/evidence", EVIDENCE)
    assert accepted.status_code == 202, accepted.text
    world.settle()
    job = world.get(accepted.json()["job"]["url"]).json()
    assert (job["status"], job["error"]) == ("succeeded", None)
    seen = standing(world, dispute, "under_review")
    assert seen["evidence_sent_at"] is not None
    world.advance(DAY + 60)
    won = standing(world, dispute, "won")
    assert (won["amount"], world.payment(payment["id"])["amount_disputed"]) == (500000, 0)
    told = [kind for kind in by_hand.told(world, payment) if kind.startswith("dispute.")]
    assert told == ["dispute.needs_response", "dispute.under_review", "dispute.won"]
    assert refund(world, payment, amount=1000) == (202, None)
    world.settle()


def test_giving_in_to_a_part(world: World) -> None:
    payment, dispute = disputed(world, amount=200000)
    assert payment["amount_disputed"] == 200000
    assert world.post(f"/v1/disputes/{dispute['id']}/accept").status_code == 202
    world.settle()
    assert standing(world, dispute, "lost")["withheld"] is True
    assert world.payment(payment["id"])["amount_disputed"] == 200000


def test_a_part_of_what_goes_together_is_refused_with_the_fields(world: World) -> None:
    _, dispute = disputed(world)
    half = {"message": EVIDENCE["message"], "service_details": EVIDENCE["service_details"]}
    before = world.count()
    refused = world.post(f"/v1/disputes/{dispute['id']}/evidence", half)
    assert (refused.status_code, refused.json()["code"]) == (422, "validation_failed")
    missing = ["customer_email", "customer_name", "customer_phone"]
    assert [error["field"] for error in refused.json()["errors"]] == missing
    assert world.count() == before
    again = world.post(f"/v1/disputes/{dispute['id']}/evidence", EVIDENCE)
    assert again.status_code == 202, "it can be put right"
    world.settle()
    assert standing(world, dispute, "under_review")


def test_a_verdict_nobody_told_is_found_by_asking_once_a_day(world: World) -> None:
    payment, dispute = disputed(world)
    with world.without_webhooks("paystack"):
        world.advance(2 * DAY + 3600)
        assert world.get(f"/v1/disputes/{dispute['id']}").json()["status"] == "needs_response"
        assert scheduled.ask_disputes(world.worker) >= 1
        world.work()
        assert world.get(f"/v1/disputes/{dispute['id']}").json()["status"] == "lost"
    world.settle()
    assert world.payment(payment["id"])["amount_disputed"] == 500000
