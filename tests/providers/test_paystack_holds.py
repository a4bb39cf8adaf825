"""Preauthorization: rand held on a page or on a saved card, captured once, released, or expired."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from core.domain.outcomes import (
    ActionRequired,
    Canceled,
    Declined,
    Facts,
    LookUp,
    NotExecuted,
    NotExecutedReason,
    NotFound,
    Pending,
    Succeeded,
    Unknown,
)
from core.providers.base import CaptureRequest, ChargeRef, LookUpRequest, SavedMethod, StartRequest, VoidRequest
from tests.providers.driver import fresh, look_up_of, start_request, submit
from tests.providers.paystack_contract import PaystackDriver
from tests.providers.paystack_driver import (
    CHARGE,
    NUMBER,
    PAYMENT,
    REFERENCE,
    SENT_AT,
    ScriptedPaystack,
    hold_answer,
    refused,
    scripted,
    verified,
)
from tests.support.sandboxes import Sandbox

DAY = 86_400
CAPTURE = ("POST", "/preauthorization/capture")
RELEASE = ("POST", "/preauthorization/release")
VERIFY_HOLD = ("GET", f"/preauthorization/verify/{REFERENCE}")
VERIFY = ("GET", f"/transaction/verify/{REFERENCE}")
GOOD, POOR, CAPTURE_FAILS, CAPTURE_LATE, RELEASE_FAILS = (
    "4084084084084081", "4084080000001002", "4084080000001006", "4084080000001007", "4084080000001008"
)  # fmt: skip


@pytest.fixture
def driver(sandboxes: dict[str, Sandbox]) -> PaystackDriver:
    return PaystackDriver(sandboxes["paystack"])


@pytest.fixture
def paystack() -> Iterator[ScriptedPaystack]:
    with scripted() as running:
        yield running


def hold_request(driver: PaystackDriver, **changes: Any) -> StartRequest:
    return replace(driver.request("authorize", 1000_00), currency="ZAR", **changes)


def held(driver: PaystackDriver, card: str = GOOD, **changes: Any) -> tuple[StartRequest, Facts]:
    provider, request = driver.provider(), hold_request(driver, **changes)
    page = provider.start(request)
    assert isinstance(page, ActionRequired)
    assert page.next_action
    assert isinstance(provider.look_up(look_up_of(request)), ActionRequired)
    submit(str(page.next_action.url), action="pay", card=card)
    found = provider.look_up(look_up_of(request, page.facts))
    assert isinstance(found, Succeeded)
    return request, found.facts


def capture_of(start: StartRequest, facts: Facts, amount: int = 1000_00) -> CaptureRequest:
    key = f"{start.payment_id}:capture:1"
    return CaptureRequest(
        start.payment_id, fresh("transaction"), key, str(facts.provider_id), amount, "ZAR", facts.extra
    )


def void_of(start: StartRequest, facts: Facts) -> VoidRequest:
    key = f"{start.payment_id}:void:1"
    return VoidRequest(
        start.payment_id, fresh("transaction"), key, str(facts.provider_id), start.amount, "ZAR", facts.extra
    )


def asked_about_the_hold(driver: PaystackDriver, start: StartRequest, facts: Facts) -> LookUp:
    """As orchestration asks about a hold that nobody of us captured or released."""
    return driver.provider().look_up(look_up_of(capture_of(start, facts), facts))


def test_a_hold_takes_no_money_and_knows_what_it_is(driver: PaystackDriver) -> None:
    start, facts = held(driver, save_method=True)
    assert (facts.amount, facts.amount_authorized, facts.currency) == (1000_00, 1000_00, "ZAR")
    assert facts.amount_received is None
    assert facts.provider_charge_id is None
    assert facts.extra["object"] == "preauthorization"
    assert facts.method is not None
    ledger = driver.ledger()
    assert ledger["charges"] == []
    assert [hold["held"] for hold in ledger["holds"]] == [True]
    assert isinstance(asked_about_the_hold(driver, start, facts), NotFound)


def test_a_part_is_captured_once_and_can_be_given_back(driver: PaystackDriver) -> None:
    start, facts = held(driver)
    provider, request = driver.provider(), capture_of(start, facts, 800_00)
    outcome = provider.capture(request)
    assert isinstance(outcome, Succeeded)
    taken = outcome.facts
    assert (taken.amount_captured, taken.amount_received, taken.currency, taken.fee) == (800_00, 800_00, "ZAR", 24_20)
    found = provider.look_up(look_up_of(request, taken))
    assert isinstance(found, Succeeded)
    assert (found.facts.amount_captured, found.facts.provider_charge_id) == (800_00, taken.provider_charge_id)
    seen = asked_about_the_hold(driver, start, facts)
    assert isinstance(seen, Succeeded)
    assert seen.facts.amount_captured == 800_00
    refund = driver.refund_request(start, facts, 300_00)
    assert isinstance(provider.refund(refund), Pending)
    assert isinstance(provider.look_up(look_up_of(refund)), Pending)
    [listed] = provider.list_refunds(ChargeRef(str(facts.provider_id), None, facts.extra))  # type: ignore[misc]
    assert listed.transaction_id == refund.transaction_id


def test_a_second_capture_finds_what_the_first_took(driver: PaystackDriver) -> None:
    start, facts = held(driver)
    provider = driver.provider()
    provider.capture(capture_of(start, facts, 800_00))
    again = provider.capture(capture_of(start, facts, 100_00))
    assert isinstance(again, Succeeded)
    assert again.facts.amount_captured == 800_00  # the caller compares
    assert isinstance(provider.void(void_of(start, facts)), Declined)


def test_more_than_is_held_is_refused_by_its_field(driver: PaystackDriver) -> None:
    start, facts = held(driver)
    outcome = driver.provider().capture(capture_of(start, facts, 1000_01))
    assert isinstance(outcome, NotExecuted)
    assert (outcome.reason, outcome.param) == (NotExecutedReason.INVALID_REQUEST, "amount")


def test_a_hold_is_released(driver: PaystackDriver) -> None:
    start, facts = held(driver)
    provider, request = driver.provider(), void_of(start, facts)
    assert isinstance(provider.look_up(look_up_of(request)), NotFound)
    for _ in range(2):  # a repeated release finds it done
        assert isinstance(provider.void(request), Succeeded)
    assert isinstance(provider.look_up(look_up_of(request)), Succeeded)
    assert isinstance(asked_about_the_hold(driver, start, facts), Canceled)
    assert isinstance(provider.capture(capture_of(start, facts)), Canceled)
    assert driver.charged() == []


def test_a_hold_that_expires_is_canceled(driver: PaystackDriver) -> None:
    start, facts = held(driver)
    driver.sandbox.post("clock", advance_seconds=6 * DAY)
    assert isinstance(asked_about_the_hold(driver, start, facts), Canceled)
    assert isinstance(driver.provider().look_up(look_up_of(start, facts)), Canceled)


def test_a_capture_the_bank_refuses_is_declined(driver: PaystackDriver) -> None:
    start, facts = held(driver, CAPTURE_FAILS)
    request = capture_of(start, facts)
    for outcome in (driver.provider().capture(request), driver.provider().look_up(look_up_of(request))):
        assert isinstance(outcome, Declined)
    assert driver.charged() == []


def test_a_capture_the_bank_answers_later_is_pending_first(driver: PaystackDriver) -> None:
    start, facts = held(driver, CAPTURE_LATE)
    provider, request = driver.provider(), capture_of(start, facts)
    for outcome in (provider.capture(request), provider.look_up(look_up_of(request))):
        assert isinstance(outcome, Pending)
    driver.sandbox.post("clock", advance_seconds=5)
    found = provider.look_up(look_up_of(request))
    assert isinstance(found, Succeeded)
    assert found.facts.amount_captured == 1000_00


def test_a_release_that_fails_is_settled_by_reading_the_hold(driver: PaystackDriver) -> None:
    start, facts = held(driver, RELEASE_FAILS)
    provider, request = driver.provider(), void_of(start, facts)
    assert isinstance(provider.void(request), Unknown)
    found = provider.look_up(look_up_of(request))
    assert isinstance(found, Declined)
    assert found.decline.code == "release_failed"
    assert isinstance(asked_about_the_hold(driver, start, facts), NotFound)


@pytest.mark.parametrize("effect", ["reset_after", "cut_body", "html"])
def test_a_lost_capture_is_settled_by_verify(driver: PaystackDriver, effect: str) -> None:
    start, facts = held(driver)
    request = capture_of(start, facts, 800_00)
    driver.fault(effect, "preauthorization.capture")
    assert isinstance(driver.provider().capture(request), Unknown)
    found = driver.provider().look_up(look_up_of(request))
    assert isinstance(found, Succeeded)
    assert found.facts.amount_captured == 800_00


def test_a_capture_that_never_arrived_is_not_found(driver: PaystackDriver) -> None:
    start, facts = held(driver)
    request = capture_of(start, facts)
    driver.fault("reset_before", "preauthorization.capture")
    assert isinstance(driver.provider().capture(request), Unknown)
    assert isinstance(driver.provider().look_up(look_up_of(request)), NotFound)


def test_a_lost_release_is_settled_by_verify(driver: PaystackDriver) -> None:
    start, facts = held(driver)
    request = void_of(start, facts)
    driver.fault("reset_after", "preauthorization.release")
    assert isinstance(driver.provider().void(request), Unknown)
    assert isinstance(driver.provider().look_up(look_up_of(request)), Succeeded)


@pytest.mark.parametrize(("card", "expected"), [(GOOD, Succeeded), (POOR, Declined)])
def test_a_saved_card_is_held_without_a_page(driver: PaystackDriver, card: str, expected: type) -> None:
    _, facts = held(driver, card, save_method=True)
    assert facts.method
    saved = SavedMethod(facts.method.token, facts.method.provider_customer, facts.method.email)
    request = start_request("saved", "authorize", 500_00, "ZAR", saved=saved, off_session=True)
    provider = driver.provider()
    outcome = provider.start(request)
    assert type(outcome) is expected
    found = provider.look_up(look_up_of(request))
    assert type(found) is expected
    if isinstance(outcome, Succeeded):
        assert outcome.facts.amount_authorized == 500_00
        assert isinstance(provider.capture(capture_of(request, outcome.facts, 500_00)), Succeeded)


def test_a_failed_try_on_the_page_of_a_hold_is_not_the_last(driver: PaystackDriver) -> None:
    provider, request = driver.provider(), hold_request(driver)
    page = provider.start(request)
    assert isinstance(page, ActionRequired)
    driver.press(page, "decline")
    found = provider.look_up(look_up_of(request))
    assert isinstance(found, ActionRequired)
    driver.press(page, "pay")
    assert isinstance(provider.look_up(look_up_of(request)), Succeeded)


def test_a_hold_that_was_lost_on_its_way_is_not_found(driver: PaystackDriver) -> None:
    request = hold_request(driver)
    driver.fault("reset_before", "preauthorization.initialize")
    assert isinstance(driver.provider().start(request), Unknown)
    assert isinstance(driver.provider().look_up(look_up_of(request)), NotFound)


def scripted_capture(currency: str = "ZAR") -> CaptureRequest:
    return CaptureRequest(PAYMENT, "txn_00000000000000000000000003", "k", REFERENCE, 800_00, currency)


def scripted_void() -> VoidRequest:
    return VoidRequest(PAYMENT, "txn_00000000000000000000000003", "k", REFERENCE, 1000_00, "ZAR")


def ask(paystack: ScriptedPaystack, request: CaptureRequest | VoidRequest) -> LookUp:
    operation: Any = "capture" if isinstance(request, CaptureRequest) else "void"
    return paystack.provider().look_up(LookUpRequest(operation, request, REFERENCE, None, {}, SENT_AT, SENT_AT))


def test_what_is_sent_names_the_hold_and_the_sum(paystack: ScriptedPaystack) -> None:
    paystack.on(*CAPTURE, 200, verified(amount=80000, requested_amount=None, currency="ZAR", channel="preauth"))
    paystack.on(*RELEASE, 200, {"status": True, "data": {"status": "released", "reference": REFERENCE}})
    assert isinstance(paystack.provider().capture(scripted_capture()), Succeeded)
    assert isinstance(paystack.provider().void(scripted_void()), Succeeded)
    captured, released = paystack.received
    assert captured.body == {"reference": REFERENCE, "currency": "ZAR", "amount": 80000}
    assert released.body == {"reference": REFERENCE}


def test_another_currency_than_rand_is_not_sent(paystack: ScriptedPaystack) -> None:
    outcome = paystack.provider().capture(scripted_capture("NGN"))
    assert isinstance(outcome, NotExecuted)
    assert outcome.param == "currency"
    assert not paystack.received


def test_a_release_that_is_accepted_and_not_done_is_pending(paystack: ScriptedPaystack) -> None:
    paystack.on(*RELEASE, 200, {"status": True, "data": {"status": "authorized", "reference": REFERENCE}})
    outcome = paystack.provider().void(scripted_void())
    assert isinstance(outcome, Pending)
    assert outcome.facts.provider_id == REFERENCE


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, refused("Preauthorization not found", "not_found")),
        (401, refused("Invalid key")),
        (500, b"x"),
        (200, b"<html>"),
        (200, hold_answer("captured", reference="another")),
        (200, hold_answer("surprising")),
    ],
)
def test_a_hold_that_cannot_be_read_tells_nothing(paystack: ScriptedPaystack, status: int, body: Any) -> None:
    """Least of all that nothing was captured: an answer named it before, so it is not simply absent."""
    paystack.on(*VERIFY_HOLD, status, body)
    for request in (scripted_capture(), scripted_void()):
        assert isinstance(ask(paystack, request), Unknown)


@pytest.mark.parametrize(
    ("status", "body"), [(404, refused("Transaction reference not found")), (500, b"x"), (200, verified(amount=None))]
)
def test_a_capture_without_its_sum_is_unknown(paystack: ScriptedPaystack, status: int, body: Any) -> None:
    paystack.on(*VERIFY_HOLD, 200, hold_answer("captured"))
    paystack.on(*VERIFY, status, body)
    assert isinstance(ask(paystack, scripted_capture()), Unknown)


@pytest.mark.parametrize("hold", [hold_answer("authorized"), hold_answer("surprising"), b"<html>"])
def test_a_refusal_stands_unless_the_hold_says_otherwise(paystack: ScriptedPaystack, hold: Any) -> None:
    for call in (CAPTURE, RELEASE):
        paystack.on(*call, 400, refused("Not now", "invalid_params"))
    paystack.on(*VERIFY_HOLD, 200, hold)
    provider = paystack.provider()
    for outcome in (provider.capture(scripted_capture()), provider.void(scripted_void())):
        assert isinstance(outcome, NotExecuted)
        assert outcome.reason is NotExecutedReason.INVALID_REQUEST


def test_refused_credentials_are_not_asked_about(paystack: ScriptedPaystack) -> None:
    paystack.on(*CAPTURE, 401, refused("Invalid key"))
    outcome = paystack.provider().capture(scripted_capture())
    assert isinstance(outcome, NotExecuted)
    assert outcome.reason is NotExecutedReason.MISCONFIGURED
    assert len(paystack.received) == 1


def test_the_marks_of_the_hold_are_no_contradiction(paystack: ScriptedPaystack) -> None:
    """A capture's transaction carries the hold's metadata: the start's mark, and the payment's."""
    marks = {"tollgate_transaction": CHARGE, "tollgate_payment": PAYMENT}
    paystack.on(*VERIFY_HOLD, 200, hold_answer("captured"))
    paystack.on(*VERIFY, 200, verified(amount=80000, requested_amount=None, currency="ZAR", metadata=marks))
    found = ask(paystack, scripted_capture())
    assert isinstance(found, Succeeded)
    assert (found.facts.amount_captured, found.facts.provider_charge_id) == (80000, str(NUMBER))
