"""Saved cards: left behind by a payment, charged without a page, dropped again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import requests

from core.domain.outcomes import (
    ActionRequired,
    Declined,
    Facts,
    KeptMethod,
    NotExecuted,
    NotExecutedReason,
    Pending,
    Succeeded,
    Unknown,
)
from core.providers.base import CustomerRequest, ForgetRequest, LookUpRequest, Person, SavedMethod, StartRequest
from tests.providers.driver import Driver, look_up_of, start_request, submit
from tests.providers.paystack_contract import PaystackDriver
from tests.providers.paystack_driver import (
    REFERENCE,
    SENT_AT,
    ScriptedPaystack,
    authorization,
    hold_answer,
    refused,
    scripted,
    verified,
)
from tests.providers.paystack_driver import start_request as plain_request
from tests.support.sandboxes import Sandbox

CHARGE_SAVED = ("POST", "/transaction/charge_authorization")
VERIFY = ("GET", f"/transaction/verify/{REFERENCE}")
DEACTIVATE = ("POST", "/customer/authorization/deactivate")
SAVED = SavedMethod(token="AUTH_k7m2n9", provider_customer="CUS_a1b2c3", email="ada@example.com")

GOOD, CHALLENGED, POOR, SINGLE_USE = "4084084084084081", "4084080000001001", "4084080000001002", "4084080000001003"


@pytest.fixture
def driver(sandboxes: dict[str, Sandbox]) -> PaystackDriver:
    return PaystackDriver(sandboxes["paystack"])


@pytest.fixture
def paystack() -> Iterator[ScriptedPaystack]:
    with scripted() as running:
        yield running


def pay_and_save(driver: PaystackDriver, card: str, save: bool = True) -> Facts:
    provider, request = driver.provider(), replace(driver.request(), save_method=save)
    page = provider.start(request)
    assert isinstance(page, ActionRequired)
    assert page.next_action
    submit(str(page.next_action.url), action="pay", card=card)
    paid = provider.look_up(look_up_of(request, page.facts))
    assert isinstance(paid, Succeeded)
    return paid.facts


def kept(driver: PaystackDriver, card: str) -> SavedMethod:
    method = pay_and_save(driver, card).method
    assert isinstance(method, KeptMethod)
    return SavedMethod(method.token, method.provider_customer, method.email)


def charge(saved: SavedMethod, **changes: Any) -> StartRequest:
    # The customer's address of today is another than that of the card.
    person = Person(email="ada.new@example.com")
    return start_request("saved", "charge", 200_00, "NGN", saved=saved, off_session=True, person=person, **changes)


def test_a_payment_leaves_its_card_behind_when_that_was_asked_for(driver: PaystackDriver) -> None:
    facts = pay_and_save(driver, GOOD)
    method = facts.method
    assert isinstance(method, KeptMethod)
    assert method.token.startswith("AUTH_")
    assert (method.kind, method.brand, method.last4) == ("card", "visa", "4081")
    assert (method.exp_month, method.exp_year) == (12, 2034)
    assert method.email == "ada@example.com"
    assert str(method.provider_customer).startswith("CUS_")
    assert str(method.fingerprint).startswith("SIG_")
    assert method.token not in repr(facts)  # the body that is kept sealed is part of it
    assert "ada@example.com" not in repr(method)


def test_nothing_is_kept_unasked_or_of_a_card_that_is_good_once(driver: PaystackDriver) -> None:
    assert pay_and_save(driver, GOOD, save=False).method is None
    assert pay_and_save(driver, SINGLE_USE).method is None


def test_a_saved_card_pays_without_a_page(driver: PaystackDriver) -> None:
    request, provider = charge(kept(driver, GOOD)), driver.provider()
    outcome = provider.start(request)
    assert isinstance(outcome, Succeeded)
    facts = outcome.facts
    assert (facts.amount, facts.amount_received, facts.currency, facts.fee) == (200_00, 200_00, "NGN", 300)
    assert facts.method is None
    found = provider.look_up(look_up_of(request, facts))
    assert isinstance(found, Succeeded)
    assert found.facts.provider_charge_id == facts.provider_charge_id


def test_a_declined_charge_of_a_saved_card_is_final(driver: PaystackDriver) -> None:
    request, provider = charge(kept(driver, POOR)), driver.provider()
    for outcome in (provider.start(request), provider.look_up(look_up_of(request))):
        assert isinstance(outcome, Declined)
        assert (outcome.decline.code, outcome.decline.category.value) == ("insufficient_funds", "soft")


def test_a_bank_that_wants_the_customer_sends_him_to_a_page(driver: PaystackDriver) -> None:
    request, provider = charge(kept(driver, CHALLENGED)), driver.provider()
    outcome = provider.start(request)
    assert isinstance(outcome, ActionRequired)
    assert outcome.next_action
    assert outcome.next_action.url
    waiting = look_up_of(request, outcome.facts)
    for _ in ("before the page is opened", "while the bank waits for a password"):
        open_still = provider.look_up(waiting)
        assert isinstance(open_still, ActionRequired)
        assert open_still.next_action is None  # which keeps the address that is known
        assert requests.get(outcome.next_action.url, timeout=10).ok
    submit(outcome.next_action.url, action="authorize")
    found = provider.look_up(waiting)
    assert isinstance(found, Succeeded)
    assert found.facts.provider_id == outcome.facts.provider_id


@pytest.mark.parametrize("card", [GOOD, POOR])
@pytest.mark.parametrize("effect", ["reset_after", "cut_body"])
def test_a_lost_answer_is_settled_by_verify(driver: PaystackDriver, card: str, effect: str) -> None:
    request = charge(kept(driver, card))
    driver.fault(effect, "transaction.charge")
    assert isinstance(driver.provider().start(request), Unknown)
    again = driver.provider().start(request)
    assert isinstance(again, Unknown)
    assert again.evidence["seen"] == "reference exists"
    found = driver.provider().look_up(look_up_of(request))
    assert isinstance(found, Succeeded if card == GOOD else Declined)
    assert len([one for one in driver.charged() if one["amount"] == 200_00]) == (1 if card == GOOD else 0)


def test_a_card_that_was_dropped_is_refused_by_its_field(driver: PaystackDriver) -> None:
    saved, provider = kept(driver, GOOD), driver.provider()
    for _ in range(2):
        assert isinstance(provider.forget_method(ForgetRequest("key", saved)), Succeeded)
    outcome = provider.start(charge(saved))
    assert isinstance(outcome, NotExecuted)
    assert (outcome.reason, outcome.param) == (NotExecutedReason.INVALID_REQUEST, "payment_method.id")
    assert saved.token not in repr(outcome)


@pytest.mark.parametrize(
    "saved",
    [
        SavedMethod("AUTH_nobodys00", None, "ada@example.com"),
        SavedMethod("not a code", None, "ada@example.com"),
    ],
)
def test_a_card_that_never_was_is_refused_by_its_field(driver: PaystackDriver, saved: SavedMethod) -> None:
    outcome = driver.provider().start(charge(saved))
    assert isinstance(outcome, NotExecuted)
    assert outcome.param == "payment_method.id"


def test_the_card_is_charged_under_its_own_address(paystack: ScriptedPaystack) -> None:
    paystack.on(*CHARGE_SAVED, 200, verified(transaction_date="2026-03-02T10:14:02.000Z", created_at=None))
    outcome = paystack.provider().start(
        plain_request(method="saved", saved=SAVED, person=Person(email="other@example.com"))
    )
    assert isinstance(outcome, Succeeded)
    assert outcome.facts.created_at == SENT_AT.replace(second=2)
    body = paystack.received[0].body
    assert (body["email"], body["authorization_code"]) == ("ada@example.com", "AUTH_k7m2n9")
    assert (body["reference"], body["amount"], body["currency"]) == (REFERENCE, 500000, "NGN")
    assert "callback_url" not in body


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"saved": None}, "payment_method.id"),
        ({"saved": SavedMethod("AUTH_x1"), "person": Person()}, "customer.email"),
        ({"saved": SAVED, "currency": "EUR"}, "currency"),
        ({"saved": SAVED, "amount": 49_99}, "amount"),
        ({"saved": SAVED, "kind": "authorize"}, "capture"),
    ],
)
def test_what_cannot_be_charged_is_not_sent(paystack: ScriptedPaystack, changes: dict[str, Any], field: str) -> None:
    outcome = paystack.provider().start(plain_request(method="saved", **changes))
    assert isinstance(outcome, NotExecuted)
    assert (outcome.reason, outcome.param) == (NotExecutedReason.INVALID_REQUEST, field)
    assert not paystack.received


@pytest.mark.parametrize(
    "data",
    [
        {"paused": True, "reference": REFERENCE},
        {"paused": True, "reference": "another", "authorization_url": "https://checkout.paystack.com/x"},
        {"paused": "yes", "reference": REFERENCE, "authorization_url": "https://checkout.paystack.com/x"},
    ],
)
def test_a_pause_that_leads_nowhere_is_unknown(paystack: ScriptedPaystack, data: dict[str, Any]) -> None:
    paystack.on(*CHARGE_SAVED, 200, {"status": True, "message": "ok", "data": data})
    assert isinstance(paystack.provider().start(plain_request(method="saved", saved=SAVED)), Unknown)


def test_a_refusal_by_the_processor_is_looked_up_and_not_believed(paystack: ScriptedPaystack) -> None:
    paystack.on(*CHARGE_SAVED, 400, {**refused("Charge failed", "unknown"), "type": "processor_error"})
    paystack.on(*VERIFY, 200, verified("failed", gateway_response="Expired card"))
    request, provider = plain_request(method="saved", saved=SAVED), paystack.provider()
    assert isinstance(provider.start(request), Unknown)
    found = provider.look_up(LookUpRequest("start", request, None, None, {}, SENT_AT, SENT_AT))
    assert isinstance(found, Declined)
    assert found.decline.code == "expired_card"


@pytest.mark.parametrize(("extra", "expected"), [({"paused": "true"}, ActionRequired), ({}, Declined)])
def test_a_failed_try_on_the_page_of_a_paused_card_is_not_the_last(
    paystack: ScriptedPaystack, extra: dict[str, str], expected: type
) -> None:
    paystack.on(*VERIFY, 200, verified("failed", gateway_response="Declined"))
    paystack.on("GET", f"/preauthorization/verify/{REFERENCE}", 200, hold_answer("failed"))
    for changes in ({}, {"kind": "authorize", "currency": "ZAR"}):
        request = plain_request(method="saved", saved=SAVED, **changes)
        asked = LookUpRequest("start", request, REFERENCE, None, extra, SENT_AT, SENT_AT)
        assert type(paystack.provider().look_up(asked)) is expected


@pytest.mark.parametrize(
    ("extra", "expected"), [({"paused": "true"}, ActionRequired), ({"paused": "false"}, Pending), ({}, ActionRequired)]
)
def test_a_card_that_is_ongoing_waits_for_its_bank_only_where_paystack_has_said_so(
    paystack: ScriptedPaystack, extra: dict[str, str], expected: type
) -> None:
    """A customer who left would keep it open for ever; so would one whose page was lost with the answer."""
    paystack.on(*VERIFY, 200, verified("ongoing"))
    paystack.on("GET", f"/preauthorization/verify/{REFERENCE}", 200, hold_answer("ongoing"))
    for changes in ({}, {"kind": "authorize", "currency": "ZAR"}):
        request = plain_request(method="saved", saved=SAVED, **changes)
        asked = LookUpRequest("start", request, REFERENCE, None, extra, SENT_AT, SENT_AT)
        assert type(paystack.provider().look_up(asked)) is expected


def test_an_answer_that_waits_for_the_bank_is_remembered_as_one(paystack: ScriptedPaystack) -> None:
    paystack.on(*CHARGE_SAVED, 200, verified("ongoing"))
    paystack.on("POST", "/preauthorization/reserve_authorization", 200, hold_answer("ongoing"))
    for changes in ({}, {"kind": "authorize", "currency": "ZAR"}):
        outcome = paystack.provider().start(plain_request(method="saved", saved=SAVED, **changes))
        assert isinstance(outcome, Pending)
        assert outcome.facts.extra["paused"] == "false"


@pytest.mark.parametrize(
    ("card", "expected"),
    [
        ({}, True),
        ({"reusable": False}, False),
        ({"reusable": "true"}, False),
        ({"reusable": None}, False),
        ({"authorization_code": None}, False),
        ({"authorization_code": " "}, False),
    ],
)
def test_only_what_can_be_charged_again_is_kept(
    paystack: ScriptedPaystack, card: dict[str, Any], expected: bool
) -> None:
    paystack.on(*VERIFY, 200, verified(authorization=authorization(**card), customer=None))
    request = plain_request(save_method=True)
    found = paystack.provider().look_up(LookUpRequest("start", request, None, None, {}, SENT_AT, SENT_AT))
    assert isinstance(found, Succeeded)
    method = found.facts.method
    assert (method is not None) == expected
    if method is not None:
        assert (method.email, method.provider_customer, method.bank) == ("ada@example.com", None, "TEST BANK")
        assert (method.brand, method.exp_month, method.exp_year, method.country) == ("visa", 3, 2034, "ZA")


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, {"status": True, "message": "Authorization has been deactivated"}, "done"),
        (400, refused("Authorization code is invalid"), "done"),
        (404, refused("Authorization not found"), "done"),
        (400, refused("authorization_code is required", "missing_params"), "invalid_request"),
        (401, refused("Invalid key"), "misconfigured"),
        (500, b"", "unknown"),
        (200, b"<html>", "unknown"),
    ],
)
def test_forgetting_says_what_it_came_to(paystack: ScriptedPaystack, status: int, body: Any, expected: str) -> None:
    paystack.on(*DEACTIVATE, status, body)
    outcome = paystack.provider().forget_method(ForgetRequest("key", SAVED))
    assert paystack.received[0].body == {"authorization_code": "AUTH_k7m2n9"}
    if expected == "done":
        assert isinstance(outcome, Succeeded)
    elif expected == "unknown":
        assert isinstance(outcome, Unknown)
    else:
        assert isinstance(outcome, NotExecuted)
        assert outcome.reason.value == expected


def customer(**changes: Any) -> CustomerRequest:
    person = Person(email="ada@example.com", name="Ada King Lovelace", phone="+27115550100")
    values: dict[str, Any] = {"customer_id": "cus_1", "provider_key": "cus_1:upsert", "person": person}
    return CustomerRequest(**(values | changes))


def test_a_customer_is_one_for_each_address(driver: Driver) -> None:
    provider = driver.provider()
    first, second = provider.upsert_customer(customer()), provider.upsert_customer(customer())
    assert isinstance(first, Succeeded)
    assert isinstance(second, Succeeded)
    assert str(first.facts.provider_id).startswith("CUS_")
    assert second.facts.provider_id == first.facts.provider_id
    changed = customer(provider_id=first.facts.provider_id, person=Person(email="new@example.com", name="Ada"))
    third = provider.upsert_customer(changed)
    assert isinstance(third, Succeeded)
    assert third.facts.provider_id == first.facts.provider_id


def test_a_customer_is_sent_as_paystack_knows_people(paystack: ScriptedPaystack) -> None:
    answer = {"status": True, "message": "Customer created", "data": {"customer_code": "CUS_a1", "id": 5}}
    paystack.on("POST", "/customer", 200, answer)
    paystack.on("PUT", "/customer/CUS_a1", 200, answer)
    provider = paystack.provider()
    provider.upsert_customer(customer())
    provider.upsert_customer(customer(provider_id="CUS_a1", person=Person(name="Ada")))
    made, changed = paystack.received
    assert made.body == {
        "email": "ada@example.com",
        "first_name": "Ada",
        "last_name": "King Lovelace",
        "phone": "+27115550100",
        "metadata": {"tollgate_customer": "cus_1"},
    }
    assert changed.body == {"first_name": "Ada", "last_name": "", "metadata": {"tollgate_customer": "cus_1"}}


def test_a_customer_without_an_address_is_not_sent(paystack: ScriptedPaystack) -> None:
    outcome = paystack.provider().upsert_customer(customer(person=Person(name="Ada")))
    assert isinstance(outcome, NotExecuted)
    assert outcome.param == "customer.email"
    assert not paystack.received


@pytest.mark.parametrize("data", [{}, None, {"customer_code": 5}])
def test_a_customer_without_a_code_is_unknown(paystack: ScriptedPaystack, data: Any) -> None:
    paystack.on("POST", "/customer", 200, {"status": True, "message": "ok", "data": data})
    assert isinstance(paystack.provider().upsert_customer(customer()), Unknown)


def test_a_customer_is_refused_by_the_field(paystack: ScriptedPaystack) -> None:
    paystack.on("POST", "/customer", 400, refused("Invalid Email Address Passed", "invalid_email_address"))
    outcome = paystack.provider().upsert_customer(customer())
    assert isinstance(outcome, NotExecuted)
    assert outcome.param == "customer.email"
