"""What a failed call proves, row by row: what stands here is written down apart from the tables."""

from __future__ import annotations

from typing import Any

import pytest
import stripe
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from core.domain.outcomes import NotExecuted, NotExecutedReason, Unknown
from core.providers.stripe import failures
from core.providers.stripe.failures import failure_of
from core.providers.stripe.fields import FIELDS, OF_SAVED, field_of
from core.providers.transport import TransportError

CONNECTION = NotExecutedReason.CONNECTION
LIMITED = NotExecutedReason.RATE_LIMITED
BUSY = NotExecutedReason.LOCK_TIMEOUT
WRONG_KEY = NotExecutedReason.MISCONFIGURED
INVALID = NotExecutedReason.INVALID_REQUEST
#: What has no reason of its own here is Unknown.
OPEN = None


#: What the merchant or the operator reads, by verdict.
SENTENCES = {
    "not_sent": "Stripe could not be reached",
    "rate_limited": "Stripe's rate limit is reached",
    "lock_timeout": "Stripe is still busy with this object or key",
    "misconfigured": "Stripe refused the credentials",
    "invalid_request": "Stripe refused the request",
    "already": "Stripe refused the request in this state",
}


def failed(kind: type[stripe.StripeError], status: int | None, **error: Any) -> failures.Failure:
    body = {"error": error} if error else None
    named: dict[str, Any] = {"http_status": status, "json_body": body}
    if kind in (stripe.CardError, stripe.InvalidRequestError):
        named["param"] = None
    if kind is stripe.CardError:
        named["code"] = error.get("code")
    return failure_of(kind("message", **named))


#: The wire (exception of the package, status, `error.code`), our verdict, the reason it becomes.
ROWS: list[tuple[type[stripe.StripeError], int | None, str | None, str, NotExecutedReason | None]] = [
    (stripe.CardError, 402, "card_declined", "declined", OPEN),
    (stripe.RateLimitError, 429, None, "rate_limited", LIMITED),
    (stripe.RateLimitError, 429, "rate_limit", "rate_limited", LIMITED),
    (stripe.RateLimitError, 429, "lock_timeout", "lock_timeout", BUSY),
    (stripe.AuthenticationError, 401, None, "misconfigured", WRONG_KEY),
    (stripe.AuthenticationError, 401, "api_key_expired", "misconfigured", WRONG_KEY),
    (stripe.InvalidRequestError, 400, "api_key_expired", "misconfigured", WRONG_KEY),
    (stripe.InvalidRequestError, 400, "secret_key_required", "misconfigured", WRONG_KEY),
    (stripe.InvalidRequestError, 400, "testmode_charges_only", "misconfigured", WRONG_KEY),
    (stripe.PermissionError, 403, None, "misconfigured", WRONG_KEY),
    (stripe.InvalidRequestError, 400, None, "invalid_request", INVALID),
    (stripe.InvalidRequestError, 400, "parameter_missing", "invalid_request", INVALID),
    (stripe.InvalidRequestError, 404, "resource_missing", "invalid_request", INVALID),
    (stripe.InvalidRequestError, 400, "payment_intent_unexpected_state", "already", INVALID),
    (stripe.InvalidRequestError, 400, "charge_already_captured", "already", INVALID),
    (stripe.InvalidRequestError, 400, "charge_already_refunded", "already", INVALID),
    (stripe.InvalidRequestError, 400, "charge_expired_for_capture", "already", INVALID),
    (stripe.InvalidRequestError, 400, "capture_charge_authorization_expired", "already", INVALID),
    (stripe.InvalidRequestError, 400, "rate_limit", "rate_limited", LIMITED),
    (stripe.IdempotencyError, 400, None, "unknown", OPEN),
    (stripe.APIError, 409, None, "lock_timeout", BUSY),
    (stripe.APIError, 409, "idempotency_key_in_use", "lock_timeout", BUSY),
    (stripe.InvalidRequestError, 400, "idempotency_key_in_use", "lock_timeout", BUSY),
    (stripe.InvalidRequestError, 400, "lock_timeout", "lock_timeout", BUSY),
    (stripe.APIError, 500, None, "unknown", OPEN),
    (stripe.APIError, 500, "rate_limit", "unknown", OPEN),
    (stripe.APIError, 502, None, "unknown", OPEN),
    (stripe.APIError, 503, None, "unknown", OPEN),
    (stripe.APIError, 504, "lock_timeout", "unknown", OPEN),
    (stripe.APIError, 200, None, "unknown", OPEN),
    (stripe.APIError, 418, None, "unknown", OPEN),
    (stripe.APIError, None, None, "unknown", OPEN),
    (stripe.APIConnectionError, None, None, "unknown", OPEN),
    (stripe.APIConnectionError, 200, "rate_limit", "unknown", OPEN),
    (stripe.StripeError, 400, None, "unknown", OPEN),
]


@pytest.mark.parametrize(("kind", "status", "code", "verdict", "reason"), ROWS)
def test_a_failed_call_proves(
    kind: type[stripe.StripeError],
    status: int | None,
    code: str | None,
    verdict: str,
    reason: NotExecutedReason | None,
) -> None:
    failure = failed(kind, status, **({"code": code} if code else {}))
    assert failure.verdict == verdict
    outcome = failure.outcome()
    if reason is OPEN:
        assert isinstance(outcome, Unknown)
        assert outcome.evidence["exception"] == kind.__name__
    else:
        assert isinstance(outcome, NotExecuted)
        assert (outcome.reason, outcome.provider_code) == (reason, code)
        assert outcome.detail == f"{SENTENCES[verdict]} ({code})" if code else SENTENCES[verdict]


def test_no_row_is_without_a_test() -> None:
    assert set(failures.BY_CODE) <= {row[2] for row in ROWS}
    assert set(failures.BY_EXCEPTION) == {row[0] for row in ROWS} - {stripe.StripeError}
    assert set(failures.BY_STATUS) <= {row[1] for row in ROWS}


@pytest.mark.parametrize(
    ("cause", "sent", "verdict"),
    [
        (NewConnectionError(None, "refused"), False, "not_sent"),  # type: ignore[arg-type]
        (ConnectTimeoutError(), False, "not_sent"),
        (ConnectionResetError(), True, "unknown"),
        (TimeoutError(), True, "unknown"),
    ],
)
def test_never_sent_is_read_from_the_causes_alone(cause: BaseException, sent: bool, verdict: str) -> None:
    error = stripe.APIConnectionError("no answer")  # type: ignore[no-untyped-call]
    error.__cause__ = TransportError(type(cause).__name__, sent, None, {})
    error.__cause__.__cause__ = cause
    failure = failure_of(error)
    assert failure.verdict == verdict
    outcome = failure.outcome()
    assert isinstance(outcome, NotExecuted) is (verdict == "not_sent")
    if isinstance(outcome, NotExecuted):
        assert (outcome.reason, outcome.detail) == (CONNECTION, SENTENCES["not_sent"])


@pytest.mark.parametrize(
    ("kind", "status", "sentence"),
    [
        (stripe.AuthenticationError, 401, "copy it again"),
        (stripe.RateLimitError, 429, "in a minute"),
        (stripe.APIError, 500, "HTTP 500"),
    ],
)
def test_an_operator_is_told_what_to_do(kind: type[stripe.StripeError], status: int, sentence: str) -> None:
    assert sentence in failed(kind, status).advice()


def test_an_operator_is_told_of_a_network_that_fails() -> None:
    assert "check the network" in failures.Failure("not_sent", "APIConnectionError").advice()


#: Stripe's parameter, our field; for a payment by saved method after the bar.
PARAMETERS = {
    "amount": "amount",
    "amount_to_capture": "amount",
    "line_items[price_data][unit_amount]": "amount",
    "currency": "currency",
    "line_items[price_data][currency]": "currency",
    "payment_method": "payment_method.token | payment_method.id",
    "mandate_data": "payment_method.token | payment_method.id",
    "off_session": "off_session",
    "setup_future_usage": "save_payment_method",
    "payment_intent_data[setup_future_usage]": "save_payment_method",
    "capture_method": "capture",
    "payment_intent_data[capture_method]": "capture",
    "return_url": "return_url",
    "success_url": "return_url",
    "cancel_url": "return_url",
    "customer": "customer | payment_method.id",
    "customer_email": "customer.email",
    "email": "customer.email",
    "name": "customer.name",
    "phone": "customer.phone",
    "description": "description",
    "payment_intent_data[description]": "description",
    "line_items[price_data][product_data][name]": "description",
    "metadata": "metadata",
    "payment_intent_data[metadata]": "metadata",
    "reason": "reason",
    "evidence": "evidence",
    "evidence[uncategorized_text]": "evidence.message",
    "evidence[customer_name]": "evidence.customer_name",
    "evidence[customer_email_address]": "evidence.customer_email",
    "evidence[product_description]": "evidence.service_details",
    "evidence[shipping_address]": "evidence.delivery_address",
    "evidence[shipping_date]": "evidence.delivery_date",
    "evidence[shipping_carrier]": "evidence.carrier",
    "evidence[shipping_tracking_number]": "evidence.tracking_number",
}


@pytest.mark.parametrize(("param", "fields"), PARAMETERS.items())
def test_a_parameter_is_a_field_of_ours(param: str, fields: str) -> None:
    plain, _, saved = fields.partition(" | ")
    assert field_of(param) == plain
    assert field_of(param, OF_SAVED) == (saved or plain)


def test_no_parameter_is_without_a_test() -> None:
    assert set(FIELDS) == set(OF_SAVED) == set(PARAMETERS)


USED_UP = (
    "The provided PaymentMethod was previously used with a PaymentIntent without Customer attachment. "
    "It may not be used again."
)


def test_a_method_that_is_used_up_is_named_though_stripe_names_nothing() -> None:
    failure = failed(stripe.InvalidRequestError, 400, type="invalid_request_error", message=USED_UP)
    plain, saved = failure.outcome(), failure.outcome(OF_SAVED)
    assert isinstance(plain, NotExecuted)
    assert isinstance(saved, NotExecuted)
    assert (plain.reason, plain.param) == (INVALID, "payment_method.token")
    assert (saved.reason, saved.param) == (INVALID, "payment_method.id")
    assert set(failures.BY_MESSAGE) == {"may not be used again"}


BLAMED = {
    "payment_intent_mandate_invalid": "payment_method.token",
    "payment_intent_incompatible_payment_method": "payment_method.token",
    "payment_method_unactivated": "payment_method.token",
    "payment_method_unexpected_state": "payment_method.token",
    "payment_method_unsupported_type": "payment_method.token",
    "payment_method_currency_mismatch": "currency",
    "amount_too_small": "amount",
    "amount_too_large": "amount",
    "url_invalid": "return_url",
}


@pytest.mark.parametrize(("code", "field"), BLAMED.items())
def test_a_code_blames_a_field_where_stripe_names_no_parameter(code: str, field: str) -> None:
    outcome = failed(stripe.InvalidRequestError, 400, code=code).outcome()
    assert isinstance(outcome, NotExecuted)
    assert outcome.param == field
    named = failed(stripe.InvalidRequestError, 400, code=code, param="description").outcome()
    assert isinstance(named, NotExecuted)
    assert named.param == "description"


def test_no_blame_is_without_a_test() -> None:
    assert dict(failures.BLAMED) == BLAMED | dict.fromkeys(list(BLAMED)[1:5], "payment_method") | {
        "payment_intent_mandate_invalid": "mandate_data"
    }
