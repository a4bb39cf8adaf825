"""Checkout Sessions and their page, submitted as a browser without scripts would."""

from __future__ import annotations

import time

import pytest
import stripe

WANTED = {
    "mode": "payment",
    "success_url": "https://shop.example/done?session={CHECKOUT_SESSION_ID}",
    "cancel_url": "https://shop.example/cart",
    "line_items": [
        {"price_data": {"currency": "usd", "unit_amount": 700, "product_data": {"name": "Tea <b>"}}, "quantity": 2}
    ],
    "payment_intent_data": {"metadata": {"ours": "txn_1"}},
}


def make(shop, **changes):
    return shop.client.v1.checkout.sessions.create({**WANTED, **changes})


def test_the_customer_pays_on_the_page(shop):
    session = make(shop)
    assert (session.status, session.payment_status, session.amount_total) == ("open", "unpaid", 1400)
    assert session.payment_intent is None
    page = shop.session.get(session.url, timeout=10)
    assert "$14.00" in page.text
    assert "Tea &lt;b&gt;" in page.text
    assert "<script" not in page.text
    answer = shop.submit(session.url, action="pay", card="4242 4242 4242 4242")
    assert (answer.status_code, answer.headers["Location"]) == (303, f"https://shop.example/done?session={session.id}")
    session = shop.client.v1.checkout.sessions.retrieve(session.id, {"expand": ["payment_intent"]})
    assert (session.status, session.payment_status, session.url) == ("complete", "paid", None)
    assert session.payment_intent.metadata.to_dict() == {"ours": "txn_1"}
    assert shop.event_types()[-1] == "checkout.session.completed"
    assert (
        "Already paid"
        in shop.submit(f"{shop.sandbox.url}/c/pay/{session.id}", action="pay", card="4242424242424242").text
    )
    assert shop.ledger()["summary"]["charges_succeeded"] == 1


def test_a_declined_try_leaves_the_page_open(shop):
    session = make(shop)
    declined = shop.submit(session.url, action="pay", card="4000000000009995")
    assert declined.status_code == 200
    assert "insufficient funds" in declined.text
    assert shop.submit(session.url, action="decline").status_code == 200
    tried = shop.client.v1.checkout.sessions.retrieve(session.id, {"expand": ["payment_intent"]})
    assert (tried.status, tried.payment_intent.status) == ("open", "requires_payment_method")
    assert shop.submit(session.url, action="pay", card="4242424242424242").status_code == 303
    paid = shop.client.v1.checkout.sessions.retrieve(session.id)
    assert paid.payment_intent == tried.payment_intent.id
    assert [charge["status"] for charge in shop.ledger()["charges"]] == ["failed", "failed", "succeeded"]


def test_back_to_the_shop(shop):
    session = make(shop)
    assert shop.submit(session.url, action="back").headers["Location"] == "https://shop.example/cart"
    assert shop.client.v1.checkout.sessions.retrieve(session.id).status == "open"


def test_authentication_on_the_way(shop):
    session = make(shop)
    step = shop.submit(session.url, action="pay", card="4000002760003184").headers["Location"]
    assert "/authenticate/" in step
    again = shop.submit(step, action="fail").headers["Location"]
    assert again == session.url
    assert "unable to authenticate" in shop.session.get(again, timeout=10).text
    step = shop.submit(session.url, action="pay", card="4000002760003184").headers["Location"]
    assert shop.submit(step, action="authorize").headers["Location"].endswith(session.id)
    assert shop.client.v1.checkout.sessions.retrieve(session.id).payment_status == "paid"


def test_manual_capture_leaves_the_session_unpaid(shop):
    session = make(shop, payment_intent_data={"capture_method": "manual"})
    shop.submit(session.url, action="pay", card="4242424242424242")
    session = shop.client.v1.checkout.sessions.retrieve(session.id, {"expand": ["payment_intent"]})
    assert (session.status, session.payment_status) == ("complete", "unpaid")
    assert session.payment_intent.status == "requires_capture"
    assert shop.client.v1.payment_intents.cancel(session.payment_intent.id).status == "canceled"


def test_expire_closes_the_page_and_the_intent(shop):
    session = make(shop)
    shop.submit(session.url, action="decline")
    intent = shop.client.v1.checkout.sessions.retrieve(session.id).payment_intent
    with pytest.raises(stripe.InvalidRequestError, match="created by a Checkout Session"):
        shop.client.v1.payment_intents.cancel(intent)
    assert shop.client.v1.checkout.sessions.expire(session.id).status == "expired"
    assert shop.client.v1.payment_intents.retrieve(intent).status == "canceled"
    gone = shop.submit(f"{shop.sandbox.url}/c/pay/{session.id}", action="pay", card="4242424242424242")
    assert (gone.status_code, shop.ledger()["summary"]["charges_succeeded"]) == (410, 0)
    with pytest.raises(stripe.InvalidRequestError, match="Only Checkout Sessions"):
        shop.client.v1.checkout.sessions.expire(session.id)


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"success_url": None}, "success_url"),
        ({"line_items": None}, "line_items"),
        ({"success_url": "shop"}, "success_url"),
        ({"expires_at": int(time.time()) + 60}, "expires_at"),
        ({"line_items": [{"price": "price_x", "quantity": 1}]}, "line_items[0][price]"),
        ({"payment_method_types": ["card"]}, "payment_method_types"),
    ],
)
def test_refused_sessions(shop, changes, param):
    sent = {name: value for name, value in {**WANTED, **changes}.items() if value is not None}
    with pytest.raises(stripe.InvalidRequestError) as refused:
        shop.client.v1.checkout.sessions.create(sent)
    assert refused.value.param == param


def test_an_unknown_page(shop):
    for path in ("/c/pay/cs_test_x", "/authenticate/pi_x_secret_y"):
        assert shop.session.get(shop.sandbox.url + path, timeout=5).status_code == 404
        assert shop.submit(shop.sandbox.url + path, action="pay").status_code == 404


def test_a_card_is_saved_for_the_customer_of_the_session(shop):
    customer = shop.client.v1.customers.create({"email": "ada@shop.example"})
    session = make(shop, customer=customer.id, payment_intent_data={"setup_future_usage": "off_session"})
    shop.submit(session.url, action="pay", card="4242424242424242")
    done = shop.client.v1.checkout.sessions.retrieve(session.id, {"expand": ["payment_intent", "customer"]})
    assert (done.customer.id, done.customer_details.email) == (customer.id, "ada@shop.example")
    [method] = shop.client.v1.customers.payment_methods.list(customer.id).data
    assert (method.id, method.allow_redisplay) == (done.payment_intent.payment_method, "limited")
    again = shop.pay(customer=customer.id, payment_method=method.id, off_session=True)
    assert again.status == "succeeded"
    # Kept for the shop's own charges; the page shows it only to a shop that asks for such cards.
    for filters, shown in ((["always"], False), (["always", "limited"], True)):
        options = {"allow_redisplay_filters": filters}
        page = shop.session.get(make(shop, customer=customer.id, saved_payment_method_options=options).url, timeout=10)
        assert (method.id in page.text) is shown


def test_a_customer_is_made_where_something_must_be_kept(shop):
    for changes in ({"customer_creation": "always"}, {"payment_intent_data": {"setup_future_usage": "off_session"}}):
        session = make(shop, customer_email="ada@shop.example", **changes)
        assert session.customer is None
        shop.submit(session.url, action="pay", card="4242424242424242")
        done = shop.client.v1.checkout.sessions.retrieve(session.id, {"expand": ["customer"]})
        assert done.customer.email == "ada@shop.example"
    assert len(shop.client.v1.customers.payment_methods.list(done.customer.id).data) == 1
    guest = make(shop)
    shop.submit(guest.url, action="pay", card="4242424242424242")
    assert shop.client.v1.checkout.sessions.retrieve(guest.id).customer is None


def test_the_customer_keeps_a_card_and_pays_with_it_next_time(shop):
    customer = shop.client.v1.customers.create({"email": "ada@shop.example"}).id
    options = {"customer": customer, "saved_payment_method_options": {"payment_method_save": "enabled"}}
    first = make(shop, **options)
    assert 'name="save"' in shop.session.get(first.url, timeout=10).text
    shop.submit(first.url, action="pay", card="4242424242424242", save="yes")
    second = make(shop, customer=customer)
    [method] = shop.client.v1.customers.payment_methods.list(customer).data
    page = shop.session.get(second.url, timeout=10).text
    assert f'value="{method.id}"' in page
    assert "Visa ending in 4242, expires 12/34" in page
    assert 'name="save"' not in page
    assert shop.submit(second.url, action="pay", payment_method=method.id, card="").status_code == 303
    paid = shop.client.v1.checkout.sessions.retrieve(second.id, {"expand": ["payment_intent"]})
    assert (paid.payment_status, paid.payment_intent.payment_method) == ("paid", method.id)


def test_a_page_pays_with_no_card_of_somebody_else(shop):
    customers = shop.client.v1.customers
    theirs = shop.client.v1.payment_methods.attach("pm_card_visa", {"customer": customers.create({}).id})
    session = make(shop, customer=customers.create({}).id)
    answer = shop.submit(session.url, action="pay", payment_method=theirs.id)
    assert answer.status_code == 200
    assert "does not have a payment method" in answer.text
    assert shop.ledger()["charges"] == []


def test_the_pages_are_made_for_a_phone(shop):
    page = shop.session.get(make(shop).url, timeout=10).text
    assert 'name="viewport" content="width=device-width,initial-scale=1"' in page
    assert '<label for="card">' in page
    assert 'inputmode="numeric"' in page


def test_line_items_are_shown_when_asked(shop):
    session = make(shop, expand=["line_items"])
    assert [item.description for item in session.line_items.data] == ["Tea <b>"]


def test_an_old_caller_may_list_the_types_of_a_session(shop):
    sent = {
        "mode": "payment", "success_url": "https://shop.example/done", "payment_method_types[]": "card",
        "line_items[0][price_data][currency]": "usd", "line_items[0][price_data][unit_amount]": "500",
        "line_items[0][price_data][product_data][name]": "Tea", "line_items[0][quantity]": "1",
    }  # fmt: skip
    assert shop.raw("POST", "/v1/checkout/sessions", sent).json()["payment_method_types"] == ["card"]
    refused = shop.raw("POST", "/v1/checkout/sessions", sent, Stripe_Version="2026-10-28.endive")
    assert refused.json()["error"]["code"] == "payment_method_types_no_longer_supported"
