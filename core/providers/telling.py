"""What a provider tells: events, changes and statements, in our words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from core.domain.outcomes import NotExecuted, Outcome, Unknown
from core.providers.asking import Operation


@dataclass(frozen=True, slots=True)
class VerifiedEvent:
    """A webhook whose signature holds. `dedupe_key` is equal for repeated deliveries of one event."""

    dedupe_key: str
    kind: str
    provider_event_id: str | None
    created_at: datetime | None
    body: Mapping[str, Any] | None  # None: not readable as JSON; kept and ignored with the reason


@dataclass(frozen=True, slots=True)
class News:
    """One fact a provider told us. `outcome` None means: something happened, ask before believing."""

    operation: Operation
    outcome: Outcome | None
    transaction_id: str | None = None  # our mark, where the object carries it
    provider_id: str | None = None  # the object itself
    start_provider_id: str | None = None  # the charge or authorization it belongs to (for refunds)
    occurred_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class DisputeNews:
    """Something happened to a dispute; it is read before anything is believed."""

    provider_id: str
    charge_ids: tuple[str, ...]  # the charge it is about, by every id the event names
    occurred_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class MethodNews:
    """A saved method can no longer be charged: dropped at the provider's own dashboard."""

    token: str = field(repr=False)
    occurred_at: datetime | None = None


AnyNews = News | DisputeNews | MethodNews

LineKind = Literal[
    "charge", "refund", "refund_failure", "dispute", "dispute_reversal", "fee", "adjustment", "payout", "payout_failure"
]


@dataclass(frozen=True, slots=True)
class StatementLine:
    """One movement on the provider's books, signed as it moves the merchant's balance.

    `amount` before the fee, `fee` what the provider keeps of it, `net` what is left: net = amount - fee. All in minor
    units of `currency`, which is that of the balance. `source` is the charge, refund, dispute or payout it is about.
    `charge_ids` name the charge that a refund or dispute belongs to; of a charge itself, its other ids.
    """

    line_id: str
    kind: LineKind
    amount: int
    fee: int
    net: int
    currency: str
    source: str | None
    transaction_id: str | None  # our mark, where the line or its source carries it
    payout: str | None  # the payout or settlement it is part of, once there is one
    created_at: datetime | None
    available_at: datetime | None = None
    original_amount: int | None = None  # as charged, where the balance is in another currency
    original_currency: str | None = None
    exchange_rate: str | None = None
    provider_kind: str | None = None
    charge_ids: tuple[str, ...] = ()
    settled: bool = False  # of a payout: what it is made of has been told whole, and will not change
    # Of a payout: what was taken out of it for refunds and disputes that do not say which payout they left with.
    # None where every line says its payout.
    deducted: int | None = None


@dataclass(frozen=True, slots=True)
class ChargeSeen:
    """A charge or authorization as the provider's own list shows it now. Sums in minor units of `currency`."""

    provider_id: str
    status: Literal["succeeded", "held", "open", "ended"]  # took money; holds it; may still; will not
    amount: int
    currency: str
    charge_id: str | None = None  # the object behind it, where that is another
    transaction_id: str | None = None  # our mark, where it carries one
    received: int | None = None
    refunded: int | None = None  # None where the list does not say
    created_at: datetime | None = None


class ListingBroken(Exception):
    """A list could not be read to its end; what it gave before is true and may be incomplete."""

    def __init__(self, outcome: NotExecuted | Unknown) -> None:
        super().__init__("a list of the provider broke off")
        self.outcome = outcome


@dataclass(frozen=True, slots=True)
class Ignored:
    """An event we understand and deliberately do nothing about.

    `about_person`: it tells who somebody is, of no payment, and nothing will ever be read from it. Its body is not kept
    readable: once it is stored, an erasure could not find it.
    """

    reason: str
    about_person: bool = False
