"""Bank debits: on their way, then settled, failed, canceled, given back."""

from __future__ import annotations

import pytest
import stripe

MANDATE = {"customer_acceptance": {"type": "offline"}}
CHECKOUT = {
    "mode": "payment",
    "success_url": "https://shop.example/done",
    "line_items": [
        {"price_data": {"currency": "usd", "unit_amount": 900, "product_data": {"name": "Tea"}}, "quantity": 1}
    ],
}


def debit(shop, name, **changes):
    return shop.pay(payment_method=f"pm_usBankAccount_{name}", mandate_data=MANDATE, **changes)


def status(shop, intent):
    return shop.client.v1.payment_intents.retrieve(intent.id).status


def test_a_debit_settles_later(shop, eventually):
    intent = debit(shop, "success", expand=["latest_charge"])
    assert (intent.status, intent.latest_charge.status, intent.latest_charge.paid) == ("processing", "pending", False)
    assert shop.ledger()["charges"][0]["status"] == "pending"
    eventually(lambda: status(shop, intent) == "succeeded")
    assert shop.event_types() == [
        "payment_intent.created", "charge.pending", "payment_intent.processing", "charge.succeeded",
        "payment_intent.succeeded",
    ]  # fmt: skip
    charge = shop.client.v1.charges.retrieve(intent.latest_charge.id, {"expand": ["balance_transaction"]})
    assert (charge.status, charge.payment_method_details.us_bank_account.last4) == ("succeeded", "6789")
    assert charge.balance_transaction.type == "payment"
    refund = shop.client.v1.refunds.create({"payment_intent": intent.id})
    assert refund.status == "pending"
    done = eventually(lambda: (one := shop.client.v1.refunds.retrieve(refund.id)).status == "succeeded" and one)
    assert shop.client.v1.balance_transactions.retrieve(done.balance_transaction).type == "payment_refund"


@pytest.mark.parametrize(
    ("name", "code"),
    [("insufficientFunds", "insufficient_funds"), ("accountClosed", "account_closed"), ("noAccount", "no_account")],
)
def test_a_debit_fails_later(shop, eventually, name, code):
    intent = debit(shop, name)
    assert intent.status == "processing"
    eventually(lambda: status(shop, intent) == "requires_payment_method")
    failed = shop.client.v1.payment_intents.retrieve(intent.id, {"expand": ["latest_charge"]})
    assert (failed.last_payment_error.code, failed.latest_charge.failure_code) == (code, code)
    assert shop.event_types()[-2:] == ["charge.failed", "payment_intent.payment_failed"]
    assert shop.ledger()["summary"]["charges_succeeded"] == 0


def test_a_debit_that_never_settles_can_be_canceled(shop):
    intent = debit(shop, "processing")
    with pytest.raises(stripe.InvalidRequestError, match="status of processing"):
        shop.client.v1.payment_intents.confirm(intent.id)
    assert shop.client.v1.payment_intents.cancel(intent.id).status == "canceled"
    assert shop.ledger()["charges"][0]["status"] == "failed"


def test_a_saved_account_is_debited_again_under_its_mandate(shop):
    customer = shop.client.v1.customers.create({}).id
    first = debit(shop, "success", customer=customer, setup_future_usage="off_session")
    again = shop.pay(customer=customer, payment_method=first.payment_method, off_session=True)
    assert again.status == "processing"


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"mandate_data": None}, "requires a mandate"),
        ({"currency": "eur"}, "is not allowed for this PaymentIntent"),
        ({"excluded_payment_method_types": ["us_bank_account"]}, "is not allowed for this PaymentIntent"),
        ({"capture_method": "manual"}, "is not allowed for this PaymentIntent"),
    ],
)
def test_where_a_debit_is_not_taken(shop, changes, text):
    sent = {"payment_method": "pm_usBankAccount_success", "mandate_data": MANDATE, **changes}
    with pytest.raises(stripe.InvalidRequestError, match=text):
        shop.pay(**{name: value for name, value in sent.items() if value is not None})


@pytest.mark.parametrize(
    ("account", "event", "paid"),
    [
        ("000123456789", "checkout.session.async_payment_succeeded", "paid"),
        ("000222222227", "checkout.session.async_payment_failed", "unpaid"),
    ],
)
def test_a_debit_on_the_checkout_page(shop, eventually, account, event, paid):
    session = shop.client.v1.checkout.sessions.create(CHECKOUT)
    assert shop.submit(session.url, action="pay", card=account).status_code == 303
    done = shop.client.v1.checkout.sessions.retrieve(session.id)
    assert (done.status, done.payment_status) == ("complete", "unpaid")
    eventually(lambda: event in shop.event_types())
    assert "checkout.session.completed" in shop.event_types()
    assert shop.client.v1.checkout.sessions.retrieve(session.id).payment_status == paid


def test_the_page_takes_no_bank_account_where_the_shop_does_not(shop):
    session = shop.client.v1.checkout.sessions.create(
        {**CHECKOUT, "excluded_payment_method_types": ["us_bank_account"]}
    )
    answer = shop.submit(session.url, action="pay", card="000123456789")
    assert answer.status_code == 200
    assert "does not take" in answer.text
