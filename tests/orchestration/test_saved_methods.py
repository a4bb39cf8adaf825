"""Payments that save what they are paid with, and payments with what was saved, at both providers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from core.domain.identifiers import parse_id
from tests.support.world import World

PERSON = {"email": "ada@example.com", "name": "Ada"}


def customer(world: World, **changes: Any) -> str:
    answer = world.post("/v1/customers", {**PERSON, **changes})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def press(payment: dict[str, Any], **fields: str) -> None:
    answer = requests.post(payment["next_action"]["url"], data=fields, allow_redirects=False, timeout=10)
    assert answer.status_code == 303, answer.text


def saved(world: World, token: str = "pm_card_visa", **changes: Any) -> dict[str, Any]:
    """A payment at Stripe that has saved its card."""
    body = {"payment_method": {"type": "token", "token": token}, "save_payment_method": True, "customer": PERSON}
    payment = world.pay(**{**body, **changes})
    assert payment["status"] == "succeeded", payment
    assert payment["payment_method"]["id"], payment
    return payment


def test_a_card_is_saved_and_charged_while_its_owner_is_away(world: World) -> None:
    first = saved(world)
    again = world.pay(
        amount=700, payment_method={"type": "saved", "id": first["payment_method"]["id"]}, off_session=True
    )
    assert (again["status"], again["amount_captured"]) == ("succeeded", 700)
    assert again["customer"] == first["customer"]
    charges = world.charges("stripe", again["id"])
    assert [one["amount"] for one in charges] == [700]


def test_authentication_demanded_off_session_is_a_decline_the_customer_can_mend(world: World) -> None:
    first = world.pay(
        payment_method={"type": "token", "token": "pm_card_authenticationRequired"},
        save_payment_method=True,
        customer=PERSON,
    )
    press(first, action="authorize")
    world.settle()
    first = world.payment(first["id"])
    assert first["status"] == "succeeded"
    method = {"type": "saved", "id": first["payment_method"]["id"]}
    away = world.pay(amount=900, payment_method=method, off_session=True)
    assert away["status"] == "failed"
    assert (away["decline"]["code"], away["decline"]["category"]) == ("authentication_required", "customer_action")
    assert world.charges("stripe", away["id"]) == [] or all(
        one["status"] != "succeeded" for one in world.charges("stripe", away["id"])
    )
    back = world.pay(amount=900, payment_method=method)
    assert back["status"] == "requires_action"
    press(back, action="authorize")
    world.settle()
    assert world.payment(back["id"])["status"] == "succeeded"


def test_a_card_saved_on_stripes_page_is_known_afterwards(world: World) -> None:
    payment = world.pay(
        payment_method={"type": "redirect"}, save_payment_method=True, customer=PERSON, provider="stripe"
    )
    press(payment, action="pay", card="4242424242424242")
    world.settle()
    paid = world.payment(payment["id"])
    assert paid["status"] == "succeeded"
    assert paid["payment_method"]["id"]
    again = world.pay(amount=300, payment_method={"type": "saved", "id": paid["payment_method"]["id"]})
    assert again["status"] == "succeeded"


def test_a_paystack_card_is_saved_by_a_payment_and_charged_later(world: World) -> None:
    payment = world.pay(
        amount=500000,
        currency="NGN",
        provider="paystack",
        payment_method={"type": "redirect"},
        save_payment_method=True,
        customer=PERSON,
    )
    press(payment, action="pay", card="4084084084084081")
    world.settle()
    paid = world.payment(payment["id"])
    assert paid["status"] == "succeeded"
    method = {"type": "saved", "id": paid["payment_method"]["id"]}
    again = world.pay(amount=100000, currency="NGN", payment_method=method, off_session=True)
    assert (again["status"], again["provider"], again["amount_captured"]) == ("succeeded", "paystack", 100000)


def test_one_customer_of_ours_is_one_at_the_provider_however_many_ask_at_once(world: World) -> None:
    person = customer(world, email="parallel@example.com")
    body = world.payment_body(customer=person, save_payment_method=True)
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: world.post("/v1/payments", body), range(6)))
    assert {answer.status_code for answer in answers} == {202}
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: world.work(), range(4)))
    world.settle()
    for answer in answers:
        assert world.payment(answer.json()["payment"]["id"])["status"] == "succeeded"
    kept = world.rows(
        "SELECT provider_id FROM provider_customers WHERE customer_id = :id", id=parse_id("customer", person)
    )
    assert len(kept) == 1
    made = [
        one for one in world.ledger("stripe")["customers"] if (one["metadata"] or {}).get("tollgate_customer") == person
    ]
    assert [one["id"] for one in made] == [kept[0]["provider_id"]]


def test_a_lost_answer_to_the_customer_makes_no_second_one(world: World) -> None:
    person = customer(world, email="lost@example.com")
    with world.fault("stripe", operation="customers.create", effect="reset_after", times=1):
        payment = world.create(customer=person, save_payment_method=True)
        world.settle()
    world.advance(10)
    world.settle()
    assert world.payment(payment["id"])["status"] == "succeeded"
    made = [
        one for one in world.ledger("stripe")["customers"] if (one["metadata"] or {}).get("tollgate_customer") == person
    ]
    assert len(made) == 1


def test_a_customer_that_cannot_be_made_fails_the_payment_unsent(world: World) -> None:
    person = customer(world, email="never@example.com")
    with world.fault("stripe", operation="customers.create", effect="status_before", status=500, times=1000):
        payment = world.create(customer=person, save_payment_method=True)
        for _ in range(8):
            world.work()
            world.advance(400)
    found = world.payment(payment["id"])
    assert (found["status"], found["decline"]["code"]) == ("failed", "provider_unavailable")
    assert world.transactions(payment["id"]) == []


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"off_session": True}, "off_session"),
        ({"save_payment_method": True}, "save_payment_method"),
        ({"customer": "cus_00000000000000000000000000"}, "customer"),
        ({"payment_method": {"type": "saved", "id": "pm_00000000000000000000000000"}}, "payment_method.id"),
        (
            {
                "payment_method": {"type": "redirect"},
                "capture": "manual",
                "currency": "NGN",
                "provider": "paystack",
                "customer": PERSON,
            },
            "capture",
        ),
    ],
)
def test_wishes_that_cannot_be_are_named_and_store_nothing(world: World, changes: dict[str, Any], field: str) -> None:
    before = world.count()
    answer = world.post("/v1/payments", world.payment_body(**changes))
    assert answer.status_code == 422, answer.text
    assert field in [one["field"] for one in answer.json()["errors"]]
    assert world.count() == before


def test_a_saved_method_is_charged_by_its_own_account_only(world: World) -> None:
    method = {"type": "saved", "id": saved(world)["payment_method"]["id"]}
    answer = world.post("/v1/payments", world.payment_body(payment_method=method, provider="paystack", currency="USD"))
    assert answer.status_code == 422
    other = customer(world, email="other@example.com")
    answer = world.post("/v1/payments", world.payment_body(payment_method=method, customer=other))
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "customer")


def test_a_method_deleted_before_its_payment_is_carried_out_charges_nothing(world: World) -> None:
    method = saved(world)["payment_method"]["id"]
    payment = world.create(payment_method={"type": "saved", "id": method})
    answer = world.request("DELETE", f"/v1/payment_methods/{method}", headers={"Idempotency-Key": "gone-1"})
    assert answer.status_code == 202, answer.text
    world.settle()
    found = world.payment(payment["id"])
    assert (found["status"], found["decline"]["code"]) == ("failed", "payment_method_gone")
    assert world.charges("stripe", payment["id"]) == []
