"""Paystack's webhooks: only theirs, each once, and never believed on their word."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from core.domain.errors import Forged
from core.providers.base import AnyNews, CallLimits, Ignored, News, VerifiedEvent
from core.providers.paystack import PaystackProvider
from tests.providers.paystack_driver import CHARGE, SECRET_KEY, account

SAMPLES = Path(__file__).parent / "samples" / "paystack"
NOW = datetime(2026, 3, 4, 9, 0, tzinfo=UTC)
START = "pay.01k0-start-1"


def provider(*secrets: str) -> PaystackProvider:
    return PaystackProvider(account(None, webhook_secrets=secrets or (SECRET_KEY,)), CallLimits())


def sign(body: bytes, secret: str = SECRET_KEY) -> dict[str, str]:
    return {"x-paystack-signature": hmac.new(secret.encode(), body, hashlib.sha512).hexdigest()}


def sample(name: str) -> bytes:
    return (SAMPLES / f"{name}.json").read_bytes()


def receive(body: bytes) -> VerifiedEvent:
    return provider().verify_webhook(sign(body), body, NOW)


def read(body: bytes) -> Sequence[AnyNews] | Ignored:
    return provider().read_webhook(receive(body))


def event(kind: Any, **data: Any) -> bytes:
    return json.dumps({"event": kind, "data": data}).encode()


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*.json")), ids=lambda path: path.stem)
def test_a_signed_sample_is_taken_and_any_changed_byte_is_not(path: Path) -> None:
    body = path.read_bytes()
    assert receive(body).kind == json.loads(body)["event"]
    with pytest.raises(Forged):
        provider().verify_webhook(sign(body), body.replace(b"a", b"b", 1), NOW)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-paystack-signature": ""},
        {"x-paystack-signature": "é"},
        {"x-paystack-signature": "0" * 128},
        {"stripe-signature": sign(b"{}")["x-paystack-signature"]},
        {"x-paystack-signature": hmac.new(SECRET_KEY.encode(), b"{}", hashlib.sha256).hexdigest()},
        sign(b"{}", "sk_test_another"),
        sign(b"{}", ""),
    ],
    ids=range(8),
)
def test_anything_else_is_forged(headers: dict[str, str]) -> None:
    with pytest.raises(Forged) as caught:
        provider().verify_webhook(headers, b"{}", NOW)
    assert SECRET_KEY not in str(caught.value)


@pytest.mark.parametrize("secrets", [("",), ("", "")])
def test_an_empty_secret_opens_nothing(secrets: tuple[str, ...]) -> None:
    with pytest.raises(Forged):
        provider(*secrets).verify_webhook(sign(b"{}", ""), b"{}", NOW)


def test_without_secrets_everything_is_forged() -> None:
    nobody = PaystackProvider(account(None, webhook_secrets=()), CallLimits())
    with pytest.raises(Forged):
        nobody.verify_webhook(sign(b"{}", ""), b"{}", NOW)


def test_during_a_rotation_both_keys_hold() -> None:
    both = provider("sk_test_new", "sk_test_old")
    for secret in ("sk_test_new", "sk_test_old"):
        assert both.verify_webhook(sign(b'{"event":"x"}', secret), b'{"event":"x"}', NOW).kind == "x"


@pytest.mark.parametrize(
    "body",
    [b"", b"hello", b"[]", b"null", b"\xff\xfe", b'{"a": NaN}', b"[" * 100_000, b'{"a": 1' + b"0" * 5000 + b"}"],
    ids=range(8),
)
def test_what_is_no_json_object_is_kept_and_ignored(body: bytes) -> None:
    received = receive(body)
    assert received.body is None
    assert provider().read_webhook(received) == Ignored("not JSON")
    assert received.dedupe_key == receive(body).dedupe_key != receive(body + b" ").dedupe_key


def test_a_repeated_delivery_has_the_same_key() -> None:
    body = sample("charge.success")
    again = json.dumps(json.loads(body)).encode()  # Paystack need not write it the same way twice
    assert receive(body).dedupe_key == receive(again).dedupe_key
    assert receive(body).provider_event_id is None


def test_events_that_differ_have_keys_that_differ() -> None:
    bodies = [path.read_bytes() for path in SAMPLES.glob("*.json")]
    processed = json.loads(sample("refund.processed"))
    processed["data"]["refund_reference"] = "132000000002"  # the second of two equal refunds
    bodies.append(json.dumps(processed).encode())
    assert len({receive(body).dedupe_key for body in bodies}) == len(bodies)


def test_a_paid_page_is_news_without_an_outcome() -> None:
    received = receive(sample("charge.success"))
    paid = datetime(2026, 3, 2, 10, 15, 30, tzinfo=UTC)
    assert received.created_at == paid
    news = News("start", None, transaction_id=CHARGE, provider_id=START, occurred_at=paid)
    assert provider().read_webhook(received) == [news]


@pytest.mark.parametrize("metadata", ["", 0, None, {}, {"tollgate_transaction": 5}, "not json"])
def test_a_charge_that_is_not_ours_is_news_without_a_mark(metadata: Any) -> None:
    news = read(event("charge.success", id=1, status="success", reference="shop-55", metadata=metadata))
    assert news == [News("start", None, provider_id="shop-55")]


def test_a_mark_is_read_from_metadata_that_comes_as_text() -> None:
    metadata = json.dumps({"tollgate_transaction": CHARGE})
    news = read(event("charge.success", id=1, reference=START, metadata=metadata))
    assert news == [News("start", None, transaction_id=CHARGE, provider_id=START)]


@pytest.mark.parametrize("kind", ["", None, 5, [], "charge.\x00"])
def test_a_kind_that_is_no_word_is_ignored(kind: Any) -> None:
    assert read(event(kind, id=1, reference="x", transaction_reference="x")) == Ignored("kind not handled")


@pytest.mark.parametrize("data", [None, "text", 5, []])
def test_data_that_is_no_object_breaks_nothing(data: Any) -> None:
    body = json.dumps({"event": "charge.success", "data": data}).encode()
    assert read(body) == Ignored("no reference in the event")
