"""Paystack transactions: initialised, paid on the page, verified; and what it refuses."""

from __future__ import annotations

import pytest


def test_a_transaction_is_paid_on_the_page(integration):
    started = integration.initialize(reference="order-1", metadata={"order": 1}, channels=["card"])
    assert started["authorization_url"].endswith("/checkout/" + started["access_code"])
    before = integration.verify("order-1")
    assert (before["status"], before["paid_at"], before["log"], before["fees"]) == ("abandoned", None, None, None)
    assert before["authorization"] == {}
    page = integration.session.get(started["authorization_url"], timeout=10)
    assert "NGN 5,000.00" in page.text
    assert "<script" not in page.text
    answer = integration.submit(started["authorization_url"], action="pay", card="4084 0840 8408 4081")
    assert answer.status_code == 303
    assert answer.headers["Location"] == "https://shop.example/back?trxref=order-1&reference=order-1"
    after = integration.verify("order-1")
    assert (after["status"], after["gateway_response"], after["amount"]) == ("success", "Successful", 500_000)
    assert (after["requested_amount"], after["fees"], after["currency"]) == (500_000, 17_500, "NGN")
    assert (after["integration"], after["domain"], after["metadata"]) == (integration.number, "test", {"order": 1})
    assert after["authorization"]["reusable"] is True
    assert after["customer"]["email"] == "ada@shop.example"
    assert after["paid_at"] == after["paidAt"]
    assert (
        "Already paid" in integration.submit(started["authorization_url"], action="pay", card="4084084084084081").text
    )
    [charge] = integration.ledger()["charges"]
    assert (charge["payment"], charge["status"], charge["amount"]) == ("order-1", "succeeded", 500_000)


@pytest.mark.parametrize(
    ("card", "said"),
    [
        ("4084080000005408", "Declined"),
        ("4084080000670037", "Insufficient Funds"),
        ("507850785078507853", "Token Not Generated"),
        ("1234", "Invalid card number"),
    ],
)
def test_a_failed_try_leaves_the_page_open(integration, card, said):
    started = integration.initialize()
    answer = integration.submit(started["authorization_url"], action="pay", card=card)
    assert answer.status_code == 200
    assert said in answer.text
    failed = integration.verify(started["reference"])
    assert failed["status"] == "failed"
    assert said in failed["gateway_response"]
    assert integration.submit(started["authorization_url"], action="pay", card="4084084084084081").status_code == 303
    paid = integration.verify(started["reference"])
    assert (paid["status"], paid["log"]["attempts"], paid["log"]["errors"]) == ("success", 2, 1)
    assert integration.ledger()["summary"]["charges_succeeded"] == 1


@pytest.mark.parametrize("card", ["507850785078507812", "5192602720584796"])
def test_a_card_with_a_second_step(integration, card):
    started = integration.initialize()
    assert integration.submit(started["authorization_url"], action="pay", card=card).status_code == 200
    assert integration.verify(started["reference"])["status"] == "ongoing"
    integration.submit(started["authorization_url"], action="fail")
    assert integration.verify(started["reference"])["status"] == "failed"
    integration.submit(started["authorization_url"], action="pay", card=card)
    assert integration.submit(started["authorization_url"], action="authorize").status_code == 303
    assert integration.verify(started["reference"])["status"] == "success"


def test_cancel_leaves_it_abandoned(integration):
    started = integration.initialize(metadata={"cancel_action": "https://shop.example/cart"})
    answer = integration.submit(started["authorization_url"], action="cancel")
    assert answer.headers["Location"] == "https://shop.example/cart"
    assert integration.verify(started["reference"])["status"] == "abandoned"
    assert integration.ledger()["charges"][0]["status"] == "pending"


def test_without_a_callback_a_page_says_it_is_paid(integration):
    status, body = integration.call("POST", "/transaction/initialize", email="a@shop.example", amount="5000")
    assert status == 200
    answer = integration.submit(body["data"]["authorization_url"], action="pay", card="4084084084084081")
    assert answer.status_code == 200
    assert "Thank you" in answer.text


def test_a_reference_is_taken_once(integration):
    integration.initialize(reference="r1")
    status, body = integration.call(
        "POST", "/transaction/initialize", email="b@shop.example", amount=9000, reference="r1"
    )
    assert status == 400
    assert body == {
        "status": False,
        "message": "Duplicate Transaction Reference",
        "meta": {"nextStep": "Try and create the Transaction or Charge with a new reference"},
        "type": "validation_error",
        "code": "duplicate_reference",
    }


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"amount": None}, "missing_params"),
        ({"email": None}, "missing_params"),
        ({"email": "nobody"}, "invalid_email_address"),
        ({"amount": 0}, "invalid_amount"),
        ({"amount": -5}, "invalid_amount"),
        ({"amount": 10.5}, "invalid_amount"),
        ({"amount": "ten"}, "invalid_amount"),
        ({"amount": True}, "invalid_amount"),
        ({"amount": 4999}, "invalid_amount"),
        ({"amount": 199, "currency": "USD"}, "invalid_amount"),
        ({"currency": "EUR"}, "unsupported_currency"),
        ({"reference": "no spaces"}, "invalid_reference"),
        ({"channels": ["cash"]}, "invalid_channels"),
        ({"callback_url": "shop"}, "invalid_callback_url"),
    ],
)
def test_refused_transactions(integration, changes, code):
    sent = {"email": "a@shop.example", "amount": 5000, **changes}
    status, body = integration.call("POST", "/transaction/initialize", **sent)
    assert (status, body["status"], body["code"], body["type"]) == (400, False, code, "validation_error")
    assert integration.ledger()["charges"] == []


def test_keys(integration):
    get = integration.session.get
    wrong = get(integration.sandbox.url + "/balance", headers={"Authorization": "Bearer sk_test_x"}, timeout=5)
    assert (wrong.status_code, wrong.json()["message"], wrong.json()["status"]) == (401, "Invalid key", False)
    none = get(integration.sandbox.url + "/balance", headers={"Authorization": ""}, timeout=5)
    assert none.status_code == 401


def test_unknown_references_and_addresses(integration):
    status, body = integration.call("GET", "/transaction/verify/nothing")
    assert (status, body["message"]) == (400, "Transaction reference not found")
    assert integration.call("GET", "/transaction/1")[0] == 404
    assert integration.call("GET", "/no/such")[0] == 404
    assert integration.session.get(integration.sandbox.url + "/checkout/nothing", timeout=5).status_code == 404


def test_integrations_see_only_their_own(integration, new_integration):
    other = new_integration(integration.sandbox)
    paid = integration.paid(reference="same")
    assert other.call("GET", "/transaction/verify/same")[0] == 400
    assert other.call("GET", f"/transaction/{paid['id']}")[0] == 404
    assert other.initialize(reference="same")["reference"] == "same"
    assert other.number != integration.number


def test_the_fee_on_the_customer(paystack_sandbox, new_integration):
    paid = new_integration(paystack_sandbox, fees_on_customer=True).paid(amount=100_000)
    assert (paid["requested_amount"], paid["fees"], paid["amount"]) == (100_000, 1_500, 101_500)


def test_lists(integration):
    first = integration.paid(amount=5_000)
    integration.initialize(amount=6_000)
    status, body = integration.call("GET", "/transaction?perPage=1")
    assert (status, len(body["data"]), body["data"][0]["amount"]) == (200, 1, 6_000)
    assert (body["meta"]["total"], body["meta"]["pageCount"]) == (2, 2)
    assert [one["id"] for one in integration.call("GET", "/transaction?status=success")[1]["data"]] == [first["id"]]
    assert integration.call("GET", "/transaction?from=2099-01-01T00:00:00.000Z")[1]["data"] == []
    assert len(integration.call("GET", "/transaction?from=2020-01-01&to=2099-01-01")[1]["data"]) == 2
    assert integration.call("GET", "/transaction?perPage=none")[0] == 400
    assert integration.call("GET", f"/transaction/{first['id']}")[1]["data"]["status"] == "success"


def test_customers(integration):
    status, body = integration.call("POST", "/customer", email="Eve@shop.example", first_name="Eve")
    assert (status, body["message"], body["data"]["integration"]) == (200, "Customer created", integration.number)
    code = body["data"]["customer_code"]
    assert integration.call("GET", "/customer/eve@shop.example")[1]["data"]["customer_code"] == code
    assert integration.call("GET", f"/customer/{code}")[1]["data"]["first_name"] == "Eve"
    assert integration.paid(email="eve@shop.example")["customer"]["customer_code"] == code
    assert integration.call("GET", "/customer/CUS_x")[0] == 404


def test_balance_and_timeout(integration):
    integration.paid(amount=500_000)
    [naira] = [one for one in integration.call("GET", "/balance")[1]["data"] if one["currency"] == "NGN"]
    assert naira["balance"] == 482_500
    assert "payment_session_timeout" in integration.call("GET", "/integration/payment_session_timeout")[1]["data"]


def test_a_body_that_is_not_json(integration):
    answer = integration.session.post(
        integration.sandbox.url + "/transaction/initialize",
        data="{",
        headers={"Content-Type": "application/json"},
        timeout=5,
    )
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_params")


def test_xof_has_no_fractions(integration):
    paid = integration.paid(amount=10_099, currency="XOF")
    assert (paid["amount"], paid["requested_amount"], paid["currency"]) == (10_000, 10_000, "XOF")


@pytest.mark.parametrize(
    ("currency", "smallest"), [("NGN", 5_000), ("GHS", 10), ("ZAR", 100), ("KES", 300), ("USD", 200), ("XOF", 100)]
)
def test_smallest_amounts(integration, currency, smallest):
    assert integration.initialize(amount=str(smallest), currency=currency)["reference"]
    sent = {"email": "a@shop.example", "amount": smallest - 1, "currency": currency}
    assert integration.call("POST", "/transaction/initialize", **sent)[1]["code"] == "invalid_amount"


def test_the_page_offers_the_channels_asked_for(integration, eventually):
    started = integration.initialize(channels=["bank_transfer"])
    page = integration.session.get(started["authorization_url"], timeout=5).text
    assert "Pay by bank transfer" in page
    assert 'name="card"' not in page
    # Neither a card nor another channel is taken.
    integration.submit(started["authorization_url"], action="pay", card="4084084084084081")
    integration.submit(started["authorization_url"], action="channel", channel="ussd")
    assert integration.verify(started["reference"])["status"] == "abandoned"
    answer = integration.submit(started["authorization_url"], action="channel", channel="bank_transfer")
    assert answer.headers["Location"].startswith("https://shop.example/back?trxref=")
    eventually(lambda: integration.verify(started["reference"])["status"] == "success")
    paid = integration.verify(started["reference"])
    assert (paid["channel"], paid["authorization"]["reusable"]) == ("bank_transfer", False)


@pytest.mark.parametrize(
    ("sent", "shown"), [(None, ""), ("", ""), ("0", "0"), ('{"a": 1}', {"a": 1}), ({"a": 1}, {"a": 1}), ("{", "{")]
)
def test_the_forms_of_metadata(integration, sent, shown):
    assert integration.verify(integration.initialize(metadata=sent)["reference"])["metadata"] == shown


def test_a_live_key_has_live_objects(paystack_sandbox):
    key = "sk_live_local"
    paystack_sandbox.door("POST", "accounts", secret_key=key)
    answer = paystack_sandbox.http.post(
        paystack_sandbox.url + "/customer",
        json={"email": "a@shop.example"},
        headers={"Authorization": f"Bearer {key}"},
        timeout=5,
    )
    assert answer.json()["data"]["domain"] == "live"
