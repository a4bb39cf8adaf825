"""Stripe's webhooks: signatures, and the road of a payment as they tell it."""

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
from core.domain.outcomes import Declined, Succeeded
from core.providers.base import Account, CallLimits, News
from core.providers.stripe import StripeProvider
from tests.providers.driver import Inbox, inbox
from tests.providers.stripe_driver import DECLINED, StripeDriver
from tests.support.sandboxes import Sandbox
from tests.support.waiting import wait_until

SECRET = "whsec_one"
NOW = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
BODY = b'{"id":"evt_1","type":"payment_intent.succeeded","created":1772445600,"data":{"object":{}}}'


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
