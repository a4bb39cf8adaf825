"""What Stripe refuses, and in which words: parameters, keys, versions, addresses."""

from __future__ import annotations

import pytest
import stripe

BASE = {"amount": "1000", "currency": "usd"}
CONFIRMED = {**BASE, "payment_method": "pm_card_visa", "confirm": "true"}


@pytest.mark.parametrize(
    ("sent", "code", "param", "text"),
    [
        ({"currency": "usd"}, "parameter_missing", "amount", "Missing required param: amount."),
        ({"amount": "1000"}, "parameter_missing", "currency", "Missing required param: currency."),
        ({**BASE, "colour": "red"}, "parameter_unknown", "colour", "Received unknown parameter: colour"),
        (
            {**BASE, "automatic_payment_methods[on]": "true"},
            "parameter_unknown",
            "automatic_payment_methods[on]",
            "Received unknown parameter: automatic_payment_methods[on]",
        ),
        ({**BASE, "amount": "49"}, "amount_too_small", "amount", "Amount must be at least $0.50 usd"),
        ({**BASE, "amount": "100000000"}, "amount_too_large", "amount", "Amount must be no more than $999,999.99"),
        ({**BASE, "amount": "0"}, "parameter_invalid_integer", "amount", "greater than or equal to 1"),
        ({**BASE, "amount": "10.5"}, "parameter_invalid_integer", "amount", "Invalid integer: 10.5"),
        ({**BASE, "amount": ""}, "parameter_invalid_empty", "amount", "You passed an empty string for 'amount'"),
        ({**BASE, "currency": "zzz"}, None, "currency", "Invalid currency: zzz"),
        (
            {**BASE, "capture_method": "later"},
            None,
            "capture_method",
            "must be one of automatic, automatic_async, or manual",
        ),
        ({**BASE, "confirm": "yes"}, None, "confirm", "Invalid boolean: yes"),
        ({**BASE, "customer": "cus_unknown"}, "resource_missing", "customer", "No such customer: 'cus_unknown'"),
        ({**BASE, "payment_method": "pm_x"}, "resource_missing", "payment_method", "No such PaymentMethod: 'pm_x'"),
        ({**BASE, "off_session": "true"}, None, "off_session", "when `confirm` is true"),
        ({**BASE, "metadata[k]": "v" * 501}, None, "metadata", "up to 500 characters"),
        ({**CONFIRMED}, None, None, "you must provide a `return_url`"),
        ({**BASE, "confirm": "true"}, "payment_intent_unexpected_state", None, "missing a payment method"),
        (
            {**BASE, "payment_method_types[]": "card"},
            "payment_method_types_no_longer_supported",
            "payment_method_types",
            "no longer supported",
        ),
    ],
)
def test_a_refused_payment_intent(shop, sent, code, param, text):
    answer = shop.raw("POST", "/v1/payment_intents", sent, Stripe_Version="2026-10-28.endive")
    error = answer.json()["error"]
    assert answer.status_code == 400
    assert (error["type"], error.get("code"), error.get("param")) == ("invalid_request_error", code, param)
    assert text in error["message"]
    assert answer.headers["Request-Id"].startswith("req_")
    assert shop.ledger()["charges"] == []


def test_an_older_version_still_takes_payment_method_types(shop):
    old = {**CONFIRMED, "payment_method_types[]": "card"}
    assert shop.raw("POST", "/v1/payment_intents", old).json()["status"] == "succeeded"
    answer = shop.raw("POST", "/v1/payment_intents", old, Stripe_Version="2025-03-31.basil")
    assert answer.json()["status"] == "succeeded"
    assert answer.headers["Stripe-Version"] == "2025-03-31.basil"


def test_lists_are_read_in_both_forms(shop):
    for name in ("expand[]", "expand[0]"):
        sent = {**CONFIRMED, "return_url": "https://shop.example", name: "latest_charge"}
        assert shop.raw("POST", "/v1/payment_intents", sent).json()["latest_charge"]["object"] == "charge"


def test_keys(shop):
    url = shop.sandbox.url + "/v1/account"
    get = shop.session.get
    nothing = get(url, timeout=5)
    assert (nothing.status_code, nothing.headers["WWW-Authenticate"]) == (401, 'Basic realm="Stripe"')
    assert "You did not provide an API key" in nothing.json()["error"]["message"]
    wrong = get(url, headers={"Authorization": "Bearer sk_test_nobody1234"}, timeout=5)
    assert (wrong.status_code, wrong.json()["error"]["type"]) == (401, "invalid_request_error")
    assert "1234" in wrong.json()["error"]["message"]
    assert "nobody" not in wrong.json()["error"]["message"]
    basic = get(url, auth=(shop.key, ""), timeout=5)
    assert basic.json()["id"] == shop.client.v1.accounts.retrieve_current().id


def test_an_account_keeps_its_id_and_sees_only_its_own(shop, new_shop):
    first = shop.sandbox.door("POST", "accounts", secret_key=shop.key)["account"]
    assert first == shop.client.v1.accounts.retrieve_current().id
    other = new_shop(shop.sandbox)
    assert other.client.v1.accounts.retrieve_current().id != first
    intent = shop.pay()
    with pytest.raises(stripe.InvalidRequestError) as refused:
        other.client.v1.payment_intents.retrieve(intent.id)
    assert (refused.value.http_status, refused.value.code) == (404, "resource_missing")
    assert other.client.v1.payment_intents.list().data == []
    assert other.ledger()["charges"] == []


def test_an_unknown_address(shop):
    answer = shop.raw("GET", "/v1/paymentintents")
    assert answer.status_code == 404
    assert "Unrecognized request URL (GET: /v1/paymentintents)" in answer.json()["error"]["message"]


def test_json_is_not_what_stripe_takes(shop):
    answer = shop.raw("POST", "/v1/payment_intents", "{}", Content_Type="application/json")
    assert answer.status_code == 400
    assert "x-www-form-urlencoded" in answer.json()["error"]["message"]


def test_what_cannot_be_expanded(shop):
    with pytest.raises(stripe.InvalidRequestError, match=r"cannot be expanded \(colour\)"):
        shop.pay(expand=["colour"])


def test_a_revoked_key(shop):
    shop.sandbox.door("POST", "accounts", secret_key=shop.key, revoked=True)
    with pytest.raises(stripe.AuthenticationError, match="Expired API Key provided") as refused:
        shop.client.v1.accounts.retrieve_current()
    assert refused.value.error.code == "api_key_expired"


def test_a_restricted_key_goes_only_where_it_may(shop):
    shop.sandbox.door("POST", "accounts", secret_key=shop.key, allowed_operations=["payment_intents.*"])
    intent = shop.pay()
    with pytest.raises(stripe.PermissionError, match="required permissions"):
        shop.client.v1.refunds.create({"payment_intent": intent.id})
    assert shop.ledger()["refunds"] == []


def test_the_mode_is_that_of_the_key(stripe_sandbox, shop):
    key = "sk_live_" + shop.key[8:]
    stripe_sandbox.door("POST", "accounts", secret_key=key)
    shop.key = key
    sent = {**CONFIRMED, "return_url": "https://shop.example", "expand[]": "latest_charge"}
    paid = shop.raw("POST", "/v1/payment_intents", sent).json()
    assert (paid["livemode"], paid["latest_charge"]["livemode"]) == (True, True)
    event = shop.raw("GET", "/v1/events?limit=1").json()["data"][0]
    assert (event["livemode"], event["data"]["object"]["livemode"]) == (True, True)
