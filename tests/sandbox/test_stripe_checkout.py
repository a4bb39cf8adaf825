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
