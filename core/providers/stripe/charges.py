"""Stripe's list of payment intents, as charges: what was paid, is held, may still be paid, or has ended."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Literal

from core.providers.base import ChargeSeen, ListingBroken
from core.providers.stripe.currencies import Inexact, from_stripe
from core.providers.stripe.facts import Body, charge_of, currency_of, id_of, time_of
from core.providers.stripe.failures import Failed
from core.providers.stripe.lists import Ask, pages
from core.providers.stripe.marks import mark_of

#: Whole (docs.stripe.com/payments/paymentintents/lifecycle): one that Stripe may add is read as open.
STATUSES: Mapping[str, Literal["succeeded", "held", "open", "ended"]] = {
    "requires_payment_method": "open",
    "requires_confirmation": "open",
    "requires_action": "open",
    "processing": "open",
    "requires_capture": "held",
    "succeeded": "succeeded",
    "canceled": "ended",
}


def charges(ask: Ask, since: datetime, until: datetime) -> Iterator[ChargeSeen]:
    """Newest first. Raises ListingBroken."""
    window = {"gte": math.floor(since.timestamp()), "lt": math.ceil(until.timestamp())}
    try:
        for body in pages(ask, {"created": window, "expand": ["data.latest_charge"]}):
            seen = seen_of(body)
            if seen is not None:
                yield seen
    except Failed as failed:
        raise ListingBroken(failed.failure.outcome()) from None


def seen_of(body: Body) -> ChargeSeen | None:
    """None for what is no whole sum of a currency we know: it cannot be ours."""
    intent_id, currency = id_of(body), currency_of(body)
    if intent_id is None or currency is None:
        return None
    charge = body.get("latest_charge")
    try:
        amount = from_stripe(int(body["amount"]), currency)
        received = from_stripe(int(body.get("amount_received") or 0), currency)
        refunded = from_stripe(int(charge.get("amount_refunded") or 0), currency) if isinstance(charge, dict) else None
    except (Inexact, KeyError, TypeError, ValueError):
        return None
    # What is let go of a hold captured in part is a refund in Stripe's books, and none in anybody's pocket.
    part = received < amount if body.get("capture_method") == "manual" else False
    return ChargeSeen(
        provider_id=intent_id,
        status=STATUSES.get(str(body.get("status")), "open"),
        amount=amount,
        currency=currency,
        charge_id=charge_of(body),
        transaction_id=mark_of(body),
        received=received,
        refunded=None if part else refunded,
        created_at=time_of(body.get("created")),
    )
