"""What is sent to Stripe, and which kept method comes back: pure, from requests and bodies alone."""

from __future__ import annotations

from typing import Any

import pytest

from core.domain.outcomes import Facts, KeptMethod, Pending, Succeeded
from core.providers.base import Person, RefundRequest, SavedMethod, StartRequest
from core.providers.stripe.client import API_VERSION
from core.providers.stripe.methods import kept_method, with_method
from core.providers.stripe.refunds import refund_params
from core.providers.stripe.start_params import intent_params, session_params
from tests.providers.driver import start_request

SAVED = SavedMethod("pm_kept", provider_customer="cus_1")
BACK = "https://shop.example/back"


def token(**changes: Any) -> StartRequest:
    return start_request("token", "charge", 500, "USD", **({"token": "pm_1"} | changes))


def test_the_version_is_pinned() -> None:
    assert API_VERSION == "2026-10-28.endive"


@pytest.mark.parametrize(
    ("request_", "sent"),
    [
        (token(), {"payment_method": "pm_1", "customer": None, "off_session": None, "expand": None}),
        (token(provider_customer="cus_9"), {"customer": "cus_9", "setup_future_usage": None}),
        (
            token(save_method=True, provider_customer="cus_9"),
            {
                "customer": "cus_9",
                "setup_future_usage": "off_session",
                "expand": ["payment_method", "latest_charge"],
                "off_session": None,
            },
        ),
        (
            start_request("saved", "charge", 500, "USD", saved=SAVED, off_session=True),
            {
                "payment_method": "pm_kept",
                "customer": "cus_1",
                "off_session": True,
                "confirm": True,
                "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
                "return_url": None,
            },
        ),
        (
            start_request("saved", "authorize", 500, "USD", saved=SAVED, return_url=BACK, provider_customer="cus_9"),
            {
                "customer": "cus_1",
                "off_session": None,
                "capture_method": "manual",
                "automatic_payment_methods": {"enabled": True},
            },
        ),
        (start_request("saved", "charge", 500, "USD", saved=SavedMethod("pm_kept")), {"customer": None}),
    ],
)
def test_an_intent_is_asked_for(request_: StartRequest, sent: dict[str, Any]) -> None:
    params = intent_params(request_, 500)
    assert {name: params.get(name) for name in sent} == sent
    assert "payment_method_types" not in params
    assert params == intent_params(request_, 500)


def test_a_page_is_asked_for() -> None:
    person = Person(email="ada@example.com")
    plain = session_params(start_request("redirect", "charge", 500, "USD", return_url=BACK, person=person), 500)
    assert plain["customer_email"] == "ada@example.com"
    assert "customer" not in plain
    assert "setup_future_usage" not in plain["payment_intent_data"]
    words = {"return_url": BACK, "person": person, "save_method": True, "provider_customer": "cus_9"}
    kept = session_params(start_request("redirect", "charge", 500, "USD", **words), 500)
    assert kept["customer"] == "cus_9"
    assert "customer_email" not in kept
    assert kept["payment_intent_data"]["setup_future_usage"] == "off_session"
    assert not {"payment_method_types", "expand"} & set(kept)


@pytest.mark.parametrize(
    ("reason", "sent"),
    [
        ("duplicate", "duplicate"),
        ("fraudulent", "fraudulent"),
        ("requested_by_customer", "requested_by_customer"),
        ("broken", None),
        (None, None),
    ],
)
def test_only_the_reasons_stripe_takes_are_sent(reason: str | None, sent: str | None) -> None:
    request = RefundRequest("pay_1", "ref_1", "txn_1", "key", "pi_1", None, 100, "USD", reason=reason)
    params = refund_params(request, "pi_1", 100)
    assert params.get("reason") == sent
    assert params["metadata"]["tollgate_refund"] == "ref_1"


CARD: dict[str, Any] = {
    "id": "pm_2",
    "object": "payment_method",
    "card": {
        "brand": "visa", "country": "US", "exp_month": 8, "exp_year": 2030, "fingerprint": "fp_1", "last4": "4242",
    },
    "customer": "cus_1",
    "type": "card",
}  # fmt: skip
DEBIT: dict[str, Any] = {
    "id": "pm_3",
    "customer": {"id": "cus_1"},
    "type": "us_bank_account",
    "us_bank_account": {"bank_name": "Test Bank", "fingerprint": "fp_2", "last4": "6789"},
}
KEPT_CARD = KeptMethod(
    "pm_2", "card", "cus_1", fingerprint="fp_1", brand="visa", last4="4242", exp_month=8, exp_year=2030, country="US"
)


def paid(**details: Any) -> dict[str, Any]:
    """An intent paid with a method that leaves another behind."""
    charge = {"id": "ch_1", "payment_method_details": {"type": "ideal", "ideal": details}}
    return {"customer": "cus_1", "latest_charge": charge, "payment_method": {"id": "pm_once", "type": "ideal"}}


METHODS = [
    ({"payment_method": CARD}, KEPT_CARD),
    (
        {"payment_method": DEBIT},
        KeptMethod("pm_3", "us_bank_account", "cus_1", fingerprint="fp_2", last4="6789", bank="Test Bank"),
    ),
    (
        paid(generated_sepa_debit="pm_4", iban_last4="3000", bank_name="Bank"),
        KeptMethod("pm_4", "sepa_debit", "cus_1", last4="3000", bank="Bank"),
    ),
    (paid(generated_card={"id": "pm_5"}, last4="4242"), KeptMethod("pm_5", "card", "cus_1", last4="4242")),
    (paid(generated_sepa_debit=None), None),
    ({"payment_method": {**CARD, "customer": None}}, None),
    ({"payment_method": "pm_2"}, None),
    ({"payment_method": None}, None),
    ({"payment_method": {**CARD, "type": None}}, None),
    ({"payment_method": {**CARD, "card": "x"}}, KeptMethod("pm_2", "card", "cus_1")),
    ({}, None),
]


@pytest.mark.parametrize(("intent", "method"), METHODS)
def test_what_a_payment_left_behind(intent: dict[str, Any], method: KeptMethod | None) -> None:
    assert kept_method(intent) == method


def test_a_method_is_given_only_where_it_was_asked_for_and_the_payment_went_through() -> None:
    intent, done = {"payment_method": CARD}, Succeeded(Facts(provider_id="pi_1"))
    asked, plain = token(save_method=True, provider_customer="cus_1"), token()
    told = with_method(asked, done, intent)
    assert isinstance(told, Succeeded)
    assert told.facts.method == KEPT_CARD
    assert not [secret for secret in ("pm_2", "fp_1", "4242") if secret in repr(told)]
    assert with_method(plain, done, intent) == done
    assert with_method(asked, done, "pi_1") == done
    waiting = Pending(Facts(provider_id="pi_1"))
    assert with_method(asked, waiting, intent) == waiting
