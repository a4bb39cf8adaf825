"""Stripe's objects as Facts: ids, sums in ISO minor units, and the body without its secrets."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from core.domain.outcomes import Facts
from core.providers.stripe.currencies import from_stripe
from core.providers.stripe.marks import paid_on_page
from core.providers.stripe.redaction import redacted

Body = Mapping[str, Any]


def start_facts(intent: Body) -> Facts:
    """The charge or authorization. Raises Inexact when a sum is no whole amount of the currency.

    An intent made by a Checkout Session is the charge behind the session, which only the session names.
    """
    on_page = paid_on_page(intent)
    held = _held(intent)
    received = None if held is not None else _sum(intent, "amount_received")
    return Facts(
        provider_id=None if on_page else id_of(intent),
        provider_charge_id=id_of(intent) if on_page else charge_of(intent),
        amount=_sum(intent, "amount"),
        amount_authorized=held,
        amount_captured=received,
        amount_received=received,
        currency=currency_of(intent),
        created_at=time_of(intent.get("created")),
        extra=_extra(intent),
        raw=redacted(dict(intent)),
    )


def capture_facts(intent: Body) -> Facts:
    """The capture: `amount` is what was taken, since the intent keeps the amount that was asked first."""
    received = _sum(intent, "amount_received")
    return Facts(
        provider_id=id_of(intent),
        provider_charge_id=charge_of(intent),
        amount=received,
        amount_captured=received,
        amount_received=received,
        currency=currency_of(intent),
        extra=_extra(intent),
        raw=redacted(dict(intent)),
    )


def void_facts(body: Body) -> Facts:
    """The canceled intent, or the expired session."""
    on_session = body.get("object") == "checkout.session"
    return Facts(
        provider_id=id_of(body),
        provider_charge_id=None if on_session else charge_of(body),
        amount=_sum(body, "amount_total" if on_session else "amount"),
        currency=currency_of(body),
        extra=session_extra(body) if on_session else _extra(body),
        raw=redacted(dict(body)),
    )


def session_facts(session: Body) -> Facts:
    """A Checkout Session, with the sums of its intent where the answer holds it."""
    intent = session.get("payment_intent")
    known = intent if isinstance(intent, dict) else None
    held = _held(known) if known else None
    received = _sum(known, "amount_received") if known and held is None else None
    if known is None and session.get("payment_status") == "paid":
        received = _sum(session, "amount_total")
    return Facts(
        provider_id=id_of(session),
        provider_charge_id=id_of(intent),
        amount=_sum(session, "amount_total"),
        amount_authorized=held,
        amount_captured=received,
        amount_received=received,
        currency=currency_of(session),
        created_at=time_of(session.get("created")),
        extra=session_extra(session),
        raw=redacted(dict(session)),
    )


def refund_facts(refund: Body) -> Facts:
    return Facts(
        provider_id=id_of(refund),
        provider_charge_id=id_of(refund.get("charge")),
        amount=_sum(refund, "amount"),
        currency=currency_of(refund),
        created_at=time_of(refund.get("created")),
        extra={"object": "refund", **_named("payment_intent", id_of(refund.get("payment_intent")))},
        raw=redacted(dict(refund)),
    )


def time_of(value: Any) -> datetime | None:
    """Stripe's Unix seconds as UTC."""
    return datetime.fromtimestamp(value, UTC) if isinstance(value, int | float) else None


def currency_of(body: Body) -> str | None:
    currency = body.get("currency")
    return currency.upper() if isinstance(currency, str) else None


def id_of(value: Any) -> str | None:
    """An id, given as itself or as the expanded object."""
    found = value.get("id") if isinstance(value, dict) else value
    return found if isinstance(found, str) and found else None


def charge_of(intent: Body) -> str | None:
    """The last try's charge. Bodies from before API version 2022-11-15 list them instead, the newest first."""
    charges = intent.get("charges")
    listed = charges.get("data") if isinstance(charges, dict) else None
    newest = listed[0] if isinstance(listed, list) and listed else None
    return id_of(intent.get("latest_charge")) or id_of(newest)


def _held(intent: Body) -> int | None:
    """What is or was held, under manual capture only: after the capture the intent says the asked amount."""
    if intent.get("capture_method") != "manual":
        return None
    return _sum(intent, "amount_capturable" if intent.get("status") == "requires_capture" else "amount")


def _sum(body: Body, name: str) -> int | None:
    units, currency = body.get(name), currency_of(body)
    if not isinstance(units, int) or currency is None:
        return None
    return from_stripe(units, currency)


def _extra(intent: Body) -> dict[str, str]:
    return {"object": "payment_intent", **_named("payment_intent", id_of(intent))}


def session_extra(session: Body) -> dict[str, str]:
    return {
        "object": "checkout_session",
        **_named("checkout_session", id_of(session)),
        **_named("payment_intent", id_of(session.get("payment_intent"))),
    }


def _named(name: str, value: str | None) -> dict[str, str]:
    return {name: value} if value else {}
