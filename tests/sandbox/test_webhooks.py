"""Webhooks: signed as the real ones, in the right shape, tried again, logged."""

from __future__ import annotations

import hashlib
import hmac
import json

import pytest
import stripe


def log(sandbox, key, **asked):
    query = "&".join(f"{name}={value}" for name, value in asked.items())
    return sandbox.door("GET", f"webhooks?secret_key={key}&{query}")


def test_stripe_signs_what_it_sends(hooked_shop, receiver):
    intent = hooked_shop.pay()
    seen = {}
    while not {"payment_intent.created", "charge.succeeded", "payment_intent.succeeded"} <= set(seen):
        headers, body = receiver.next()
        event = stripe.Webhook.construct_event(body, headers["Stripe-Signature"], "whsec_test")
        seen[event.type] = event
        with pytest.raises(stripe.SignatureVerificationError):
            stripe.Webhook.construct_event(body, headers["Stripe-Signature"], "whsec_other")
    assert seen["payment_intent.created"].data.object.status == "requires_confirmation"
    succeeded = seen["payment_intent.succeeded"]
    assert (succeeded.data.object.id, succeeded.livemode, succeeded.object) == (intent.id, False, "event")


def test_paystack_signs_with_the_secret_key(hooked_integration, receiver):
    transaction = hooked_integration.paid()
    headers, body = receiver.next()
    signed = hmac.new(hooked_integration.key.encode(), body, hashlib.sha512).hexdigest()
    assert hmac.compare_digest({name.lower(): value for name, value in headers.items()}["x-paystack-signature"], signed)
    event = json.loads(body)
    assert event["event"] == "charge.success"
    assert set(event) == {"event", "data"}
    assert (event["data"]["id"], event["data"]["reference"]) == (transaction["id"], transaction["reference"])
    assert event["data"]["metadata"] == 0


def test_only_success_is_told_by_paystack(hooked_integration, receiver):
    started = hooked_integration.initialize()
    hooked_integration.submit(started["authorization_url"], action="decline")
    assert log(hooked_integration.sandbox, hooked_integration.key)["deliveries"] == []


def test_a_failed_delivery_is_tried_again(hooked_shop, receiver, eventually):
    receiver.answers += [500, 307]
    hooked_shop.client.v1.payment_intents.create({"amount": 500, "currency": "usd"})
    bodies = [receiver.next()[1] for _ in range(3)]
    assert len(set(bodies)) == 1
    seen = eventually(lambda: (now := log(hooked_shop.sandbox, hooked_shop.key)) and not now["pending"] and now)
    [delivery] = seen["deliveries"]
    assert (delivery["attempts"], delivery["last_status"], delivery["delivered"]) == (3, "200", True)
    assert seen["delivered"] == 1


def test_stripe_gives_up_and_can_be_asked_again(hooked_shop, receiver, eventually):
    receiver.answers += [500] * 4
    hooked_shop.client.v1.payment_intents.create({"amount": 500, "currency": "usd"})
    seen = eventually(lambda: (now := log(hooked_shop.sandbox, hooked_shop.key))["given_up"] and now)
    assert seen["deliveries"][0]["attempts"] == 4
    assert hooked_shop.event_types(delivery_success=False) == ["payment_intent.created"]
    assert hooked_shop.sandbox.door("POST", "webhooks/resend", id=seen["deliveries"][0]["id"]) == {"resent": 1}
    eventually(lambda: log(hooked_shop.sandbox, hooked_shop.key)["delivered"] == 1)
    assert hooked_shop.event_types(delivery_success=False) == []


def test_an_event_can_be_sent_twice(hooked_shop, receiver, eventually):
    hooked_shop.client.v1.payment_intents.create({"amount": 500, "currency": "usd"})
    first = receiver.next()[1]
    id = json.loads(first)["id"]
    eventually(lambda: log(hooked_shop.sandbox, hooked_shop.key)["delivered"] == 1)
    hooked_shop.sandbox.door("POST", "webhooks/resend", id=id)
    assert receiver.next()[1] == first


def test_an_account_may_ask_for_some_events_only(stripe_sandbox, new_shop, receiver):
    shop = new_shop(stripe_sandbox, webhook_url=receiver.url, webhook_events=["payment_intent.succeeded"])
    shop.pay()
    assert json.loads(receiver.next()[1])["type"] == "payment_intent.succeeded"
    assert len(log(stripe_sandbox, shop.key)["deliveries"]) == 1


def test_webhooks_can_be_held_back(run_sandbox, new_integration, receiver, eventually):
    sandbox = run_sandbox("paystack")
    sandbox.door("POST", "settings", webhooks=False, webhook_delay_ms=0)
    integration = new_integration(sandbox, webhook_url=receiver.url)
    integration.paid()
    integration.paid()
    assert log(sandbox, integration.key)["pending"] == 2
    assert receiver.arrived.empty()
    sandbox.door("POST", "settings", webhooks=True)
    eventually(lambda: log(sandbox, integration.key)["delivered"] == 2)


def test_an_address_where_nobody_listens(stripe_sandbox, new_shop, eventually):
    shop = new_shop(stripe_sandbox, webhook_url="http://127.0.0.1:9/hook")
    shop.client.v1.payment_intents.create({"amount": 500, "currency": "usd"})
    seen = eventually(lambda: (now := log(stripe_sandbox, shop.key))["given_up"] and now)
    assert seen["deliveries"][0]["last_status"] == "ClientConnectorError"


@pytest.mark.parametrize(("key", "tries"), [("sk_test_schedule", 11), ("sk_live_schedule", 77)])
def test_paystack_tries_as_often_as_it_says(paystack_sandbox, key, tries, eventually):
    paystack_sandbox.door("POST", "accounts", secret_key=key, webhook_url="http://127.0.0.1:9/hook")
    headers = {"Authorization": f"Bearer {key}"}
    sent = {"email": "a@shop.example", "amount": 5_000}
    address = paystack_sandbox.url + "/transaction/initialize"
    started = paystack_sandbox.http.post(address, json=sent, headers=headers, timeout=5).json()["data"]
    fields = {"action": "pay", "card": "4084084084084081"}
    paystack_sandbox.http.post(started["authorization_url"], data=fields, timeout=5)
    paystack_sandbox.door("POST", "settings", webhook_retry_scale=0)
    try:
        seen = eventually(lambda: (now := log(paystack_sandbox, key))["given_up"] and now)
    finally:
        paystack_sandbox.door("POST", "settings", webhook_retry_scale=0.0001)
    assert seen["deliveries"][0]["attempts"] == tries
