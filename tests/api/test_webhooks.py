"""Webhooks in: verified on the raw bytes, stored once, answered; forged ones leave nothing but a count."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from werkzeug.test import TestResponse

from core.domain.identifiers import new_id, public_id
from core.orchestration.context import Core
from tests.api.support import PAYSTACK_SECRET, STRIPE_SECRET, Merchant, code


def stripe_event(name: str | None = None) -> bytes:
    event = {
        "id": name or f"evt_{secrets.token_hex(8)}",
        "object": "event",
        "type": "payment_intent.succeeded",
        "created": int(time.time()),
        "data": {"object": {"id": "pi_1", "object": "payment_intent"}},
    }
    return json.dumps(event).encode()


def signed(body: bytes, secret: str = STRIPE_SECRET, age: int = 0) -> str:
    moment = int(time.time()) - age
    digest = hmac.new(secret.encode(), f"{moment}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={moment},v1={digest}"


def deliver(merchant: Merchant, provider: str, body: bytes, **headers: str) -> TestResponse:
    address = f"/webhooks/{provider}/{public_id('provider_account', merchant.accounts[provider])}"
    given: dict[str, Any] = {name.replace("_", "-"): value for name, value in headers.items()}
    return merchant.client.post(address, data=body, content_type="application/json", headers=given)


def stored(owner: Core, merchant: Merchant) -> list[Any]:
    with owner.database.unscoped() as connection:
        query = sa.text("SELECT status, reason, kind FROM inbox_events WHERE merchant_id = :merchant")
        return list(connection.execute(query, {"merchant": merchant.scope.merchant_id}))


def forged(owner: Core, merchant: Merchant) -> int:
    with owner.database.unscoped() as connection:
        query = sa.text(
            "SELECT coalesce(sum(count), 0) FROM forged_webhooks WHERE provider_account_id = ANY(:accounts)"
        )
        return int(connection.execute(query, {"accounts": list(merchant.accounts.values())}).scalar_one())


def test_signed_event_is_stored_once(merchant: Merchant, owner: Core) -> None:
    body = stripe_event()
    for _ in range(2):
        answer = deliver(merchant, "stripe", body, Stripe_Signature=signed(body))
        assert (answer.status_code, answer.json) == (200, {"received": True})
    assert len(stored(owner, merchant)) == 1
    assert forged(owner, merchant) == 0


def test_paystack_event_is_stored(merchant: Merchant, owner: Core) -> None:
    body = json.dumps({"event": "charge.success", "data": {"id": 1, "reference": "x"}}).encode()
    signature = hmac.new(PAYSTACK_SECRET.encode(), body, hashlib.sha512).hexdigest()
    assert deliver(merchant, "paystack", body, X_Paystack_Signature=signature).status_code == 200
    assert len(stored(owner, merchant)) == 1


def test_bad_signatures_are_only_counted(merchant: Merchant, owner: Core, count: Callable[..., Any]) -> None:
    body = stripe_event()
    for headers in (
        {},
        {"Stripe_Signature": "nonsense"},
        {"Stripe_Signature": signed(body, "whsec_of_another")},
        {"Stripe_Signature": signed(body + b" ")},
        {"Stripe_Signature": signed(body, age=3600)},
    ):
        assert code(deliver(merchant, "stripe", body, **headers)) == (401, "webhook_forged")
    assert forged(owner, merchant) == 5
    assert count(merchant.scope)["inbox_events"] == 0


def test_unknown_accounts_are_404(merchant: Merchant, count: Callable[..., Any]) -> None:
    body = stripe_event()
    headers = {"Stripe-Signature": signed(body)}
    stripe = public_id("provider_account", merchant.accounts["stripe"])
    for address in (
        f"/webhooks/stripe/{public_id('provider_account', new_id())}",
        f"/webhooks/paystack/{stripe}",
        f"/webhooks/acme/{stripe}",
        "/webhooks/stripe/acc_1",
        f"/webhooks/stripe/{merchant.accounts['stripe']}",
        f"/webhooks/{'p' * 41}/{stripe}",
        f"/webhooks/%00/{stripe}",
    ):
        answer = merchant.client.post(address, data=body, headers=headers)
        assert code(answer) == (404, "not_found")
        assert "API key" not in answer.json["detail"]
    assert count(merchant.scope)["inbox_events"] == 0


def test_body_that_is_not_json_under_a_valid_signature_is_stored(merchant: Merchant, owner: Core) -> None:
    body = b"not json at all"
    assert deliver(merchant, "stripe", body, Stripe_Signature=signed(body)).status_code == 200
    assert len(stored(owner, merchant)) == 1


def test_large_event_passes_and_a_larger_one_does_not(merchant: Merchant) -> None:
    body = b'{"a": "' + b"x" * 900_000 + b'"}'
    assert deliver(merchant, "stripe", body, Stripe_Signature=signed(body)).status_code == 200
    assert code(deliver(merchant, "stripe", b"x" * (1024 * 1024 + 1))) == (413, "body_too_large")


def test_events_are_never_limited(make_app: Callable[..., Any], merchant: Merchant) -> None:
    client = make_app(rate_limit="1/day").test_client()
    address = f"/webhooks/stripe/{public_id('provider_account', merchant.accounts['stripe'])}"
    for _ in range(5):
        body = stripe_event()
        assert client.post(address, data=body, headers={"Stripe-Signature": signed(body)}).status_code == 200
