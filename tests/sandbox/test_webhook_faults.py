"""Webhooks that go wrong on purpose: late, doubled, reordered, forged, lost, before the answer; at both providers."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import stripe


def order(integration, effect, **rest):
    return integration.fault(effect, event="charge.success", **rest)


def log(sandbox, key):
    return sandbox.door("GET", f"webhooks?secret_key={key}")


def references(receiver, count):
    return [json.loads(receiver.next()[1])["data"]["reference"] for _ in range(count)]


def test_reordered(hooked_integration, receiver):
    order(hooked_integration, "webhook_reorder", ms=60_000)
    hooked_integration.paid(reference="first")
    hooked_integration.paid(reference="second")
    assert references(receiver, 2) == ["second", "first"]


def test_late(hooked_integration, receiver, eventually):
    order(hooked_integration, "webhook_late", ms=400)
    hooked_integration.paid(reference="late")
    hooked_integration.paid(reference="in-time")
    assert references(receiver, 2) == ["in-time", "late"]


def test_doubled(hooked_integration, receiver):
    order(hooked_integration, "webhook_double", ms=0)
    hooked_integration.paid(reference="twice")
    assert references(receiver, 2) == ["twice", "twice"]


def test_forged_beside_the_true_one(hooked_integration, receiver, eventually):
    order(hooked_integration, "webhook_forge")
    paid = hooked_integration.paid()
    seen = {}
    for _ in range(2):
        headers, body = receiver.next()
        signed = hmac.new(hooked_integration.key.encode(), body, hashlib.sha512).hexdigest()
        given = {name.lower(): value for name, value in headers.items()}["x-paystack-signature"]
        seen[hmac.compare_digest(signed, given)] = json.loads(body)["data"]["amount"]
    assert seen == {True: paid["amount"], False: paid["amount"] * 10}


def test_lost_until_asked_for(hooked_integration, receiver, eventually):
    sandbox, key = hooked_integration.sandbox, hooked_integration.key
    order(hooked_integration, "webhook_lose")
    hooked_integration.paid(reference="lost")
    hooked_integration.paid(reference="told")
    assert references(receiver, 1) == ["told"]
    eventually(lambda: log(sandbox, key)["delivered"] == 1)
    [lost] = [one for one in log(sandbox, key)["deliveries"] if one["last_status"] == "lost"]
    sandbox.door("POST", "webhooks/resend", id=lost["id"])
    assert references(receiver, 1) == ["lost"]


def test_a_stripe_forgery_and_an_event_chosen_by_its_type(hooked_shop, receiver):
    hooked_shop.fault("webhook_forge", event="payment_intent.succ*")
    hooked_shop.pay()
    refused = []
    for _ in range(2 + len(hooked_shop.event_types()) - 1):
        headers, body = receiver.next()
        try:
            stripe.Webhook.construct_event(body, headers["Stripe-Signature"], "whsec_test")
        except stripe.SignatureVerificationError:
            refused.append(json.loads(body)["type"])
    assert refused == ["payment_intent.succeeded"]
    # Nobody tries a forgery again, and it is not the event's own failure.
    assert hooked_shop.event_types(delivery_success=False) == []


def test_a_forgery_is_tried_once(paystack_sandbox, new_integration, eventually):
    integration = new_integration(paystack_sandbox, webhook_url="http://127.0.0.1:9/hook")
    order(integration, "webhook_forge")
    paystack_sandbox.door("POST", "settings", webhook_retry_scale=0)
    try:
        integration.paid()
        seen = eventually(lambda: (now := log(paystack_sandbox, integration.key))["given_up"] == 2 and now)
    finally:
        paystack_sandbox.door("POST", "settings", webhook_retry_scale=0.0001)
    attempts = {one["id"].startswith("forged:"): one["attempts"] for one in seen["deliveries"]}
    assert attempts == {True: 1, False: 11}


@pytest.fixture
def holding_receiver():
    """A merchant that answers a webhook only when told to."""
    let_go, arrived = threading.Event(), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            arrived.set()
            let_go.wait(10)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/", arrived, let_go
    let_go.set()
    server.shutdown()
    server.server_close()
    thread.join()


def answers_behind_the_webhook(held, call):
    """Whether `call` goes on waiting while the merchant has not answered the webhook, and ends when it has."""
    _, arrived, let_go = held
    done = threading.Event()

    def run():
        call()
        done.set()

    thread = threading.Thread(target=run)
    thread.start()
    waited = arrived.wait(10) and not done.wait(0.1)
    let_go.set()
    thread.join(10)
    return waited and done.is_set()


def test_before_the_answer_of_stripe(stripe_sandbox, new_shop, holding_receiver):
    shop = new_shop(stripe_sandbox, webhook_url=holding_receiver[0])
    shop.fault("webhook_early", event="payment_intent.succeeded")
    stripe_sandbox.door("POST", "settings", webhook_delay_ms=60_000)  # only the early one may arrive
    try:
        assert answers_behind_the_webhook(holding_receiver, shop.pay)
    finally:
        stripe_sandbox.door("POST", "settings", webhook_delay_ms=0)


def test_before_the_answer_of_paystack(paystack_sandbox, new_integration, holding_receiver):
    integration = new_integration(paystack_sandbox, webhook_url=holding_receiver[0])
    order(integration, "webhook_early")
    assert answers_behind_the_webhook(holding_receiver, integration.paid)


def test_by_chance_with_a_seed(hooked_integration, receiver):
    seen = []
    for _ in range(2):
        fault = order(hooked_integration, "webhook_lose", probability=0.5, seed=3, times=100)
        for _ in range(8):
            hooked_integration.paid()
        newest = log(hooked_integration.sandbox, hooked_integration.key)["deliveries"][:8]
        seen.append([one["last_status"] == "lost" for one in newest])
        hooked_integration.sandbox.door("DELETE", f"faults/{fault['id']}")
    assert seen[0] == seen[1]
    assert {True, False} == set(seen[0])


@pytest.mark.parametrize(
    "wanted",
    [
        {"effect": "webhook_lose", "operation": "refund.create"},
        {"effect": "html", "event": "charge.success"},
        {"effect": "html", "provider": "stripe"},
        {"effect": "html", "times": "all"},
    ],
)
def test_orders_that_mix_things_up(integration, wanted):
    answer = integration.session.post(integration.sandbox.url + "/_sandbox/faults", json=wanted, timeout=5)
    assert answer.status_code == 400
    assert answer.json()["error"]
