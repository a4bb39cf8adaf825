"""What a refusal of Paystack's proves, and which field of ours it is about: every row, written out."""

from __future__ import annotations

from typing import Any

import pytest

from core.domain.outcomes import NotExecuted, Unknown
from core.providers.paystack import changes, disputes
from core.providers.paystack.fields import FIELDS_BY_CODE, FIELDS_BY_MESSAGE
from core.providers.paystack.methods import GONE_MESSAGES, is_gone
from core.providers.paystack.outcomes import (
    ERROR_CODES,
    ERROR_MESSAGES,
    ERROR_TYPES,
    HTTP_CODES,
    HTTP_CODES_FIRST,
    NOT_FOUND_CODES,
    NOT_FOUND_MESSAGES,
    Answer,
    refusal,
    says_not_found,
)
from tests.providers.paystack_driver import refused

HTTP = {
    400: "invalid_request",
    401: "misconfigured",
    403: "misconfigured",
    404: "invalid_request",
    422: "invalid_request",
}
FIRST = {429: "rate_limited"}
CODES = {
    "duplicate_reference": "reference exists",
    "missing_params": "invalid_request",
    "invalid_params": "invalid_request",
    "transaction_not_found": "invalid_request",
    "invalid_key": "misconfigured",
    "invalid_Key": "misconfigured",
    "missing_authorization": "misconfigured",
}
MESSAGES = {
    "duplicate transaction reference": "reference exists",
    "invalid key": "misconfigured",
}
TYPES = {"processor_error": "the processor refused"}
ABSENT_CODES = ["transaction_not_found", "refund_not_found"]
ABSENT_MESSAGES = [
    "transaction reference not found",
    "transaction not found",
    "transaction not found for this integration",
    "refund not found",
    "refund not found for this integration",
    "dispute not found",
    "dispute not found for this integration",
    "preauthorization not found",
    "preauthorization not found for this integration",
]
GONE = [
    "authorization code is invalid",
    "authorization not found",
    "authorization is inactive",
    "authorization has been deactivated",
    "authorization has already been deactivated",
]
FIELDS_OF_CODES = [
    ("invalid_amount", "amount"),
    ("refund_amount_exceeded", "amount"),
    ("unsupported_currency", "currency"),
    ("invalid_email_address", "customer.email"),
    ("invalid_callback_url", "return_url"),
]
FIELDS_OF_MESSAGES = [
    ("invalid amount", "amount"),
    ("amount is required", "amount"),
    ("refund amount", "amount"),
    ("capture amount", "amount"),
    ("currency not supported", "currency"),
    ("currency is required", "currency"),
    ("invalid email", "customer.email"),
    ("email is required", "customer.email"),
    ("email does not match authorization", "payment_method.id"),
    ("authorization code", "payment_method.id"),
    ("authorization_code", "payment_method.id"),
    ("authorization is inactive", "payment_method.id"),
    ("callback_url", "return_url"),
    ("invalid callback_url", "return_url"),
    ("first_name", "customer.name"),
    ("last_name", "customer.name"),
    ("phone", "customer.phone"),
    ("metadata", "metadata"),
    ("customer_name", "evidence.customer_name"),
    ("customer_email", "evidence.customer_email"),
    ("customer_phone", "evidence.customer_phone"),
    ("service_details", "evidence.service_details"),
    ("delivery_address", "evidence.delivery_address"),
    ("delivery_date", "evidence.delivery_date"),
    ("message is required", "evidence.message"),
]


def test_these_tests_know_every_row() -> None:
    assert HTTP.keys() == HTTP_CODES.keys()
    assert FIRST.keys() == HTTP_CODES_FIRST.keys()
    assert CODES.keys() == ERROR_CODES.keys()
    assert MESSAGES.keys() == ERROR_MESSAGES.keys()
    assert TYPES.keys() == ERROR_TYPES.keys()
    assert set(ABSENT_CODES) == NOT_FOUND_CODES
    assert set(ABSENT_MESSAGES) == NOT_FOUND_MESSAGES
    assert set(GONE) == GONE_MESSAGES
    assert [code for code, _ in FIELDS_OF_CODES] == list(FIELDS_BY_CODE)
    assert [words for words, _ in FIELDS_OF_MESSAGES] == list(FIELDS_BY_MESSAGE)


def assert_verdict(outcome: Any, verdict: str) -> None:
    if isinstance(outcome, NotExecuted):
        assert outcome.reason.value == verdict
    else:
        assert isinstance(outcome, Unknown)
        assert outcome.evidence["seen"] == verdict


@pytest.mark.parametrize(("status", "reason"), HTTP.items())
def test_an_http_code_decides_where_the_body_does_not(status: int, reason: str) -> None:
    assert_verdict(refusal(Answer(status, refused("No"))), reason)


@pytest.mark.parametrize(("status", "reason"), FIRST.items())
def test_an_http_code_decides_whatever_the_body_says(status: int, reason: str) -> None:
    for body in (None, refused("Invalid key", "invalid_key"), {"status": True}):
        assert_verdict(refusal(Answer(status, body)), reason)


@pytest.mark.parametrize(("code", "verdict"), CODES.items())
@pytest.mark.parametrize("status", [200, 400, 404, 409])
def test_an_error_code_decides_before_the_http_code(status: int, code: str, verdict: str) -> None:
    assert_verdict(refusal(Answer(status, refused("No", code))), verdict)


@pytest.mark.parametrize(("message", "verdict"), MESSAGES.items())
@pytest.mark.parametrize("status", [200, 400, 404])
def test_a_message_decides_where_there_is_no_code(status: int, message: str, verdict: str) -> None:
    assert_verdict(refusal(Answer(status, refused(message.title() + "."))), verdict)


@pytest.mark.parametrize(("kind", "verdict"), TYPES.items())
def test_a_refusal_by_the_bank_proves_nothing_about_the_object(kind: str, verdict: str) -> None:
    assert_verdict(refusal(Answer(400, {**refused("No", "unknown"), "type": kind})), verdict)
    assert_verdict(refusal(Answer(400, {**refused("No", "invalid_params"), "type": kind})), "invalid_request")


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, None),
        Answer(200, {}),
        Answer(200, {"status": "true", "data": {}}),
        Answer(200, {"status": 1}),
        Answer(200, refused("No")),
        Answer(301, None),
        Answer(400, None),
        Answer(400, {"status": True}),
        Answer(401, None),
        Answer(409, refused("No")),
        Answer(500, refused("Invalid key", "invalid_params")),
        Answer(503, None),
    ],
    ids=str,
)
def test_what_proves_nothing_is_unknown(answer: Answer) -> None:
    assert isinstance(refusal(answer), Unknown)


def test_only_an_agreeing_answer_is_accepted() -> None:
    assert refusal(Answer(200, {"status": True})) is None
    assert refusal(Answer(201, {"status": True})) is None


@pytest.mark.parametrize("code", ABSENT_CODES)
def test_a_code_says_that_there_is_no_such_object(code: str) -> None:
    for status in (200, 400, 404):
        assert says_not_found(Answer(status, refused("Nothing", code)))


@pytest.mark.parametrize("message", ABSENT_MESSAGES)
def test_a_message_says_that_there_is_no_such_object(message: str) -> None:
    for status in (200, 400, 404):
        assert says_not_found(Answer(status, refused(message.capitalize() + ".", "not_found")))


@pytest.mark.parametrize(
    "answer",
    [
        Answer(404, None),
        Answer(404, refused("Route not found", "not_found")),
        Answer(500, refused("Transaction not found")),
        Answer(401, refused("Transaction not found")),
        Answer(200, {"status": True, "message": "Transaction not found"}),
        Answer(404, refused("Customer not found")),
    ],
    ids=str,
)
def test_anything_else_does_not_say_so(answer: Answer) -> None:
    assert not says_not_found(answer)


@pytest.mark.parametrize("message", GONE)
def test_a_card_that_cannot_be_charged_any_more_is_gone(message: str) -> None:
    assert is_gone(Answer(400, refused(message.capitalize() + ".")))
    assert is_gone(Answer(404, refused(message.capitalize())))
    assert not is_gone(Answer(401, refused(message.capitalize())))


def test_another_refusal_does_not_say_that_a_card_is_gone() -> None:
    assert not is_gone(Answer(400, refused("authorization_code is required")))


@pytest.mark.parametrize(
    ("message", "code", "field"),
    [
        *(("No", code, field) for code, field in FIELDS_OF_CODES),
        *((f"{words.capitalize()} and so on", "unknown", field) for words, field in FIELDS_OF_MESSAGES),
        ("Invalid Amount Sent. Minimum is NGN 50", "invalid_params", "amount"),
        ("Email is required", "missing_params", "customer.email"),
        ('"authorization_code" with value "8" fails to match', "invalid_params", "payment_method.id"),
        ("Capture amount cannot be more than authorized amount", "invalid_params", "amount"),
        ("Transaction has not been paid for", "invalid_params", None),
    ],
)
def test_a_refusal_names_the_field_in_our_words(message: str, code: str, field: str | None) -> None:
    outcome = refusal(Answer(400, refused(message, code)))
    assert isinstance(outcome, NotExecuted)
    assert (outcome.reason.value, outcome.param) == ("invalid_request", field)


def test_a_refusal_of_the_credentials_is_nobodys_field() -> None:
    outcome = refusal(Answer(401, refused("Amount is required")))
    assert isinstance(outcome, NotExecuted)
    assert (outcome.reason.value, outcome.param) == ("misconfigured", None)


def test_what_opens_a_page_or_charges_a_card_is_not_even_kept_sealed() -> None:
    card = {"authorization_code": "AUTH_1", "last4": "4081"}
    data = {"access_code": "x", "authorization_url": "https://x", "rows": [{"authorization": card}], "id": 1}
    kept = Answer(200, {"status": True, "data": data}).kept
    assert kept == {"status": True, "data": {"rows": [{"authorization": {"last4": "4081"}}], "id": 1}}


def test_what_paystack_wants_of_evidence() -> None:
    assert set(disputes._REQUIRED) == {"customer_email", "customer_name", "customer_phone", "service_details"}
    assert set(disputes._OPTIONAL) == {"delivery_address", "delivery_date"}


def test_refusals_of_an_integration_that_has_no_holds() -> None:
    assert {one.value for one in changes.NO_HOLDS} == {"invalid_request", "misconfigured"}
