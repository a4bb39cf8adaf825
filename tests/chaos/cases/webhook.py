"""Events that come twice, out of order, too early, forged, too big, or never."""

from __future__ import annotations

import functools
import gzip
import hashlib
import hmac
import json
from collections import Counter
from typing import Any
from uuid import uuid4

import requests

from core.domain.identifiers import public_id
from core.orchestration import accounts
from core.persistence.database import Scope
from tests.chaos.cases import forging
from tests.chaos.cases.case import Case, Ground, expect
from tests.chaos.cases.others import owner_core
from tests.support.waiting import wait_until
from workers.configuration import RUN_SCHEDULED, make_app

NEEDS_3DS: dict[str, Any] = {
    "payment_method": {"type": "token", "token": "pm_card_authenticationRequired"},
    "return_url": "https://shop.example/back",
}
AGAIN = 50


def _authorized(ground: Ground) -> tuple[str, str]:
    """A payment whose customer has just confirmed it at his bank, and Stripe's object."""
    payment = ground.stage.pay(**NEEDS_3DS)["id"]
    page = ground.stage.open_page(payment)
    ground.submit(page, action="authorize")
    return payment, str(ground.transactions(payment)[0]["provider_id"])


def _inbox(ground: Ground, body: bytes) -> list[dict[str, Any]]:
    return ground.stage.query("SELECT * FROM inbox_events WHERE provider_event_id = %s", forging.event_id(body))


def fifty_times(ground: Ground) -> None:
    with ground.without_webhooks("stripe"):
        payment, intent = _authorized(ground)
        (body,) = forging.stripe_events(ground.stage, intent, "payment_intent.succeeded")
        answers = ground.at_once([functools.partial(forging.deliver, ground.stage, body)] * AGAIN)
        ground.hurt("webhook.repeated", AGAIN - 1)
        expect(Counter(one.status_code for one in answers) == {200: AGAIN}, "not every repetition was acknowledged")
        ground.paid_once(payment)
        rows = _inbox(ground, body)
        expect([row["status"] for row in rows] == ["applied"], f"inbox: {[row['status'] for row in rows]}")
        told = [one for one in _events(ground, payment) if one["type"] == "payment.succeeded"]
        expect(len(told) == 1, f"the merchant has {len(told)} events of one success")


def _events(ground: Ground, payment: str) -> list[dict[str, Any]]:
    answer = ground.stage.request("GET", f"/v1/events?payment={payment}&limit=100")
    found: list[dict[str, Any]] = answer.json()["data"]
    return found


def doubled_and_reordered(ground: Ground) -> None:
    for effect in ("webhook_double", "webhook_reorder", "webhook_late"):
        ground.stage.fault("stripe", effect=effect, ms=300, times=4)
    payments = ground.pay_many(6)
    held = ground.stage.pay(capture="manual")["id"]
    ground.ended(held, "authorized")
    ground.stage.insist(f"/v1/payments/{held}/capture", {"amount": 700})
    ground.ended(held, "succeeded")
    ground.stage.insist(f"/v1/payments/{held}/refunds", {"amount": 200})
    ground.since()
    for payment in (*payments, held):
        ground.paid_once(payment)
    ground.stage.quiet(30)
    after = ground.stage.payment(held)
    expect((after["amount_captured"], after["amount_refunded"]) == (700, 200), "sums moved by repeated news")


def out_of_order(ground: Ground) -> None:
    """A refund told before the success it belongs to; a failure told after it."""
    with ground.without_webhooks("stripe"):
        payment, intent = _authorized(ground)
        url = f"{ground.stage.service.sandbox_urls['stripe']}/v1/refunds"
        auth = (forging.secret_key(ground.stage, "stripe"), "")
        requests.post(url, data={"payment_intent": intent, "amount": 300}, auth=auth, timeout=10).raise_for_status()
        kinds = ("charge.refunded", "refund.created", "payment_intent.succeeded")
        for body in forging.stripe_events(ground.stage, intent, *kinds):
            expect(forging.deliver(ground.stage, body).status_code == 200, "an event was refused")
            ground.hurt("webhook.out_of_order")
        ground.paid_once(payment)
        wait_until(lambda: ground.stage.payment(payment)["amount_refunded"] == 300, "the refund", 20, every=0.1)
        mark = {"tollgate_transaction": public_id("transaction", _id(ground, payment))}
        claim = {"id": intent, "object": "payment_intent", "status": "requires_payment_method", "metadata": mark}
        late = forging.stripe_event("payment_intent.payment_failed", {**claim, "amount": 1000, "currency": "usd"})
        expect(forging.deliver(ground.stage, late).status_code == 200, "an event was refused")
        ground.hurt("webhook.out_of_order")
        wait_until(lambda: _inbox(ground, late)[0]["status"] != "received", "the late event to be read")
        expect(ground.stage.payment(payment)["status"] == "succeeded", "a payment moved backwards")


def _id(ground: Ground, payment: str) -> Any:
    from uuid import UUID

    return UUID(str(ground.transactions(payment)[0]["id"]))


def early(ground: Ground) -> None:
    """The event is there before the answer of the call that caused it; another one is about nothing we know."""
    ground.stage.fault("stripe", effect="webhook_early", times=6)
    payments = ground.pay_many(3)
    ground.since()
    for payment in payments:
        ground.paid_once(payment)
    body = forging.stripe_event("payment_intent.succeeded", {"id": f"pi_{uuid4().hex}", "object": "payment_intent"})
    expect(forging.deliver(ground.stage, body).status_code == 200, "an event about something unknown was refused")
    ground.hurt("webhook.unknown_object")
    wait_until(lambda: _inbox(ground, body)[0]["status"] != "received", "the unknown event to be read")
    (row,) = _inbox(ground, body)
    expect(row["status"] in ("parked", "ignored") and row["reason"], f"it is {row['status']}: {row['reason']}")


def _secret_of_another_tenant(ground: Ground) -> str:
    """A merchant of the same installation, with an account at the same provider."""
    key, signing = f"sk_test_{uuid4().hex}", f"whsec_{uuid4().hex}"
    ground.stage.sandbox("stripe", "accounts", {"secret_key": key, "webhook_secret": signing})
    with owner_core(ground.stage) as core:
        scope = Scope(accounts.create_merchant(core, "Merchant B"), "test")
        base = ground.stage.service.sandbox_urls["stripe"]
        made = accounts.NewAccount("stripe", "theirs", {"secret_key": key}, [signing], base)
        accounts.save_provider_account(core, scope, made, "chaos")
    return signing


def forged(ground: Ground) -> None:
    with ground.without_webhooks("stripe"):
        payment = ground.stage.pay(**NEEDS_3DS)["id"]
        ground.stage.open_page(payment)
        intent = str(ground.transactions(payment)[0]["provider_id"])
        mark = {"tollgate_transaction": public_id("transaction", _id(ground, payment))}
        claim = {"id": intent, "status": "succeeded", "amount": 1000, "amount_received": 1000, "currency": "usd"}
        body = forging.stripe_event("payment_intent.succeeded", {**claim, "metadata": mark})
        own, other = forging.secret(ground.stage, "stripe"), forging.secret(ground.stage, "paystack")
        wrong: list[dict[str, str]] = [
            {},
            {"Stripe-Signature": "nonsense"},
            forging.stripe_signature(body, other),
            forging.stripe_signature(body, _secret_of_another_tenant(ground)),
            forging.stripe_signature(body + b" ", own),
            forging.stripe_signature(json.dumps(json.loads(body), indent=1).encode(), own),
            forging.stripe_signature(body, own, age=3600),
            forging.stripe_signature(body, own, age=-3600),
        ]
        before, rows = forging.forged(ground.stage), ground.count("inbox_events")
        for headers in wrong:
            told = forging.deliver(ground.stage, body, headers=headers).status_code
            expect(told in (400, 401), f"a forged event was told {told}")
            ground.hurt("webhook.forged")
        expect(ground.count("inbox_events") == rows, "a forged event was stored")
        wait_until(lambda: forging.forged(ground.stage) == before + len(wrong), "each to be counted")
        expect(ground.stage.payment(payment)["status"] == "requires_action", "a forged event moved a payment")
    ground.stage.fault("stripe", effect="webhook_forge", times=2)
    for one in ground.pay_many(2):
        ground.paid_once(one)


def replayed_late(ground: Ground) -> None:
    """Paystack's events carry no time: one of 30 days ago verifies for ever, and makes no money."""
    payment = ground.paid_at_paystack()
    ground.stage.quiet(30)
    reference = str(ground.transactions(payment)[0]["provider_key"])
    ground.stage.advance(30 * 86400)
    before, rows = ground.stage.payment(payment), ground.count("transactions")
    body = json.dumps({"event": "charge.success", "data": {"id": 1, "reference": reference, "amount": 999}}).encode()
    signing = forging.secret(ground.stage, "paystack")
    header = {"X-Paystack-Signature": hmac.new(signing.encode(), body, hashlib.sha512).hexdigest()}
    for _ in range(3):
        expect(forging.deliver(ground.stage, body, "paystack", header).status_code == 200, "a signed event was refused")
        ground.hurt("webhook.replayed")
    ground.stage.quiet(30)
    expect(ground.stage.payment(payment) == before, "an old event has changed a payment")
    expect(ground.count("transactions") == rows, "an old event has sent something")


def oversized(ground: Ground) -> None:
    deep, big = b"[" * 200_000, b'{"a": "' + b"x" * 5_000_000 + b'"}'
    bomb = gzip.compress(b"0" * 50_000_000)
    rows = ground.count("inbox_events")
    answers = {
        "5 MB": forging.deliver(ground.stage, big).status_code,
        "gzip": forging.deliver(
            ground.stage, bomb, headers={**forging.signature(ground.stage, bomb), "Content-Encoding": "gzip"}
        ).status_code,
        "deep": forging.deliver(ground.stage, deep).status_code,
        "text": forging.deliver(
            ground.stage, b"<xml/>", headers={**forging.signature(ground.stage, b"<xml/>"), "Content-Type": "text/xml"}
        ).status_code,
    }
    ground.hurt("webhook.oversized", len(answers))
    expect(answers["5 MB"] == 413, f"5 MB were told {answers['5 MB']}")
    expect(all(one in (200, 400, 413, 415) for one in answers.values()), f"answers: {answers}")
    stored = sum(one == 200 for one in answers.values())
    wait_until(lambda: ground.count("inbox_events") == rows + stored, "what was acknowledged to be stored")
    ground.stage.quiet(20)
    ground.paid_once(ground.stage.pay()["id"])


def no_database(ground: Ground) -> None:
    """Postgres is away when an event comes: not acknowledged, and exactly once when the provider comes again."""
    with ground.without_webhooks("stripe"):
        payment, intent = _authorized(ground)
        (body,) = forging.stripe_events(ground.stage, intent, "payment_intent.succeeded")
        ground.proxy("postgres").refuse()
        try:
            told = forging.deliver(ground.stage, body).status_code
        finally:
            ground.proxy("postgres").heal()
        expect(told >= 500, f"it was told {told} and is nowhere")
        ground.since()

        def taken() -> bool:
            return forging.deliver(ground.stage, body).status_code == 200

        wait_until(taken, "the event to be taken", 30, every=0.3)
        forging.deliver(ground.stage, body)
        ground.paid_once(payment)
        expect(len(_inbox(ground, body)) == 1, "it is stored more than once")


def answer_lost(ground: Ground) -> None:
    """The provider does not hear that its event was taken, or the event is cut off on the way."""
    proxy = ground.proxy("api")
    for order in (proxy.drop_reply, proxy.drop_request, proxy.blackhole):
        order(b"POST /webhooks/stripe", times=2)
    payments = [_authorized(ground)[0] for _ in range(3)]
    ground.since()
    for payment in payments:
        ground.paid_once(payment)


def never(ground: Ground) -> None:
    """Every event is lost; the look at open payments finds the customers who have paid."""
    for provider in ("stripe", "paystack"):
        ground.stage.fault(provider, effect="webhook_lose", times=100)
    token = _authorized(ground)[0]
    naira = ground.paystack()["id"]
    ground.submit(ground.stage.open_page(naira), action="pay", card="4084084084084081")
    ground.since()
    ground.stage.advance(70)
    _tick(ground, "synchronise_open")
    ground.paid_once(token)
    ground.paid_once(naira, "paystack")


def _tick(ground: Ground, name: str) -> None:
    """What beat says every thirty seconds, said now."""
    from tests.chaos.cases.broker import settings

    app = make_app(settings(ground))
    with app.connection_for_write() as connection:
        app.send_task(RUN_SCHEDULED, args=[name], queue="maintenance", connection=connection)


CASES = (
    Case("29", "webhook", "the same event 50 times at once", "applied once, 50 times 200", AGAIN - 1, fifty_times),
    Case("30a", "webhook", "refund before success, failure after it", "nothing moves backwards", 3, out_of_order),
    Case("30b", "webhook", "doubled, reordered, late", "final state right", 6, doubled_and_reordered),
    Case("31", "webhook", "before the answer; about nothing known", "applied, or kept with a reason", 3, early),
    Case("32a", "webhook", "forged, old, re-serialised, another's secret", "401, nothing stored", 9, forged),
    Case("32b", "webhook", "a Paystack event of 30 days ago", "no effect", 3, replayed_late, "apart"),
    Case("33a", "webhook", "5 MB, deep JSON, gzip bomb, wrong type", "413 or stored, no harm", 4, oversized),
    Case("33b", "webhook", "Postgres away at receipt", "5xx, then exactly once", 1, no_database),
    Case("33c", "webhook", "answer lost, request cut, silence", "comes again, applied once", 3, answer_lost),
    Case("34", "webhook", "events never arrive", "found by asking", 2, never),
)  # fmt: skip
