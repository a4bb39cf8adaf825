"""The bank's words in ours: one literal table for transfers, one for what goes back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from core.domain.outcomes import (
    ActionRequired,
    Canceled,
    Decline,
    DeclineCategory,
    Declined,
    Facts,
    NextAction,
    Outcome,
    Pending,
    Succeeded,
    Unknown,
)

Body = Mapping[str, Any]
Made = Callable[[Body, Facts], Outcome]

_RETURNED = Decline("refund_failed", DeclineCategory.HARD, "The customer's account is closed.", "returned")


def _instructions(body: Body, facts: Facts) -> Outcome:
    return ActionRequired(facts, NextAction(text(body, "instructions"), moment(body, "expires")))


#: The customer orders the transfer at another bank, and it takes its day.
TRANSFERS: Mapping[str, Made] = {
    "awaited": _instructions,
    "ordered": lambda body, facts: Pending(facts),
    "arrived": lambda body, facts: Succeeded(facts),
    "expired": lambda body, facts: Canceled(facts, reason="expired"),
}

REFUNDS: Mapping[str, Made] = {
    "booked": lambda body, facts: Pending(facts),
    "paid": lambda body, facts: Succeeded(facts),
    "returned": lambda body, facts: Declined(facts, _RETURNED),
}


def read_transfer(body: Body) -> Outcome:
    arrived = body.get("state") == "arrived"
    return _read(TRANSFERS, body, amount_received=number(body, "amount") if arrived else None)


def read_refund(body: Body) -> Outcome:
    return _read(REFUNDS, body)


def _read(table: Mapping[str, Made], body: Body, amount_received: int | None = None) -> Outcome:
    made = table.get(text(body, "state") or "")
    amount, currency, name = number(body, "amount"), text(body, "currency"), text(body, "id")
    if made is None or amount is None or currency is None or name is None:
        return Unknown({"seen": "an object that cannot be read", "state": text(body, "state")})
    facts = Facts(
        provider_id=name,
        amount=amount,
        amount_received=amount_received,
        currency=currency,
        created_at=moment(body, "created"),
        raw=dict(body),
    )
    return made(body, facts)


def text(body: Body, name: str) -> str | None:
    value = body.get(name)
    return value if isinstance(value, str) and value else None


def number(body: Body, name: str) -> int | None:
    value = body.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def moment(body: Body, name: str) -> datetime | None:
    seconds = number(body, name)
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
