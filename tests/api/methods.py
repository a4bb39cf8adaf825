"""Customers and their saved payment methods, as the tests of both make them."""

from __future__ import annotations

import secrets
from typing import Any

from werkzeug.test import TestResponse

from core.domain.identifiers import new_id, parse_id, public_id
from core.domain.outcomes import KeptMethod
from core.orchestration import payment_methods
from core.orchestration.context import Core
from tests.api.support import Merchant

ADA = {"email": "ada@example.com", "name": "Ada Lovelace", "phone": "+44 20 7946 0000"}


#: As everybody sees her who may not ask for more.
MASKED = {"email": "a***@example.com", "name": "A*** L***", "phone": "***00"}


def reveal(merchant: Merchant, name: str) -> TestResponse:
    return merchant.client.post(f"/v1/customers/{name}/reveal", headers=merchant.headers())


def make(merchant: Merchant, key: str | None = None, **changes: Any) -> TestResponse:
    return merchant.post("/v1/customers", {**ADA, **changes}, key=key)


def change(merchant: Merchant, name: str, body: Any, **headers: str) -> TestResponse:
    return merchant.client.patch(f"/v1/customers/{name}", json=body, headers=merchant.headers(**headers))


def erase(merchant: Merchant, name: str, **headers: str) -> TestResponse:
    return merchant.client.delete(f"/v1/customers/{name}", headers=merchant.headers(**headers))


def card(token: str = "pm_saved", **changes: Any) -> KeptMethod:
    values: dict[str, Any] = {
        "kind": "card",
        "fingerprint": secrets.token_hex(8),
        "brand": "visa",
        "last4": "4242",
        "exp_month": 12,
        "exp_year": 2031,
        **changes,
    }
    return KeptMethod(token, **values)


def paid(merchant: Merchant, customer: str, provider: str = "stripe") -> tuple[dict[str, Any], dict[str, Any]]:
    """Payment and transaction, as far as saving a method reads them."""
    payment = {
        "id": new_id(),
        "merchant_id": merchant.scope.merchant_id,
        "mode": merchant.scope.mode,
        "customer_id": parse_id("customer", customer),
    }
    return payment, {"provider": provider, "provider_account_id": merchant.accounts[provider]}


def save_method(
    worker: Core, merchant: Merchant, customer: str, token: str = "pm_saved", provider: str = "stripe", **changes: Any
) -> str | None:
    """As a payment that succeeded leaves one behind."""
    with worker.database.scoped(merchant.scope) as connection:
        rows = paid(merchant, customer, provider)
        kept = payment_methods.keep(worker, connection, *rows, card(token, **changes))
    return None if kept is None else public_id("payment_method", kept)
