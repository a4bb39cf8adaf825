"""Customers and their payment methods: made, found, changed, attached, detached, deleted."""

from __future__ import annotations

import pytest
import stripe


def make(shop, **wanted):
    return shop.client.v1.customers.create({"email": "ada@shop.example", **wanted})


def attach(shop, customer, token="pm_card_visa"):
    return shop.client.v1.payment_methods.attach(token, {"customer": customer.id})


def test_a_customer_is_made_read_and_changed(shop):
    customer = make(shop, name="Ada", metadata={"ours": "1"}, address={"city": "Lagos"})
    assert (customer.object, customer.email, customer.name, customer.livemode) == (
        "customer", "ada@shop.example", "Ada", False,
    )  # fmt: skip
    changed = shop.client.v1.customers.update(
        customer.id, {"name": "", "email": "b@shop.example", "metadata": {"x": "2"}}
    )
    assert (changed.name, changed.email) == (None, "b@shop.example")
    assert changed.metadata.to_dict() == {"ours": "1", "x": "2"}
    assert shop.client.v1.customers.retrieve(customer.id).address.city == "Lagos"
    events = shop.client.v1.events.list({"type": "customer.updated"}).data
    assert events[0].data.previous_attributes.to_dict()["email"] == "ada@shop.example"
    assert shop.event_types() == ["customer.created", "customer.updated"]


def test_customers_are_listed_by_address_and_time(shop):
    ada, bea = make(shop), make(shop, email="bea@shop.example")
    customers = shop.client.v1.customers
    assert [one.id for one in customers.list().data] == [bea.id, ada.id]
    assert [one.id for one in customers.list({"email": "ada@shop.example"}).data] == [ada.id]
    customers.update(ada.id, {"email": "bea@shop.example"})
    assert customers.list({"email": "ada@shop.example"}).data == []
    assert len(customers.list({"email": "bea@shop.example", "created": {"gte": ada.created}}).data) == 2
    assert customers.list({"created": {"gt": bea.created + 1}}).data == []


def test_a_deleted_customer_leaves_no_name_behind(shop):
    customer = make(shop, name="Ada")
    method = attach(shop, customer)
    assert shop.client.v1.customers.delete(customer.id).to_dict() == {
        "id": customer.id, "object": "customer", "deleted": True,
    }  # fmt: skip
    assert shop.client.v1.customers.retrieve(customer.id).to_dict() == {
        "id": customer.id, "object": "customer", "deleted": True,
    }  # fmt: skip
    assert shop.client.v1.customers.list().data == []
    assert shop.event_types()[-2:] == ["payment_method.detached", "customer.deleted"]
    [kept] = shop.ledger()["customers"]
    assert (kept["deleted"], kept["email"], kept["name"]) == (True, None, None)
    with pytest.raises(stripe.InvalidRequestError, match="No such customer") as refused:
        shop.client.v1.customers.update(customer.id, {"name": "x"})
    assert refused.value.http_status == 404
    for wanted in ({"customer": customer.id}, {"payment_method": method.id}):
        with pytest.raises(stripe.InvalidRequestError):
            shop.pay(**wanted)


def test_a_method_is_attached_listed_changed_and_detached(shop):
    customer = make(shop)
    visa, master = attach(shop, customer), attach(shop, customer, "pm_card_mastercard")
    assert (visa.customer, visa.card.last4, visa.card.exp_year) == (customer.id, "4242", 2034)
    methods = shop.client.v1.payment_methods
    for listed in (
        methods.list({"customer": customer.id, "type": "card"}),
        shop.client.v1.customers.payment_methods.list(customer.id),
    ):
        assert [one.id for one in listed.data] == [master.id, visa.id]
    changed = methods.update(visa.id, {"metadata": {"a": "1"}, "card": {"exp_month": 3, "exp_year": 2031}})
    assert (changed.metadata.to_dict(), changed.card.exp_month, changed.card.exp_year) == ({"a": "1"}, 3, 2031)
    assert methods.detach(visa.id).customer is None
    assert [one.id for one in methods.list({"customer": customer.id}).data] == [master.id]
    assert shop.client.v1.customers.payment_methods.retrieve(customer.id, master.id).id == master.id
    assert shop.event_types(type="payment_method.*") == [
        "payment_method.attached", "payment_method.attached", "payment_method.updated", "payment_method.detached",
    ]  # fmt: skip
    kept = {one["id"]: (one["customer"], one["detached_from"]) for one in shop.ledger()["payment_methods"]}
    assert kept == {visa.id: (None, customer.id), master.id: (customer.id, None)}


def test_the_same_card_has_one_fingerprint_in_an_account_and_another_elsewhere(shop, new_shop):
    def mark(one, token="pm_card_visa"):
        return one.client.v1.payment_methods.retrieve(one.pay(payment_method=token).payment_method).card.fingerprint

    assert mark(shop) == mark(shop) != mark(shop, "pm_card_mastercard")
    assert mark(new_shop(shop.sandbox)) != mark(shop)


@pytest.mark.parametrize(
    ("prepare", "text", "status"),
    [
        ("attached", "has already been attached to a customer", 400),
        ("detached", "may not be used again", 400),
        ("used", "may not be used again", 400),
        ("unknown", "No such PaymentMethod: 'pm_x'", 404),
    ],
)
def test_a_method_that_cannot_be_attached(shop, prepare, text, status):
    customer = make(shop)
    if prepare == "unknown":
        id = "pm_x"
    elif prepare == "used":
        id = shop.pay().payment_method
    else:
        id = attach(shop, customer).id
    if prepare == "detached":
        shop.client.v1.payment_methods.detach(id)
        with pytest.raises(stripe.InvalidRequestError, match="detachment is impossible"):
            shop.client.v1.payment_methods.detach(id)
    with pytest.raises(stripe.InvalidRequestError, match=text) as refused:
        shop.client.v1.payment_methods.attach(id, {"customer": customer.id})
    assert refused.value.http_status == status


def test_a_bank_that_says_no_lets_no_card_be_kept(shop):
    customer = make(shop)
    with pytest.raises(stripe.CardError) as declined:
        attach(shop, customer, "pm_card_visa_chargeDeclinedInsufficientFunds")
    assert (declined.value.code, declined.value.error.decline_code) == ("card_declined", "insufficient_funds")
    saved = attach(shop, customer, "pm_card_chargeCustomerFail")
    with pytest.raises(stripe.CardError):
        shop.pay(customer=customer.id, payment_method=saved.id)


def test_methods_are_made_of_tokens_never_of_numbers(shop):
    methods = shop.client.v1.payment_methods
    made = methods.create(
        {"type": "card", "card": {"token": "tok_visa"}, "billing_details": {"name": "Ada"}, "metadata": {"a": "1"}}
    )
    assert (made.card.last4, made.billing_details.name, made.customer) == ("4242", "Ada", None)
    bank = {"account_holder_type": "individual", "account_number": "000123456789", "routing_number": "110000000"}
    assert methods.create({"type": "us_bank_account", "us_bank_account": bank}).us_bank_account.last4 == "6789"
    with pytest.raises(stripe.CardError, match="generally unsafe"):
        methods.create({"type": "card", "card": {"number": "4242424242424242", "exp_month": 1, "exp_year": 2034}})
    for sent, param in (
        ({"card": {"token": "tok_visa"}}, "type"),
        ({"type": "card"}, "card"),
        ({"type": "card", "card": {"token": "tok_nobody"}}, "card[token]"),
        ({"type": "card", "colour": "red"}, "colour"),
        (
            {"type": "us_bank_account", "us_bank_account": {**bank, "account_number": "1"}},
            "us_bank_account[account_number]",
        ),
    ):
        with pytest.raises(stripe.InvalidRequestError) as refused:
            methods.create(sent)
        assert refused.value.param == param


def test_a_default_method_must_be_the_customers_own(shop):
    customer = make(shop, payment_method="pm_card_visa")
    [method] = shop.client.v1.customers.payment_methods.list(customer.id).data
    wanted = {
        "invoice_settings": {"default_payment_method": method.id},
        "expand": ["invoice_settings.default_payment_method"],
    }
    changed = shop.client.v1.customers.update(customer.id, wanted)
    assert changed.invoice_settings.default_payment_method.card.last4 == "4242"
    with pytest.raises(stripe.InvalidRequestError, match="must be attached"):
        shop.client.v1.customers.update(make(shop).id, wanted)
    shop.client.v1.payment_methods.detach(method.id)
    assert shop.client.v1.customers.retrieve(customer.id).invoice_settings.default_payment_method is None


@pytest.mark.parametrize(
    ("sent", "code", "param"),
    [
        ({"email": "nobody"}, "email_invalid", "email"),
        ({"colour": "red"}, "parameter_unknown", "colour"),
        ({"payment_method": "pm_x"}, "resource_missing", "payment_method"),
        ({"metadata": {"k" * 41: "v"}}, None, "metadata"),
    ],
)
def test_a_refused_customer(shop, sent, code, param):
    with pytest.raises(stripe.InvalidRequestError) as refused:
        shop.client.v1.customers.create(sent)
    assert (refused.value.http_status, refused.value.code, refused.value.param) == (400, code, param)
    assert shop.client.v1.customers.list().data == []


def test_one_key_makes_one_customer(shop):
    key = {"idempotency_key": "person-1"}
    first = shop.client.v1.customers.create({"email": "a@shop.example"}, key)
    assert shop.client.v1.customers.create({"email": "a@shop.example"}, key).id == first.id
    [kept] = shop.ledger()["customers"]
    assert (kept["id"], kept["idempotency_key"]) == (first.id, "person-1")
