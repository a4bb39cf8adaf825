"""The balance's movements as statement lines: fees, payouts, exchange rates, our marks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from core.domain.outcomes import Unknown
from core.providers.base import ListingBroken, StatementLine
from core.providers.stripe.currencies import Inexact, from_stripe
from core.providers.stripe.facts import Body, currency_of, id_of, time_of
from core.providers.stripe.failures import Failed
from core.providers.stripe.lists import Ask, pages
from core.providers.stripe.marks import mark_of
from core.providers.telling import LineKind

#: `type` of a balance transaction -> the kind of line (docs.stripe.com/reports/balance-transaction-types). Every other
#: is an adjustment: transfers, top-ups, reserves and what Stripe may add; `provider_kind` keeps its word.
KINDS: Mapping[str, LineKind] = {
    "charge": "charge",
    "payment": "charge",
    "refund": "refund",
    "payment_refund": "refund",
    # A debit or a voucher that failed after it had counted as paid: the money goes back.
    "payment_failure_refund": "refund",
    "payment_reversal": "refund",
    "refund_failure": "refund_failure",
    "stripe_fee": "fee",
    "stripe_fx_fee": "fee",
    "tax_fee": "fee",
    "payout": "payout",
    "payout_cancel": "payout_failure",
    "payout_failure": "payout_failure",
}

#: Disputes are booked as adjustments; only `reporting_category` tells them from others.
CATEGORIES: Mapping[str, LineKind] = {
    "dispute": "dispute",
    "dispute_reversal": "dispute_reversal",
}

#: A payout whose content Stripe has settled; only then, and only for automatic ones, can it be listed.
_SETTLED = "completed"


def lines(list_lines: Ask, list_payouts: Ask, since: datetime, until: datetime) -> Iterator[StatementLine]:
    """What the payouts made in the window hold, then what else was booked in it. Each line once.

    A line that comes before its payout is told without one, and again by the window in which the payout falls.
    Raises ListingBroken.
    """
    window = {"created": {"gte": math.floor(since.timestamp()), "lt": math.ceil(until.timestamp())}}
    told: set[str] = set()
    whole: set[str | None] = set()
    try:
        for payout in pages(list_payouts, window):
            payout_id = id_of(payout)
            if payout_id is None or not payout.get("automatic") or payout.get("reconciliation_status") != _SETTLED:
                continue
            whole.add(payout_id)
            for body in pages(list_lines, {"payout": payout_id, "expand": ["data.source"]}):
                line = line_of(body, payout_id)
                if line.created_at is None or since <= line.created_at <= until:
                    told.add(line.line_id)  # older ones, which are most of a payout, are not told again below
                yield _marked(line, whole)
        for body in pages(list_lines, {**window, "expand": ["data.source"]}):
            if id_of(body) not in told:
                yield _marked(line_of(body, None), whole)
    except Failed as failed:
        raise ListingBroken(failed.failure.outcome()) from None


def _marked(line: StatementLine, whole: set[str | None]) -> StatementLine:
    return replace(line, settled=True) if line.kind == "payout" and line.source in whole else line


def line_of(body: Body, payout: str | None) -> StatementLine:
    """Raises ListingBroken where the sums cannot be said in our units, or do not add up."""
    line_id, currency, provider_kind = id_of(body), currency_of(body), str(body.get("type"))
    sums = [_units(body.get(name), currency) for name in ("amount", "fee", "net")]
    amount, fee, net = sums
    if line_id is None or currency is None or amount is None or fee is None or net is None or net != amount - fee:
        raise ListingBroken(Unknown({"object": "balance_transaction", "id": line_id, "cause": "unreadable_line"}))
    source, kind = body.get("source"), kind_of(body)
    rate = body.get("exchange_rate")
    original = _original(source, currency, amount)
    return StatementLine(
        line_id=line_id,
        kind=kind,
        amount=amount,
        fee=fee,
        net=net,
        currency=currency,
        source=id_of(source),
        transaction_id=mark_of(source) if isinstance(source, dict) else None,
        payout=payout or (id_of(source) if kind == "payout" else None),
        created_at=time_of(body.get("created")),
        available_at=time_of(body.get("available_on")),
        original_amount=original[0] if original else None,
        original_currency=original[1] if original else None,
        exchange_rate=format(Decimal(str(rate)), "f") if isinstance(rate, int | float) else None,
        provider_kind=provider_kind[:100],
        charge_ids=_charges_of(source),
    )


def kind_of(body: Body) -> LineKind:
    known = KINDS.get(str(body.get("type")))
    return known or CATEGORIES.get(str(body.get("reporting_category")), "adjustment")


def _charges_of(source: Any) -> tuple[str, ...]:
    """What a refund or dispute names as its charge; of a charge, the intent behind it."""
    if not isinstance(source, dict):
        return ()
    named = (id_of(source.get("charge")), id_of(source.get("payment_intent")))
    return tuple(one for one in named if one is not None)


def _original(source: Any, currency: str, amount: int) -> tuple[int, str] | None:
    """What was charged, given back or disputed in its own currency, signed as the line."""
    if not isinstance(source, dict):
        return None
    theirs = currency_of(source)
    if theirs is None or theirs == currency:
        return None
    # A hold that was captured in part keeps the amount first asked for in `amount`.
    taken = source.get("amount_captured") if source.get("object") == "charge" else None
    units = _units(taken or source.get("amount"), theirs)
    return None if units is None else (units if amount >= 0 else -units, theirs)


def _units(value: Any, currency: str | None) -> int | None:
    if not isinstance(value, int) or isinstance(value, bool) or currency is None:
        return None
    try:
        return from_stripe(value, currency)
    except Inexact:
        return None
