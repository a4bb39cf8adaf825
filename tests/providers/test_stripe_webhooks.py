"""Stripe's webhooks: signatures, and every kind of event in our words."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import requests

from core.domain.errors import Forged
from core.domain.outcomes import ActionRequired, Canceled, Declined, Pending, Succeeded
from core.providers.base import Account, CallLimits, Ignored, News, VerifiedEvent
from core.providers.stripe import StripeProvider, webhooks
from tests.providers.driver import Inbox, inbox
from tests.providers.stripe_driver import DECLINED, StripeDriver
from tests.support.sandboxes import Sandbox
from tests.support.waiting import wait_until

SECRET = "whsec_one"
NOW = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
BODY = b'{"id":"evt_1","type":"payment_intent.succeeded","created":1772445600,"data":{"object":{}}}'
MARK = "txn_00000000000000000000000001"


def provider(*secrets: str) -> StripeProvider:
    return StripeProvider(Account("acc_1", "test", {"secret_key": "sk_test_1"}, secrets or (SECRET,)), CallLimits())


def v1(stamp: int, body: bytes = BODY, secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()


def header(offset: int = 0, body: bytes = BODY, secret: str = SECRET) -> dict[str, str]:
    stamp = int(NOW.timestamp()) + offset
    return {"stripe-signature": f"t={stamp},v1={v1(stamp, body, secret)}"}


@pytest.mark.parametrize("offset", [-300, -10, 0, 10, 300])
def test_a_fresh_signature_holds(offset: int) -> None:
    event = provider().verify_webhook(header(offset), BODY, NOW)
    assert (event.dedupe_key, event.kind, event.provider_event_id) == ("evt_1", "payment_intent.succeeded", "evt_1")
    assert event.created_at == NOW


@pytest.mark.parametrize("offset", [-301, -3600, 301, 3600])
def test_an_old_or_future_timestamp_is_forged(offset: int) -> None:
    with pytest.raises(Forged):
        provider().verify_webhook(header(offset), BODY, NOW)


STAMP = int(NOW.timestamp())
GOOD = v1(STAMP)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "t=",
        f"t={STAMP}",
        f"v1={GOOD}",
        f"t={STAMP},v0={GOOD}",
        f"t={STAMP},v1=",
        f"t={STAMP},v1={GOOD[:-1]}",
        f"t={STAMP},v1={'0' * 64}",
        f"t=soon,v1={GOOD}",
        f"t=-{STAMP},v1={GOOD}",
        f"t={STAMP}.0,v1={GOOD}",
        f"t={'9' * 400},v1={GOOD}",
        f"t={STAMP},t={STAMP + 1},v1={GOOD}",
        f"t={STAMP},v1=ñ{GOOD}",
        "٣=1",
    ],
)
def test_a_header_of_another_shape_is_forged(value: str) -> None:
    with pytest.raises(Forged):
        provider().verify_webhook({"stripe-signature": value}, BODY, NOW)


def test_one_of_several_signatures_is_enough() -> None:
    both = {"stripe-signature": f"t={STAMP},v1={v1(STAMP, secret='whsec_old')},v1={GOOD},v0=x"}
    assert provider().verify_webhook(both, BODY, NOW)
    assert provider("whsec_new", "whsec_old").verify_webhook(both, BODY, NOW)
    with pytest.raises(Forged):
        provider("whsec_new").verify_webhook(both, BODY, NOW)


@pytest.mark.parametrize("created", [None, "soon", -1, 10**15, True, 1.5])
def test_a_strange_time_is_no_time(created: Any) -> None:
    body = json.dumps({"id": "evt_1", "type": "x", "created": created}).encode()
    event = provider().verify_webhook(header(body=body), body, NOW)
    assert event.created_at is None


INTENT: dict[str, Any] = {
    "id": "pi_1",
    "object": "payment_intent",
    "amount": 1000,
    "amount_capturable": 0,
    "amount_received": 1000,
    "capture_method": "automatic",
    "currency": "usd",
    "latest_charge": "ch_1",
    "metadata": {"tollgate_transaction": MARK, "tollgate_method": "token"},
    "status": "succeeded",
}
ON_PAGE = {"metadata": {"tollgate_transaction": MARK, "tollgate_method": "redirect"}}
ERROR = {"last_payment_error": {"code": "card_declined", "decline_code": "lost_card"}}
SESSION: dict[str, Any] = {
    "id": "cs_1",
    "object": "checkout.session",
    "amount_total": 1000,
    "currency": "usd",
    "metadata": {"tollgate_transaction": MARK, "tollgate_kind": "charge"},
    "payment_intent": "pi_1",
    "payment_status": "paid",
    "status": "complete",
}
REFUND: dict[str, Any] = {
    "id": "re_1",
    "object": "refund",
    "amount": 100,
    "balance_transaction": "txn_1",
    "charge": "ch_1",
    "currency": "usd",
    "metadata": {"tollgate_transaction": MARK},
    "payment_intent": "pi_1",
    "status": "succeeded",
}
CHARGE = {"id": "ch_1", "object": "charge", "amount_refunded": 900, "amount": 1000}
START, CAPTURE, VOID, BACK = "start", "capture", "void", "refund"

NEWS = [
    ("payment_intent.succeeded", INTENT, [(START, Succeeded)]),
    ("payment_intent.succeeded", {**INTENT, **ON_PAGE}, [(START, Succeeded)]),
    ("payment_intent.succeeded", {**INTENT, "capture_method": "manual"}, [(START, Succeeded), (CAPTURE, Succeeded)]),
    (
        "payment_intent.amount_capturable_updated",
        {**INTENT, "capture_method": "manual", "status": "requires_capture", "amount_capturable": 1000},
        [(START, Succeeded)],
    ),
    ("payment_intent.processing", {**INTENT, "status": "processing"}, [(START, Pending)]),
    ("payment_intent.requires_action", {**INTENT, "status": "requires_action"}, [(START, ActionRequired)]),
    ("payment_intent.payment_failed", {**INTENT, **ERROR, "status": "requires_payment_method"}, [(START, Declined)]),
    ("payment_intent.canceled", {**INTENT, "status": "canceled"}, [(START, Canceled), (VOID, Succeeded)]),
    (
        "payment_intent.canceled",
        {**INTENT, **ERROR, "status": "canceled", "cancellation_reason": "abandoned"},
        [(START, Declined), (VOID, Succeeded)],
    ),
    ("checkout.session.completed", SESSION, [(START, Succeeded)]),
    ("checkout.session.completed", {**SESSION, "payment_status": "unpaid"}, [(START, type(None))]),
    (
        "checkout.session.completed",
        {**SESSION, "metadata": {**SESSION["metadata"], "tollgate_kind": "authorize"}},
        [(START, type(None))],
    ),
    ("checkout.session.async_payment_succeeded", SESSION, [(START, Succeeded)]),
    ("checkout.session.async_payment_failed", {**SESSION, "payment_status": "unpaid"}, [(START, type(None))]),
    ("checkout.session.expired", {**SESSION, "status": "expired", "payment_intent": None}, [(START, Canceled)]),
    ("refund.created", {**REFUND, "status": "pending"}, [(BACK, Pending)]),
    ("refund.updated", REFUND, [(BACK, Succeeded)]),
    ("refund.failed", {**REFUND, "status": "failed", "failure_reason": "declined"}, [(BACK, Declined)]),
    ("charge.refund.updated", {**REFUND, "status": "canceled"}, [(BACK, Canceled)]),
    ("payment_intent.succeeded", {**INTENT, "currency": "isk", "amount": 550}, [(START, type(None))]),
    ("payment_intent.succeeded", {**INTENT, "status": "new_word"}, [(START, type(None))]),
]

IGNORED = [
    ("payment_intent.created", INTENT),
    ("payment_intent.requires_action", {**INTENT, **ON_PAGE, "status": "requires_action"}),
    ("payment_intent.payment_failed", {**INTENT, **ON_PAGE, **ERROR, "status": "requires_payment_method"}),
    ("charge.succeeded", CHARGE),
    ("charge.captured", CHARGE),
    ("charge.failed", CHARGE),
    ("charge.pending", CHARGE),
    ("charge.expired", CHARGE),
    ("charge.updated", CHARGE),
    ("charge.refunded", CHARGE),
    ("refund.created", {**REFUND, "metadata": {}, "balance_transaction": None}),
    ("payout.paid", {"id": "po_1"}),
    ("customer.created", {"id": "cus_1"}),
]


def event(kind: str, body: Any) -> VerifiedEvent:
    return VerifiedEvent("evt_1", kind, "evt_1", NOW, {"id": "evt_1", "type": kind, "data": {"object": body}})


@pytest.mark.parametrize(("kind", "body", "told"), NEWS)
def test_an_event_is_told_in_our_words(kind: str, body: Any, told: list[tuple[str, type]]) -> None:
    news = provider().read_webhook(event(kind, body))
    assert isinstance(news, list)
    assert [(one.operation, type(one.outcome)) for one in news] == told
    assert {one.transaction_id for one in news} == {MARK}
    assert {one.provider_id for one in news} == {body["id"]}
    assert {one.occurred_at for one in news} == {NOW}
    for one in news:
        if one.operation != START:
            assert one.start_provider_id == "pi_1"


@pytest.mark.parametrize(("kind", "body"), IGNORED)
def test_an_event_is_ignored_with_a_reason(kind: str, body: Any) -> None:
    read = provider().read_webhook(event(kind, body))
    assert isinstance(read, Ignored)
    assert read.reason


def test_every_kind_has_a_test() -> None:
    seen = {kind for kind, _, _ in NEWS} | {kind for kind, _ in IGNORED}
    assert set(webhooks.READERS) <= seen


def test_news_for_stripe_s_script_carries_the_publishable_key() -> None:
    account = Account("acc_1", "test", {"secret_key": "sk_test_1", "publishable_key": "pk_test_1"}, (SECRET,))
    body = {**INTENT, "status": "requires_action", "client_secret": "pi_1_secret"}
    news = StripeProvider(account, CallLimits()).read_webhook(event("payment_intent.requires_action", body))
    assert isinstance(news, list)
    assert isinstance(news[0].outcome, ActionRequired)
    assert news[0].outcome.next_action is not None
    assert news[0].outcome.next_action.publishable_key == "pk_test_1"


def test_an_object_of_somebody_else_carries_no_mark() -> None:
    for kind, body in (("payment_intent.succeeded", INTENT), ("refund.updated", REFUND)):
        news = provider().read_webhook(event(kind, {**body, "metadata": {}}))
        assert isinstance(news, list)
        assert [one.transaction_id for one in news] == [None]


def test_news_of_a_paid_page_leaves_the_session_as_the_object() -> None:
    """The intent does not know its session; naming it would hide the session from later look-ups."""
    news = provider().read_webhook(event("payment_intent.succeeded", {**INTENT, **ON_PAGE}))
    assert isinstance(news, list)
    assert isinstance(news[0].outcome, Succeeded)
    assert news[0].outcome.facts.provider_id is None
    assert news[0].outcome.facts.provider_charge_id == "pi_1"


def test_a_partial_capture_is_no_refund() -> None:
    """Stripe books the released rest as `amount_refunded` of the charge."""
    captured = {**INTENT, "capture_method": "manual", "amount_received": 100}
    news = provider().read_webhook(event("payment_intent.succeeded", captured))
    assert isinstance(news, list)
    assert [one.operation for one in news] == [START, CAPTURE]
    assert isinstance(news[1].outcome, Succeeded)
    assert news[1].outcome.facts.amount == 100
    assert isinstance(provider().read_webhook(event("charge.refunded", CHARGE)), Ignored)


@pytest.fixture
def box() -> Iterator[Inbox]:
    with inbox() as found:
        yield found


@pytest.fixture
def heard(sandboxes: dict[str, Sandbox], box: Inbox) -> Callable[[StripeDriver], list[News]]:
    """All news that arrived by webhook so far."""

    def read(driver: StripeDriver) -> list[News]:
        stripe, told = driver.provider(), []
        for headers, body in list(box.received):
            news = stripe.read_webhook(stripe.verify_webhook(headers, body, datetime.now(UTC)))
            told += news if isinstance(news, list) else []
        return told

    return read


def test_the_road_of_a_hold_arrives_by_webhook(
    sandboxes: dict[str, Sandbox], box: Inbox, heard: Callable[[StripeDriver], list[News]]
) -> None:
    driver = StripeDriver(sandboxes["stripe"], webhook_url=box.url)
    stripe, request = driver.provider(), driver.request("authorize")
    start = stripe.start(request)
    assert isinstance(start, Succeeded)
    stripe.capture(driver.capture_request(request, start, 300_00))
    refund = driver.refund_request(request, start.facts, 100_00)
    stripe.refund(refund)

    def whole() -> list[News] | None:
        told = heard(driver)
        return told if {one.operation for one in told} == {"start", "capture", "refund"} else None

    told = wait_until(whole, "news of start, capture and refund")
    assert told is not None
    amounts = {one.operation: one.outcome.facts.amount for one in told if isinstance(one.outcome, Succeeded)}
    assert amounts == {"start": 500_00, "capture": 300_00, "refund": 100_00}
    marks = {(one.operation, one.transaction_id) for one in told}
    assert marks == {
        ("start", request.transaction_id),
        ("capture", request.transaction_id),
        ("refund", refund.transaction_id),
    }
    assert {one.start_provider_id for one in told if one.operation == "refund"} == {start.facts.provider_id}


def test_a_decline_arrives_as_a_decline_and_never_as_a_cancel(
    sandboxes: dict[str, Sandbox], box: Inbox, heard: Callable[[StripeDriver], list[News]]
) -> None:
    driver = StripeDriver(sandboxes["stripe"], webhook_url=box.url)
    driver.provider().start(driver.request(token=DECLINED))

    def voided() -> bool:
        return any(one.operation == "void" for one in heard(driver))

    wait_until(voided, "news of the cancel")
    starts = [one.outcome for one in heard(driver) if one.operation == "start"]
    assert starts
    assert all(isinstance(outcome, Declined) for outcome in starts)


def test_a_refund_of_the_dashboard_names_its_charge(
    sandboxes: dict[str, Sandbox], box: Inbox, heard: Callable[[StripeDriver], list[News]]
) -> None:
    driver = StripeDriver(sandboxes["stripe"], webhook_url=box.url)
    facts = driver.paid(driver.provider(), driver.request())
    made = {"payment_intent": facts.provider_id, "amount": "250"}
    requests.post(
        f"{driver.sandbox.url}/v1/refunds", data=made, auth=(driver.secret_key, ""), timeout=5
    ).raise_for_status()
    told = wait_until(lambda: [one for one in heard(driver) if one.operation == "refund"], "news of the refund")
    assert told[0].transaction_id is None
    assert told[0].start_provider_id == facts.provider_id
    assert isinstance(told[0].outcome, Succeeded)
    assert told[0].outcome.facts.amount == 250
