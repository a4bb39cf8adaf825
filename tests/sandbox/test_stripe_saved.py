"""Cards kept by a payment and charged later without the customer."""

from __future__ import annotations

import pytest
import stripe


@pytest.fixture
def customer(shop):
    return shop.client.v1.customers.create({"email": "ada@shop.example"})


def save(shop, customer, token="pm_card_visa", **changes):
    return shop.pay(customer=customer.id, payment_method=token, setup_future_usage="off_session", **changes)


def test_a_card_saved_by_a_payment_is_charged_later(shop, customer):
    first = save(shop, customer)
    assert (first.status, first.customer, first.setup_future_usage) == ("succeeded", customer.id, "off_session")
    [method] = shop.client.v1.customers.payment_methods.list(customer.id).data
    assert method.id == first.payment_method
    for _ in range(2):
        again = shop.pay(
            customer=customer.id, payment_method=method.id, off_session=True, expand=["latest_charge.customer"]
        )
        assert (again.status, again.payment_method, again.latest_charge.customer.email) == (
            "succeeded", method.id, "ada@shop.example",
        )  # fmt: skip
    assert shop.event_types()[1:5] == [
        "payment_intent.created", "payment_method.attached", "charge.succeeded", "payment_intent.succeeded",
    ]  # fmt: skip
    assert [one.id for one in shop.client.v1.payment_intents.list({"customer": customer.id}).data][-1] == first.id


def test_a_hold_saves_the_card_and_a_decline_does_not(shop, customer):
    with pytest.raises(stripe.CardError):
        save(shop, customer, "pm_card_chargeDeclined")
    assert shop.client.v1.customers.payment_methods.list(customer.id).data == []
    assert save(shop, customer, capture_method="manual").status == "requires_capture"
    assert len(shop.client.v1.customers.payment_methods.list(customer.id).data) == 1


def test_without_setup_a_card_is_good_for_one_payment(shop, customer):
    once = shop.pay(customer=customer.id)
    assert shop.client.v1.customers.payment_methods.list(customer.id).data == []
    with pytest.raises(stripe.InvalidRequestError, match="may not be used again"):
        shop.pay(customer=customer.id, payment_method=once.payment_method)


def test_saved_without_a_customer_it_can_still_be_attached(shop, customer):
    paid = shop.pay(setup_future_usage="on_session")
    attached = shop.client.v1.payment_methods.attach(paid.payment_method, {"customer": customer.id})
    assert attached.customer == customer.id


def test_a_saved_method_belongs_to_its_customer_alone(shop, customer):
    method = save(shop, customer).payment_method
    with pytest.raises(stripe.InvalidRequestError, match="for security purposes you must provide the customer"):
        shop.pay(payment_method=method)
    other = shop.client.v1.customers.create({})
    with pytest.raises(stripe.InvalidRequestError, match="does not have a payment method with the ID"):
        shop.pay(payment_method=method, customer=other.id)
    assert shop.ledger()["summary"]["charges_succeeded"] == 1


def test_a_detached_card_is_never_charged_again(shop, customer):
    method = save(shop, customer).payment_method
    shop.client.v1.payment_methods.detach(method)
    with pytest.raises(stripe.InvalidRequestError, match="was detached from a Customer"):
        shop.pay(customer=customer.id, payment_method=method, off_session=True)


def test_a_bank_that_wants_the_customer_there_declines(shop, customer):
    saved = shop.client.v1.payment_methods.attach("pm_card_authenticationRequired", {"customer": customer.id})
    with pytest.raises(stripe.CardError) as declined:
        shop.pay(customer=customer.id, payment_method=saved.id, off_session=True)
    error = declined.value.error
    assert (declined.value.http_status, error.code, error.decline_code) == (
        402, "authentication_required", "authentication_required",
    )  # fmt: skip
    assert error.payment_method.id == saved.id
    intent = shop.client.v1.payment_intents.retrieve(error.payment_intent.id)
    assert (intent.status, intent.last_payment_error.code) == ("requires_payment_method", "authentication_required")
    assert shop.client.v1.charges.retrieve(error.charge).failure_code == "authentication_required"
    # With the customer at hand the same intent goes on with the same card.
    again = shop.client.v1.payment_intents.confirm(intent.id, {"payment_method": saved.id})
    assert again.status == "requires_action"


def test_a_card_set_up_with_authentication_is_quiet_afterwards(shop, customer):
    token = "pm_card_authenticationRequiredOnSetup"
    unready = shop.client.v1.payment_methods.attach(token, {"customer": customer.id})
    with pytest.raises(stripe.CardError):
        shop.pay(customer=customer.id, payment_method=unready.id, off_session=True)
    intent = save(
        shop, customer, token, automatic_payment_methods={"enabled": True}, return_url="https://shop.example/back"
    )
    shop.submit(intent.next_action.redirect_to_url.url, action="authorize")
    method = shop.client.v1.payment_intents.retrieve(intent.id).payment_method
    assert shop.pay(customer=customer.id, payment_method=method, off_session=True).status == "succeeded"
    assert shop.pay(customer=customer.id, payment_method=method).status == "requires_action"


def test_a_saved_card_keeps_the_ways_of_its_token(shop, customer, eventually):
    saved = save(shop, customer, "pm_card_createDispute").payment_method
    shop.pay(customer=customer.id, payment_method=saved, off_session=True)
    eventually(lambda: len(shop.client.v1.disputes.list().data) == 2)


def test_a_hold_without_the_customer_is_shorter_on_visa(shop, customer):
    saved = save(shop, customer).payment_method
    intent = shop.pay(
        customer=customer.id, payment_method=saved, off_session=True, capture_method="manual", expand=["latest_charge"]
    )
    held = intent.latest_charge
    assert held.payment_method_details.card.capture_before - held.created == 4 * 86400 + 18 * 3600


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"off_session": True, "confirm": False}, "when `confirm` is true"),
        ({"off_session": True, "setup_future_usage": "off_session"}, "cannot set up future usages"),
        ({"customer": "cus_nobody"}, "No such customer: 'cus_nobody'"),
        ({"setup_future_usage": "later"}, "must be one of"),
    ],
)
def test_combinations_that_are_refused(shop, changes, text):
    with pytest.raises(stripe.InvalidRequestError, match=text):
        shop.pay(**changes)
    assert shop.client.v1.payment_intents.list().data == []
    assert shop.ledger()["charges"] == []


def test_error_on_requires_action_declines_instead_of_asking(shop):
    with pytest.raises(stripe.CardError) as declined:
        shop.pay(payment_method="pm_card_authenticationRequired", error_on_requires_action=True)
    assert declined.value.code == "authentication_required"
    assert shop.ledger()["charges"] == []


def test_what_can_be_expanded(shop, customer):
    paid = save(shop, customer, capture_method="automatic")
    wanted = ["payment_method", "customer", "latest_charge.balance_transaction.source", "latest_charge.refunds"]
    shown = shop.client.v1.payment_intents.retrieve(paid.id, {"expand": wanted})
    assert (shown.payment_method.card.brand, shown.customer.email) == ("visa", "ada@shop.example")
    assert shown.latest_charge.balance_transaction.source.id == shown.latest_charge.id
    assert shown.latest_charge.refunds.data == []
    refund = shop.client.v1.refunds.create(
        {"payment_intent": paid.id, "amount": 5, "expand": ["payment_intent.payment_method", "charge.customer"]}
    )
    assert (refund.payment_intent.payment_method.id, refund.charge.customer.id) == (paid.payment_method, customer.id)
    [listed] = shop.client.v1.charges.list({"expand": ["data.payment_intent.latest_charge"]}).data
    assert listed.payment_intent.latest_charge.id == paid.latest_charge
    details = listed.payment_method_details.card
    assert (details.brand, details.last4, details.exp_month, details.exp_year) == ("visa", "4242", 12, 2034)
    assert details.fingerprint == shown.payment_method.card.fingerprint
