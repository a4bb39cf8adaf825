"""What is sent to Paystack, and what its answers come to: through the provider's own doors, over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from core.domain.outcomes import (
    ActionRequired,
    NotExecuted,
    NotExecutedReason,
    Pending,
    Unknown,
)
from core.providers.base import IdentityUnknown, Person
from tests.providers.paystack_driver import (
    CHARGE,
    NUMBER,
    PAYMENT,
    REFERENCE,
    REFUND,
    SECRET_KEY,
    ScriptedPaystack,
    initialized,
    refund_answer,
    refund_request,
    refused,
    scripted,
    start_request,
)

INITIALIZE = ("POST", "/transaction/initialize")
VERIFY = ("GET", f"/transaction/verify/{REFERENCE}")
REFUNDS = ("GET", "/refund")


@pytest.fixture
def paystack() -> Iterator[ScriptedPaystack]:
    with scripted() as running:
        yield running


def test_start_opens_a_page_under_our_own_reference(paystack: ScriptedPaystack) -> None:
    paystack.on(*INITIALIZE, 200, initialized())
    outcome = paystack.provider().start(start_request())
    assert isinstance(outcome, ActionRequired)
    assert outcome.facts.provider_id == REFERENCE
    assert outcome.next_action is not None
    assert outcome.next_action.url == "https://checkout.paystack.com/0peioxfhpn"
    assert "0peioxfhpn" not in repr(outcome.facts)
    sent = paystack.received[0]
    assert sent.headers["authorization"] == f"Bearer {SECRET_KEY}"
    assert sent.body == {
        "reference": REFERENCE,
        "amount": 500000,
        "currency": "NGN",
        "email": "ada@example.com",
        "metadata": {"tollgate_transaction": CHARGE, "tollgate_payment": PAYMENT},
        "callback_url": f"https://shop.example/thanks?order=42&tollgate_payment={PAYMENT}",
    }


def test_the_merchants_own_words_go_along_but_never_steer_the_page(paystack: ScriptedPaystack) -> None:
    paystack.on(*INITIALIZE, 200, initialized())
    words = {"shelf": "4", "tollgate_payment": "pay_forged", "cancel_action": "https://elsewhere.example"}
    paystack.provider().start(start_request(metadata=words, reference="order-42"))
    assert paystack.received[0].body["metadata"] == {
        "shelf": "4",
        "reference": "order-42",
        "tollgate_transaction": CHARGE,
        "tollgate_payment": PAYMENT,
    }


def test_francs_are_sent_in_hundredths(paystack: ScriptedPaystack) -> None:
    paystack.on(*INITIALIZE, 200, initialized())
    paystack.provider().start(start_request(amount=500, currency="XOF", return_url=None))
    assert paystack.received[0].body["amount"] == 50000
    assert "callback_url" not in paystack.received[0].body


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"method": "token", "token": "tok"}, "payment_method"),
        ({"kind": "authorize"}, "capture"),
        ({"person": Person()}, "customer.email"),
        ({"currency": "KWD"}, "currency"),
        ({"currency": "EUR"}, "currency"),
        ({"amount": 49_99}, "amount"),
        ({"amount": 10_000_000_01}, "amount"),
        ({"amount": 10_000_001, "currency": "XOF"}, "amount"),
    ],
)
def test_what_paystack_cannot_do_is_not_sent(paystack: ScriptedPaystack, changes: dict[str, Any], field: str) -> None:
    outcome = paystack.provider().start(start_request(**changes))
    assert isinstance(outcome, NotExecuted)
    assert (outcome.reason, outcome.param) == (NotExecutedReason.INVALID_REQUEST, field)
    assert not paystack.received


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"reference": REFERENCE},
        {"reference": REFERENCE, "authorization_url": None},
        {"reference": REFERENCE, "authorization_url": "javascript:alert(1)"},
        {"reference": "another", "authorization_url": "https://checkout.paystack.com/x"},
        None,
        [],
    ],
)
def test_a_page_without_an_address_is_unknown(paystack: ScriptedPaystack, data: Any) -> None:
    paystack.on(*INITIALIZE, 200, {"status": True, "message": "ok", "data": data})
    assert isinstance(paystack.provider().start(start_request()), Unknown)


def test_a_reference_that_exists_is_unknown_and_no_other_is_tried(paystack: ScriptedPaystack) -> None:
    paystack.on(*INITIALIZE, 400, refused("Duplicate Transaction Reference", "duplicate_reference"))
    outcome = paystack.provider().start(start_request())
    assert isinstance(outcome, Unknown)
    assert outcome.evidence["seen"] == "reference exists"
    assert len(paystack.received) == 1


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (401, refused("Invalid key", "invalid_Key"), "misconfigured"),
        (400, refused("Invalid key"), "misconfigured"),
        (403, refused("Access denied"), "misconfigured"),
        (400, refused("Invalid Amount Sent", "invalid_params"), "invalid_request"),
        (404, refused("Not here"), "invalid_request"),
        (422, refused("Unprocessable"), "invalid_request"),
        (429, refused("Slow down"), "rate_limited"),
        (429, b"<html>", "rate_limited"),
        (409, refused("Conflict"), None),
        (500, refused("Oops", "invalid_params"), None),
        (502, b"<html>Bad gateway</html>", None),
        (200, b"<html>Welcome</html>", None),
        (200, b"", None),
        (200, refused("Charge attempted"), None),
        (302, b"", None),
    ],
)
@pytest.mark.parametrize("operation", ["start", "refund"])
def test_a_refusal_proves_what_it_proves(
    paystack: ScriptedPaystack, operation: str, status: int, body: Any, reason: str | None
) -> None:
    paystack.on(*INITIALIZE, status, body, Location="/elsewhere")
    paystack.on("POST", "/refund", status, body, Location="/elsewhere")
    provider = paystack.provider()
    outcome = provider.start(start_request()) if operation == "start" else provider.refund(refund_request())
    if reason is None:
        assert isinstance(outcome, Unknown)
        assert outcome.evidence["http_status"] == status
    else:
        assert isinstance(outcome, NotExecuted)
        assert outcome.reason.value == reason
    assert len(paystack.received) == 1


@pytest.mark.parametrize(
    ("named", "seconds"),
    [("7", 7.0), ("0", 0.0), ("999999", 3600.0), ("soon", None), ("", None), ("Mon, 02 Mar 2020 10:00:00 GMT", 0.0)],
)
def test_a_named_wait_is_kept(paystack: ScriptedPaystack, named: str, seconds: float | None) -> None:
    paystack.on(*INITIALIZE, 429, refused("Slow down"), Retry_After=named)
    outcome = paystack.provider().start(start_request())
    assert isinstance(outcome, NotExecuted)
    assert outcome.retry_after == seconds


def test_nothing_private_shows_in_what_is_kept_openly(paystack: ScriptedPaystack) -> None:
    private = f"{SECRET_KEY} of ada@example.com with 4084084084084081"
    paystack.on(*INITIALIZE, 400, refused(private, private))
    paystack.on("POST", "/refund", 500, refused(private, private))
    provider = paystack.provider()
    refusal, doubt = provider.start(start_request()), provider.refund(refund_request())
    assert isinstance(refusal, NotExecuted)
    assert isinstance(doubt, Unknown)
    shown = repr([refusal.detail, refusal.provider_code, doubt.evidence, provider, vars(provider)["_account"]])
    for word in (SECRET_KEY, SECRET_KEY[8:], "ada@example.com", "4084084084084081"):
        assert word not in shown


def test_a_refund_carries_our_mark_and_nobodys_name(paystack: ScriptedPaystack) -> None:
    paystack.on("POST", "/refund", 200, refund_answer("pending", transaction={"id": NUMBER}))
    outcome = paystack.provider().refund(refund_request(reason="Ada asked for it"))
    assert isinstance(outcome, Pending)
    assert outcome.facts.provider_id == "15581137"
    assert paystack.received[0].body == {
        "transaction": REFERENCE,
        "amount": 100000,
        "currency": "NGN",
        "merchant_note": f"Tollgate {REFUND} ref_00000000000000000000000001",
    }


def test_an_account_with_customers_is_known_by_its_number(paystack: ScriptedPaystack) -> None:
    paystack.on("GET", "/customer", 200, {"status": True, "data": [{"id": 1, "integration": 100043}]})
    identity = paystack.provider().identify()
    assert (identity.provider_account, identity.mode) == ("integration:100043", "test")


def test_an_account_without_customers_gets_one_that_names_it(paystack: ScriptedPaystack) -> None:
    paystack.on("GET", "/customer", 200, {"status": True, "data": []})
    paystack.on("POST", "/customer", 200, {"status": True, "data": {"id": 1, "integration": 100043}})
    live = paystack.provider(mode="live", credentials={"secret_key": "sk_live_another"}).identify()
    assert (live.provider_account, live.mode) == ("integration:100043", "live")
    assert paystack.received[1].body["email"] == "tollgate@example.com"


@pytest.mark.parametrize("key", ["", "sk_test_", "pk_test_abc", "sk_prod_abc", "sk_testabc"])
def test_a_key_of_another_kind_is_refused_unsent(paystack: ScriptedPaystack, key: str) -> None:
    with pytest.raises(IdentityUnknown):
        paystack.provider(credentials={"secret_key": key}).identify()
    assert not paystack.received


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (401, refused("Invalid key")),
        (404, b"x"),
        (500, b"x"),
        (200, b"x"),
        (429, b"x"),
        (200, {"status": True, "data": []}),
        (200, {"status": True, "data": {}}),
        (200, {"status": True, "data": [{"id": 1}]}),
    ],
)
def test_an_identity_is_never_guessed(paystack: ScriptedPaystack, status: int, body: Any) -> None:
    paystack.on("GET", "/customer", status, body)
    with pytest.raises(IdentityUnknown) as caught:
        paystack.provider().identify()
    assert SECRET_KEY not in str(caught.value)
