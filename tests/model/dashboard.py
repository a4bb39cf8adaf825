"""What a merchant does at the provider, behind our back: by the provider's own API, as its dashboard would."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import requests
import stripe

from core.domain.identifiers import parse_id
from tests.model.books import Payment
from tests.model.shop import Shop
from tests.orchestration import by_hand

_NO = (stripe.StripeError, requests.RequestException)


def refund(shop: Shop, payment: Payment, amount: int) -> bool:
    """True when the provider may have given `amount` back."""
    begun = _object_of(shop, payment)
    if begun is None:
        return False
    provider, reference = begun
    before = _refunds(shop, provider)
    with suppress(*_NO):  # the fault armed for the next call may meet this one, before it acts or after
        if provider == "stripe":
            intent = _intent(shop, reference)
            by_hand.client(shop.world).v1.refunds.create({"payment_intent": intent, "amount": amount})
        else:
            _paystack(shop, "/refund", {"transaction": reference, "amount": amount})
    return _refunds(shop, provider) > before


def cancel(shop: Shop, payment: Payment) -> bool:
    """True when it was tried."""
    begun = _object_of(shop, payment)
    if begun is None or begun[0] != "stripe":
        return False
    with suppress(*_NO):
        by_hand.client(shop.world).v1.payment_intents.cancel(_intent(shop, begun[1]))
    return True


def _object_of(shop: Shop, payment: Payment) -> tuple[str, str] | None:
    query = (
        "SELECT provider, provider_id FROM transactions WHERE payment_id = :id AND kind IN ('charge', 'authorize') "
        "AND provider_id IS NOT NULL ORDER BY id DESC LIMIT 1"
    )
    found = shop.world.rows(query, id=parse_id("payment", payment.id))
    return (found[0]["provider"], found[0]["provider_id"]) if found else None


def _intent(shop: Shop, reference: str) -> str:
    """Behind a page there is a session until it is paid."""
    if reference.startswith("cs_"):
        session: Any = by_hand.client(shop.world).v1.checkout.sessions.retrieve(reference)
        return str(session.payment_intent or "pi_none")
    return reference


def _refunds(shop: Shop, provider: str) -> int:
    return len(shop.world.ledger(provider)["refunds"])


def _paystack(shop: Shop, path: str, body: dict[str, Any]) -> None:
    url = shop.world.sandboxes["paystack"].url + path
    headers = {"Authorization": f"Bearer {shop.world.secrets['paystack']}"}
    requests.post(url, json=body, headers=headers, timeout=5)
