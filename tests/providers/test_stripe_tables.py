"""Stripe's literal tables, row by row: no network, and no row without a test."""

from __future__ import annotations

from typing import Any

import pytest

from core.domain.money import CURRENCIES as ISO
from core.domain.money import digits
from core.domain.outcomes import (
    ActionRequired,
    Canceled,
    DeclineCategory,
    Declined,
    NotFound,
    Pending,
    Succeeded,
    Unknown,
)
from core.providers.base import step_of
from core.providers.stripe import StripeProvider, outcomes
from core.providers.stripe.currencies import CURRENCIES, Inexact, from_stripe, to_stripe
from core.providers.stripe.marks import start_marks
from core.providers.stripe.redaction import redacted
from core.providers.stripe.start_params import with_payment
from tests.providers.driver import start_request

ERROR = {"code": "card_declined", "decline_code": "insufficient_funds"}
INTENT: dict[str, Any] = {
    "id": "pi_1",
    "object": "payment_intent",
    "amount": 1000,
    "amount_capturable": 0,
    "amount_received": 0,
    "capture_method": "automatic",
    "client_secret": "pi_1_secret_x",
    "created": 1_790_000_000,
    "currency": "usd",
    "latest_charge": "ch_1",
    "metadata": {},
}
STARTED = {
    "requires_payment_method": Declined,
    "requires_confirmation": Unknown,
    "requires_action": ActionRequired,
    "processing": Pending,
    "requires_capture": Succeeded,
    "succeeded": Succeeded,
    "canceled": Canceled,
}
CAPTURED = {
    "requires_payment_method": Declined,
    "requires_confirmation": NotFound,
    "requires_action": NotFound,
    "processing": Pending,
    "requires_capture": NotFound,
    "succeeded": Succeeded,
    "canceled": Canceled,
}
VOIDED = dict.fromkeys(STARTED, NotFound) | {"succeeded": Declined, "canceled": Succeeded}
REFUNDED = {
    "pending": Pending,
    "requires_action": ActionRequired,
    "succeeded": Succeeded,
    "failed": Declined,
    "canceled": Canceled,
}


@pytest.mark.parametrize("status", STARTED)
def test_a_start_reads(status: str) -> None:
    read = outcomes.read_start({**INTENT, "status": status, "last_payment_error": ERROR})
    assert type(read) is STARTED[status]


@pytest.mark.parametrize("status", CAPTURED)
def test_a_capture_reads(status: str) -> None:
    read = outcomes.read_capture({**INTENT, "status": status, "last_payment_error": ERROR})
    assert type(read) is CAPTURED[status]


@pytest.mark.parametrize("status", VOIDED)
def test_a_void_reads(status: str) -> None:
    assert type(outcomes.read_void({**INTENT, "status": status})) is VOIDED[status]


@pytest.mark.parametrize("status", REFUNDED)
def test_a_refund_reads(status: str) -> None:
    refund = {"id": "re_1", "object": "refund", "amount": 5, "currency": "usd", "status": status}
    assert type(outcomes.read_refund(refund)) is REFUNDED[status]


def test_the_tables_and_the_tests_have_the_same_rows() -> None:
    assert set(outcomes.START) == set(STARTED)
    assert set(outcomes.CAPTURE) == set(CAPTURED)
    assert set(outcomes.VOID) == set(VOIDED)
    assert set(outcomes.COMPLETE_SESSION) == set(COMPLETE)
    assert set(outcomes.REFUND) == set(REFUNDED)
    assert set(outcomes.SESSION) == {"open", "complete", "expired"}
    assert set(outcomes.VOID_SESSION) == {"open", "expired"}


@pytest.mark.parametrize("status", ["", None, 5, "something_new"])
def test_a_status_we_do_not_know_is_unknown(status: Any) -> None:
    for read in (outcomes.read_start, outcomes.read_capture, outcomes.read_void, outcomes.read_refund):
        assert type(read({**INTENT, "status": status})) is Unknown


def test_an_intent_that_was_never_tried_is_not_a_decline() -> None:
    read = outcomes.read_start({**INTENT, "status": "requires_payment_method", "last_payment_error": None})
    assert type(read) is Unknown


def test_a_declined_intent_asks_to_be_canceled() -> None:
    read = outcomes.read_start({**INTENT, "status": "requires_payment_method", "last_payment_error": ERROR})
    assert isinstance(read, Declined)
    assert read.facts.extra[outcomes.CANCEL_AFTER_DECLINE] == "pi_1"


def test_the_cancel_after_a_decline_still_reads_as_the_decline() -> None:
    """Its webhook may come before the answer to start is committed."""
    body = {**INTENT, "status": "canceled", "cancellation_reason": "abandoned", "last_payment_error": ERROR}
    read = outcomes.read_start(body)
    assert isinstance(read, Declined)
    assert read.decline.code == "insufficient_funds"
    assert type(outcomes.read_start({**body, "cancellation_reason": "automatic"})) is Canceled


def test_a_failed_authentication_is_for_the_customer() -> None:
    error = {"code": "payment_intent_authentication_failure", "type": "invalid_request_error"}
    read = outcomes.read_start({**INTENT, "status": "requires_payment_method", "last_payment_error": error})
    assert isinstance(read, Declined)
    assert (read.decline.code, read.decline.category) == ("authentication_failed", DeclineCategory.CUSTOMER_ACTION)


def test_a_hold_that_was_captured_in_part_reads_as_both() -> None:
    body = {**INTENT, "status": "succeeded", "capture_method": "manual", "amount_received": 400}
    start, capture = outcomes.read_start(body), outcomes.read_capture(body)
    assert isinstance(start, Succeeded)
    assert (start.facts.amount, start.facts.amount_authorized, start.facts.amount_received) == (1000, 1000, None)
    assert isinstance(capture, Succeeded)
    assert (capture.facts.amount, capture.facts.amount_captured) == (400, 400)


SESSION: dict[str, Any] = {
    "id": "cs_1",
    "object": "checkout.session",
    "amount_total": 1000,
    "currency": "usd",
    "expires_at": 1_790_086_400,
    "payment_intent": None,
    "payment_status": "unpaid",
    "status": "open",
    "url": "https://checkout.example/1",
}
COMPLETE = {
    "requires_payment_method": Declined,
    "requires_confirmation": Pending,
    "requires_action": Pending,
    "processing": Pending,
    "requires_capture": Succeeded,
    "succeeded": Succeeded,
    "canceled": Canceled,
}


@pytest.mark.parametrize("status", COMPLETE)
def test_a_complete_session_reads_by_its_intent(status: str) -> None:
    intent = {**INTENT, "status": status, "last_payment_error": ERROR}
    read = outcomes.read_session({**SESSION, "status": "complete", "payment_intent": intent})
    assert type(read) is COMPLETE[status]
    assert read.facts.provider_id == "cs_1"  # type: ignore[union-attr]
    assert read.facts.provider_charge_id == "pi_1"  # type: ignore[union-attr]


def test_a_failed_try_leaves_the_session_open() -> None:
    intent = {**INTENT, "status": "requires_payment_method", "last_payment_error": ERROR}
    read = outcomes.read_session({**SESSION, "payment_intent": intent})
    assert isinstance(read, ActionRequired)
    assert read.next_action is not None
    assert read.next_action.url == SESSION["url"]
    assert read.next_action.expires_at is not None
    assert read.next_action.expires_at.tzinfo is not None


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"status": "expired", "url": None}, Canceled),
        ({"status": "complete", "payment_status": "paid", "payment_intent": "pi_1"}, Succeeded),
        ({"status": "complete", "payment_status": "unpaid", "payment_intent": "pi_1"}, Unknown),
        ({"status": "complete", "payment_status": "no_payment_required"}, Unknown),
        ({"status": "new"}, Unknown),
    ],
)
def test_a_session_reads(changes: dict[str, Any], kind: type) -> None:
    assert type(outcomes.read_session({**SESSION, **changes})) is kind


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({}, NotFound),
        ({"status": "expired"}, Succeeded),
        ({"status": "complete", "payment_intent": {**INTENT, "status": "succeeded"}}, Declined),
        ({"status": "complete", "payment_intent": {**INTENT, "status": "requires_capture"}}, NotFound),
        ({"status": "complete", "payment_intent": {**INTENT, "status": "canceled"}}, Succeeded),
        ({"status": "complete", "payment_intent": "pi_1"}, Unknown),
    ],
)
def test_a_session_reads_as_a_void(changes: dict[str, Any], kind: type) -> None:
    assert type(outcomes.read_void({**SESSION, **changes})) is kind


@pytest.mark.parametrize(
    ("amount", "currency", "units"),
    [
        (1050, "USD", 1050),
        (500, "JPY", 500),
        (500, "KRW", 500),
        (5, "ISK", 500),
        (5, "UGX", 500),
        (5_00, "MGA", 5),
        (5120, "KWD", 5120),
        (5120, "BHD", 5120),
        (1000, "XOF", 1000),
    ],
)
def test_amounts_go_to_stripe_and_back(amount: int, currency: str, units: int) -> None:
    assert to_stripe(amount, currency) == units
    assert from_stripe(units, currency) == amount


@pytest.mark.parametrize(("amount", "currency"), [(5124, "KWD"), (1, "TND"), (5_01, "MGA")])
def test_an_amount_stripe_cannot_take_is_refused(amount: int, currency: str) -> None:
    with pytest.raises(Inexact):
        to_stripe(amount, currency)


def test_an_answer_we_cannot_say_in_our_units_is_unknown() -> None:
    with pytest.raises(Inexact):
        from_stripe(550, "ISK")
    read = outcomes.read_start({**INTENT, "status": "succeeded", "currency": "isk", "amount": 550})
    assert isinstance(read, Unknown)


def test_every_currency_is_iso_and_has_its_limits() -> None:
    assert set(CURRENCIES) <= ISO
    assert len(CURRENCIES) > 130
    for currency, limit in CURRENCIES.items():
        assert 1 <= limit.minimum < limit.maximum, currency
        assert digits(currency) in (0, 2, 3)
    limits = StripeProvider.capabilities.currencies
    assert (limits["USD"].minimum, limits["USD"].maximum) == (50, 99_999_999)
    assert (limits["GBP"].minimum, limits["JPY"].minimum, limits["ISK"].minimum) == (30, 50, 1)
    assert limits["ISK"].maximum == 999_999


def test_what_is_declared_is_what_can_be_sent() -> None:
    """The router refuses by the declared limits, the provider by its conversion: they have to agree."""
    able = StripeProvider.capabilities
    for currency, limit in able.currencies.items():
        step = step_of(able, currency)
        assert step == limit.step
        for amount in (limit.minimum, limit.minimum + step, limit.maximum):
            assert from_stripe(to_stripe(amount, currency), currency) == amount
        for amount in {limit.minimum + 1, limit.minimum + step - 1} if step > 1 else ():
            with pytest.raises(Inexact):
                to_stripe(amount, currency)
    stepped = {currency: step_of(able, currency) for currency in able.currencies if step_of(able, currency) > 1}
    assert stepped == {"BHD": 10, "JOD": 10, "KWD": 10, "OMR": 10, "TND": 10, "MGA": 100}
    assert step_of(able, "XXX") == 1


def test_secrets_are_removed_however_deep() -> None:
    body = {"id": 1, "client_secret": "s", "next_action": {"use_stripe_sdk": {"a": 1}, "list": [{"client_secret": 2}]}}
    assert redacted(body) == {"id": 1, "next_action": {"list": [{}]}}
    assert redacted({"payment_intent_client_secret": "s", "deep": {"secret": "s"}}) == {"deep": {}}


def test_our_marks_win_and_only_what_fits_is_copied() -> None:
    metadata = {"order": "42", "tollgate_transaction": "theirs", "a[b]": "x", "k" * 41: "x", "": "x", "big": "x" * 501}
    metadata |= {f"n{number:02}": "x" for number in range(60)}
    request = start_request("token", "charge", 100, "USD", metadata=metadata, reference="inv-1")
    marks = start_marks(request)
    assert marks["tollgate_transaction"] == request.transaction_id
    assert marks["tollgate_payment"] == request.payment_id
    assert len(marks) <= 50
    assert not {"a[b]", "k" * 41, "", "big"} & set(marks)


@pytest.mark.parametrize(
    ("url", "back"),
    [
        ("https://shop.example", "https://shop.example?tollgate_payment=pay_1"),
        ("https://shop.example/a?b=1&c=%20#top", "https://shop.example/a?b=1&c=%20&tollgate_payment=pay_1#top"),
        ("https://shop.example/?tollgate_payment=old", "https://shop.example/?tollgate_payment=pay_1"),
        (
            "https://shop.example/?s={CHECKOUT_SESSION_ID}",
            "https://shop.example/?s={CHECKOUT_SESSION_ID}&tollgate_payment=pay_1",
        ),
    ],
)
def test_the_way_back_names_the_payment(url: str, back: str) -> None:
    assert with_payment(url, "pay_1") == back
