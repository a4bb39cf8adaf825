"""From Stripe's wire to our outcome: every row of the failure table, through the real client."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Mapping
from typing import Any

import pytest

from core.domain.outcomes import Declined, NotExecuted, NotExecutedReason, Unknown
from core.providers.base import Account, CallLimits, CaptureRequest, Person
from core.providers.stripe import StripeProvider, fields, start_params
from tests.providers.driver import look_up_of, start_request
from tests.providers.wire import Script, answer, peer, read_request

KEY = "sk_test_not_to_be_seen_anywhere"
WEBHOOK_SECRET = "whsec_not_to_be_seen_anywhere"
TOKEN = "pm_card_visa_not_to_be_seen"
EMAIL = "ada@not-to-be-seen.example"

BUSY = NotExecutedReason.LOCK_TIMEOUT
INVALID = NotExecutedReason.INVALID_REQUEST
LIMITED = NotExecutedReason.RATE_LIMITED
WRONG_KEY = NotExecutedReason.MISCONFIGURED


def provider(url: str) -> StripeProvider:
    credentials = {"secret_key": KEY, "publishable_key": "pk_test_1"}
    account = Account("acc_1", "test", credentials, (WEBHOOK_SECRET,), api_base=url)
    return StripeProvider(account, CallLimits(connect=1.0, deadline=5.0))


def answering(body: Any, status: str, extra: str = "") -> Script:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()

    def script(connection: socket.socket, over: threading.Event) -> None:
        while read_request(connection):
            answer(connection, content, status, f"Request-Id: req_77\r\n{extra}")

    return script


def error(code: str | None = None, type: str = "invalid_request_error", **more: Any) -> Mapping[str, Any]:
    return {"error": {"type": type, "message": f"About {TOKEN} of {EMAIL}", "code": code, **more}}


NOT_EXECUTED = [
    ("400 Bad Request", error("parameter_missing", param="amount"), INVALID),
    ("404 Not Found", error("resource_missing", param="payment_method"), INVALID),
    ("400 Bad Request", error("payment_intent_unexpected_state"), INVALID),
    ("400 Bad Request", error("charge_already_captured"), INVALID),
    ("400 Bad Request", error("charge_already_refunded"), INVALID),
    ("401 Unauthorized", error(), WRONG_KEY),
    ("403 Forbidden", error("account_invalid"), WRONG_KEY),
    ("409 Conflict", error("idempotency_key_in_use", "idempotency_error"), BUSY),
    ("409 Conflict", error("lock_timeout"), BUSY),
    ("409 Conflict", error(), BUSY),
    ("429 Too Many Requests", error("rate_limit"), LIMITED),
    ("429 Too Many Requests", error(), LIMITED),
    ("429 Too Many Requests", error("lock_timeout"), BUSY),
    ("400 Bad Request", error("rate_limit"), LIMITED),
]


@pytest.mark.parametrize(("status", "body", "reason"), NOT_EXECUTED)
def test_a_refusal_proves_that_nothing_happened(status: str, body: Any, reason: NotExecutedReason) -> None:
    with peer(answering(body, status)) as server:
        outcome = provider(server.url).start(start_request("token", "charge", 500, "USD", token=TOKEN))
        assert server.accepted == 1
    assert isinstance(outcome, NotExecuted)
    assert outcome.reason is reason
    assert outcome.provider_code == body["error"]["code"]
    assert outcome.param == fields.field_of(body["error"].get("param"))
    assert TOKEN not in outcome.detail
    assert EMAIL not in outcome.detail


@pytest.mark.parametrize(
    ("param", "field"),
    [
        *fields.FIELDS.items(),
        ("metadata[order]", "metadata"),
        ("line_items[0][price_data][currency]", "currency"),
        ("line_items[0][price_data][unit_amount]", "amount"),
        ("payment_intent_data[metadata][order]", "metadata"),
        ("payment_intent", None),
        ("automatic_payment_methods[enabled]", None),
        ("line_items", None),
        ("order]", None),
        ("", None),
        (None, None),
        (7, None),
    ],
)
def test_a_refusal_names_the_field_in_our_words(param: Any, field: str | None) -> None:
    with peer(answering(error("parameter_invalid", param=param), "400 Bad Request")) as server:
        outcome = provider(server.url).start(start_request("token", "charge", 500, "USD", token=TOKEN))
    assert isinstance(outcome, NotExecuted)
    assert (outcome.reason, outcome.param) == (INVALID, field)


def test_every_parameter_we_send_for_the_merchant_leads_back_to_a_field() -> None:
    """Names as they go over the wire, from requests that fill everything a merchant may send."""
    words: dict[str, Any] = {
        "token": TOKEN,
        "return_url": "https://shop.example",
        "description": "Tickets",
        "metadata": {"order": "42"},
        "person": Person(email=EMAIL),
    }
    intent = start_params.intent_params(start_request("token", "charge", 500, "USD", **words), 500)
    session = start_params.session_params(start_request("redirect", "charge", 500, "USD", **words), 500)
    ours = {"confirm", "automatic_payment_methods[enabled]", "mode", "client_reference_id", "line_items[0][quantity]"}
    names = {*flat(intent), *flat(session)}
    assert ours <= names
    assert {name for name in names if fields.field_of(name) is None} == ours


def flat(params: Any, name: str = "") -> list[str]:
    inner = params.items() if isinstance(params, dict) else enumerate(params) if isinstance(params, list) else None
    if inner is None:
        return [name]
    return [one for key, value in inner for one in flat(value, f"{name}[{key}]" if name else str(key))]


UNKNOWN = [
    ("500 Internal Server Error", error(None, "api_error")),
    ("500 Internal Server Error", error("rate_limit", "api_error")),
    ("502 Bad Gateway", b"<html>bad gateway</html>"),
    ("503 Service Unavailable", b""),
    ("200 OK", b"<html>maintenance</html>"),
    ("200 OK", b""),
    ("200 OK", b"[]"),
    ("200 OK", b'"text"'),
    ("200 OK", b"{}"),
    ("200 OK", b"\xff\xfe"),
    ("200 OK", {"object": "payment_intent"}),
    ("200 OK", {"object": "payment_intent", "id": "pi_1", "status": "new_word"}),
    ("302 Found", b""),
    ("400 Bad Request", b"not json"),
    ("400 Bad Request", {"error": "text"}),
    ("400 Bad Request", error(None, "idempotency_error")),
    ("418 I'm a teapot", error()),
]


@pytest.mark.parametrize(("status", "body"), UNKNOWN)
def test_what_cannot_be_read_is_unknown_with_evidence(status: str, body: Any) -> None:
    with peer(answering(body, status)) as server:
        stripe = provider(server.url)
        request = start_request("token", "charge", 500, "USD", token=TOKEN)
        outcome = stripe.start(request)
        found = stripe.look_up(look_up_of(request))
    assert isinstance(outcome, Unknown)
    assert outcome.evidence
    text = repr((outcome.evidence, found))
    assert not [secret for secret in (KEY, WEBHOOK_SECRET) if secret in text]
    assert TOKEN not in repr(outcome.evidence)


def test_the_evidence_names_what_was_seen() -> None:
    with peer(answering(error("x_code", "api_error"), "500 Internal Server Error")) as server:
        outcome = provider(server.url).start(start_request("token", "charge", 500, "USD", token=TOKEN))
    assert isinstance(outcome, Unknown)
    assert outcome.evidence == {
        "exception": "APIError",
        "http_status": 500,
        "request_id": "req_77",
        "type": "api_error",
        "code": "x_code",
    }


@pytest.mark.parametrize(
    ("value", "seconds"), [("3", 3.0), ("0.5", 0.5), ("-1", None), ("99999", None), ("soon", None)]
)
def test_a_named_wait_is_kept(value: str, seconds: float | None) -> None:
    limited = answering(error("rate_limit"), "429 Too Many Requests", f"Retry-After: {value}\r\n")
    with peer(limited) as server:
        outcome = provider(server.url).start(start_request("token", "charge", 500, "USD", token=TOKEN))
    assert isinstance(outcome, NotExecuted)
    assert outcome.retry_after == seconds


def test_a_notice_of_stripe_is_no_warning() -> None:
    """Warnings are errors here; the package would warn in the middle of a payment."""
    notice = answering(error("rate_limit"), "429 Too Many Requests", "Stripe-Notice: read this\r\n")
    with peer(notice) as server:
        assert isinstance(provider(server.url).start(start_request("token", "charge", 500, "USD")), NotExecuted)


def test_a_decline_without_its_intent_is_a_decline() -> None:
    with peer(
        answering(error("card_declined", "card_error", decline_code="lost_card"), "402 Payment Required")
    ) as server:
        outcome = provider(server.url).start(start_request("token", "charge", 500, "USD", token=TOKEN))
    assert isinstance(outcome, Declined)
    assert outcome.decline.code == "lost_card"


def test_a_decline_whose_cancel_fails_is_still_a_decline_and_says_so() -> None:
    intent = {"id": "pi_9", "object": "payment_intent", "amount": 500, "currency": "usd", "client_secret": "hush"}
    declined = error("card_declined", "card_error", payment_intent=intent)

    def script(connection: socket.socket, over: threading.Event) -> None:
        while request := read_request(connection):
            if b"/cancel" in request.split(b"\r\n")[0]:
                answer(connection, b"", "500 Internal Server Error")
            else:
                answer(connection, json.dumps(declined).encode(), "402 Payment Required")

    with peer(script) as server:
        outcome = provider(server.url).start(start_request("token", "charge", 500, "USD", token=TOKEN))
    assert isinstance(outcome, Declined)
    assert outcome.facts.provider_id == "pi_9"
    assert outcome.facts.extra["cancel_after_decline"] == "pi_9"
    assert "hush" not in repr(outcome)


def test_a_declined_capture_says_which_intent_must_not_stay_payable() -> None:
    """The hold is gone by then, and a customer with the secret could confirm the intent with another card."""
    intent = {"id": "pi_9", "object": "payment_intent", "amount": 500, "currency": "usd"}
    declined = error("card_declined", "card_error", decline_code="expired_card", payment_intent=intent)
    request = CaptureRequest("pay_1", "txn_1", "pay_1:capture:1", "pi_9", 500, "USD")
    with peer(answering(declined, "402 Payment Required")) as server:
        outcome = provider(server.url).capture(request)
        assert server.accepted == 1
    assert isinstance(outcome, Declined)
    assert outcome.decline.code == "expired_card"
    assert outcome.facts.extra["cancel_after_decline"] == "pi_9"


def test_what_is_sent_is_pinned() -> None:
    """One attempt, one version, our key, and nothing about the machine it runs on."""
    seen: list[bytes] = []

    def script(connection: socket.socket, over: threading.Event) -> None:
        seen.append(read_request(connection))
        answer(connection, b"", "500 Internal Server Error")

    with peer(script) as server:
        request = start_request("token", "authorize", 500, "JPY", token=TOKEN)
        provider(server.url).start(request)
    head, _, body = seen[0].partition(b"\r\n\r\n")
    headers = {line.split(b":")[0].lower(): line.split(b":", 1)[1].strip() for line in head.split(b"\r\n")[1:]}
    assert len(seen) == 1
    assert headers[b"stripe-version"] == b"2026-10-28.endive"
    assert headers[b"idempotency-key"] == request.provider_key.encode()
    assert b"platform" not in headers[b"x-stripe-client-user-agent"]
    assert b"x-stripe-client-telemetry" not in headers
    for part in (
        b"amount=500",
        b"currency=jpy",
        b"confirm=true",
        b"capture_method=manual",
        b"automatic_payment_methods[allow_redirects]=never",
        b"metadata[tollgate_transaction]=" + request.transaction_id.encode(),
    ):
        assert part in body.split(b"&"), part
