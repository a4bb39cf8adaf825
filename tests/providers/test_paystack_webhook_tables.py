"""Every event Paystack documents, with a body of its kind: what it makes us ask, or why it is left alone."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from core.providers.base import CallLimits, DisputeNews, Ignored, News, VerifiedEvent
from core.providers.paystack import PaystackProvider
from core.providers.paystack.webhooks import ASKED, DISPUTES, IGNORED
from tests.providers.paystack_driver import CHARGE, REFUND, SECRET_KEY, account

SAMPLES = Path(__file__).parent / "samples" / "paystack"
NOW = datetime(2026, 3, 4, 9, 0, tzinfo=UTC)
START = "pay.01k0-start-1"

#: Kind: the operation it speaks of, the mark, the object, and the charge or hold it belongs to.
NEWS: dict[str, tuple[str, str | None, str | None, str | None]] = {
    "charge.success": ("start", CHARGE, START, None),
    "preauthorization.reserve.success": ("start", CHARGE, START, None),
    "preauthorization.capture.success": ("capture", None, START, START),
    "preauthorization.capture.failed": ("capture", None, START, START),
    "preauthorization.release.success": ("void", None, START, START),
    "preauthorization.release.failed": ("void", None, START, START),
    "refund.pending": ("refund", None, None, START),
    "refund.processing": ("refund", None, None, START),
    "refund.processed": ("refund", None, None, START),
    "refund.failed": ("refund", None, None, START),
    "refund.needs-attention": ("refund", REFUND, "15581137", START),
}
ABOUT_DISPUTES = ["charge.dispute.create", "charge.dispute.remind", "charge.dispute.resolve"]
LEFT_ALONE = {
    "transfer.success": "money the merchant sends out is no payment",
    "transfer.failed": "money the merchant sends out is no payment",
    "transfer.reversed": "money the merchant sends out is no payment",
    "bank.transfer.rejected": "a rejected transfer has moved no money",
    "customeridentification.success": "customers are not identified through this gate",
    "customeridentification.failed": "customers are not identified through this gate",
    "dedicatedaccount.assign.success": "virtual accounts are not opened through this gate",
    "dedicatedaccount.assign.failed": "virtual accounts are not opened through this gate",
    "direct_debit.authorization.created": "mandates are not made through this gate",
    "direct_debit.authorization.active": "mandates are not made through this gate",
    "paymentrequest.pending": "payment requests are not made through this gate",
    "paymentrequest.success": "the charge that pays a payment request has an event of its own",
    "invoice.create": "subscriptions are not made through this gate",
    "invoice.update": "subscriptions are not made through this gate",
    "invoice.payment_failed": "subscriptions are not made through this gate",
    "subscription.create": "subscriptions are not made through this gate",
    "subscription.disable": "subscriptions are not made through this gate",
    "subscription.not_renew": "subscriptions are not made through this gate",
    "subscription.expiring_cards": "subscriptions are not made through this gate",
}
PROVIDER = PaystackProvider(account(None), CallLimits())


def received(body: bytes, now: datetime = NOW) -> VerifiedEvent:
    signature = hmac.new(SECRET_KEY.encode(), body, hashlib.sha512).hexdigest()
    return PROVIDER.verify_webhook({"x-paystack-signature": signature}, body, now)


def sample(kind: str) -> bytes:
    return (SAMPLES / f"{kind}.json").read_bytes()


def test_these_tests_know_every_kind_and_have_a_body_of_each() -> None:
    assert NEWS.keys() == ASKED.keys()
    assert set(ABOUT_DISPUTES) == DISPUTES
    assert LEFT_ALONE.keys() == IGNORED.keys()
    kinds = {json.loads(path.read_bytes())["event"] for path in SAMPLES.glob("*.json")}
    assert kinds == {*NEWS, *ABOUT_DISPUTES, *LEFT_ALONE}


@pytest.mark.parametrize(("kind", "expected"), NEWS.items())
def test_an_event_makes_us_ask_and_is_never_believed(
    kind: str, expected: tuple[str, str | None, str | None, str | None]
) -> None:
    event = received(sample(kind))
    operation, mark, provider_id, belongs_to = expected
    [news] = PROVIDER.read_webhook(event)  # type: ignore[misc]
    assert isinstance(news, News)
    assert news.outcome is None
    assert (news.operation, news.transaction_id) == (operation, mark)
    assert (news.provider_id, news.start_provider_id) == (provider_id, belongs_to)
    assert news.occurred_at == event.created_at


@pytest.mark.parametrize("kind", ABOUT_DISPUTES)
def test_an_event_about_a_dispute_makes_us_read_it(kind: str) -> None:
    event = received(sample(kind))
    assert PROVIDER.read_webhook(event) == [DisputeNews("358950", (START, "4099260516"), event.created_at)]


@pytest.mark.parametrize(("kind", "reason"), LEFT_ALONE.items())
def test_an_event_that_is_left_alone_has_its_reason(kind: str, reason: str) -> None:
    assert PROVIDER.read_webhook(received(sample(kind))) == Ignored(reason, about_person=kind.startswith("customer"))


@pytest.mark.parametrize("kind", sorted(NEWS))
def test_an_event_about_nothing_is_ignored(kind: str) -> None:
    for data in ({}, {"reference": None, "transaction_reference": ""}, {"reference": 5, "transaction_reference": []}):
        body = json.dumps({"event": kind, "data": data}).encode()
        assert PROVIDER.read_webhook(received(body)) == Ignored("no reference in the event")


@pytest.mark.parametrize("kind", ABOUT_DISPUTES)
def test_an_event_about_no_dispute_is_ignored(kind: str) -> None:
    for data in ({}, {"id": None}, {"id": "dsp"}, {"id": []}):
        body = json.dumps({"event": kind, "data": data}).encode()
        assert PROVIDER.read_webhook(received(body)) == Ignored("no dispute in the event")


@pytest.mark.parametrize(
    "kind", ["charge.failed", "surprise", "refund.invented", "preauthorization", "transfer", "charge.dispute"]
)
def test_a_kind_nobody_described_is_ignored(kind: str) -> None:
    body = json.dumps({"event": kind, "data": {"id": 1, "reference": "x", "transaction_reference": "x"}}).encode()
    assert PROVIDER.read_webhook(received(body)) == Ignored("kind not handled")


@pytest.mark.parametrize("kind", ["refund.pending", "refund.processing"])
def test_two_equal_refunds_are_two_even_where_their_events_are_one_text(kind: str) -> None:
    body, later = sample(kind), NOW.replace(minute=1)
    assert received(body).dedupe_key != received(body, later).dedupe_key


@pytest.mark.parametrize("kind", ["refund.processed", "refund.failed", "refund.needs-attention", "charge.success"])
def test_an_event_with_a_name_in_it_is_had_once(kind: str) -> None:
    body, later = sample(kind), NOW.replace(minute=1)
    assert received(body).dedupe_key == received(body, later).dedupe_key
