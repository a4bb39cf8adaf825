"""What the filled tables hold: who the payments belong to, when they were made, how many rows each left."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from uuid import UUID

#: Past months the payments are spread over evenly, whatever their number.
MONTHS = 12
#: Shares of a thousand by merchant: one has half of everything, ten share nearly all the rest, one is small.
LARGE, SMALL = "large", "small"
#: One of the ten stopped half-way: its neighbour took over what it would have had.
QUIET, HEIR = "middle 10", "middle 9"
SHARES: Mapping[str, int] = {LARGE: 500, **{f"middle {number}": 49 for number in range(1, 11)}, SMALL: 10}
SLOTS = 1000

#: Final statuses by their share of 997, a prime, so that they do not follow the merchants' shares.
STATUSES: Mapping[str, int] = {"succeeded": 930, "failed": 50, "canceled": 15, "authorized": 1, "requires_action": 1}
STATUS_SLOTS = 997

#: One refund in so many payments, one customer, one delivery, one finding.
REFUND_EACH, CUSTOMER_EACH, DELIVERY_EACH, FINDING_EACH = 50, 2, 2, 1000


@dataclass(frozen=True, slots=True)
class Month:
    """Payments `first` to `last` (counted from 1, both included) lie in [`begins`, `ends`)."""

    begins: datetime
    ends: datetime
    first: int
    last: int

    @property
    def name(self) -> str:
        return f"{self.begins:%Y_%m}"

    @property
    def count(self) -> int:
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True)
class Span:
    """`payments` of them, one every `step`, the last one at `until`."""

    payments: int
    until: datetime

    @property
    def since(self) -> datetime:
        return _months_before(self.until, MONTHS)

    @property
    def step(self) -> timedelta:
        return (self.until - self.since) / self.payments

    def at(self, number: int) -> datetime:
        """When payment `number` was made, exact to the microsecond."""
        return self.since + timedelta(microseconds=number * self.step_us)

    @property
    def step_us(self) -> int:
        return max(1, int(self.step / timedelta(microseconds=1)))

    def id_of(self, kind: str, number: int, after: int = 0) -> UUID:
        """The id of a row that payment `number` left `after` milliseconds later."""
        since = int(self.since.timestamp()) * 1_000_000
        return id_of(kind, number, (since + number * self.step_us) // 1000 + after)

    def months(self) -> list[Month]:
        found = []
        begins = self.since.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        first = 1
        while first <= self.payments:
            ends = _months_before(begins, -1)
            last = min(self.payments, self._number_before(ends))
            if last >= first:
                found.append(Month(begins, ends, first, last))
                first = last + 1
            begins = ends
        return found

    def _number_before(self, moment: datetime) -> int:
        """The last payment made before `moment`."""
        passed = (moment - self.since) // timedelta(microseconds=1)
        return max(0, (passed - 1) // self.step_us)


def _months_before(moment: datetime, months: int) -> datetime:
    """The same hour on the same day of another month, or on its 28th."""
    index = moment.year * 12 + moment.month - 1 - months
    return moment.replace(year=index // 12, month=index % 12 + 1, day=min(moment.day, 28))


def id_of(kind: str, number: int, milliseconds: int) -> UUID:
    """The id a filled row has; `growth_id` in rows.py does the same in SQL."""
    digest = hashlib.md5(f"{kind}{number}".encode()).hexdigest()
    return UUID(f"{milliseconds:012x}7{digest[13:16]}8{digest[17:]}")


def whole_hour() -> datetime:
    """An hour ago: what the bench itself adds comes after everything that was filled in."""
    return datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)


@lru_cache
def slots() -> tuple[str, ...]:
    """Which merchant has which of the thousand slots."""
    return tuple(name for name, share in SHARES.items() for _ in range(share))


def slot_of(number: int) -> int:
    """The slot of a payment; neighbours in time belong to different merchants."""
    return number * 7919 % SLOTS


def owner_of(number: int, payments: int) -> str:
    """Whose payment `number` of so many is."""
    name = slots()[slot_of(number)]
    return HEIR if name == QUIET and number > payments // 2 else name


def status_of(number: int) -> str:
    place = number * 31 % STATUS_SLOTS
    for status, share in STATUSES.items():
        if place < share:
            return status
        place -= share
    raise AssertionError("the shares do not add up")


def rows_expected(payments: int) -> dict[str, int]:
    """How many rows each table is filled with."""
    refunds, customers, deliveries = payments // REFUND_EACH, payments // CUSTOMER_EACH, payments // DELIVERY_EACH
    return {
        "customers": customers,
        "data_keys": customers,
        "payments": payments,
        "refunds": refunds,
        "transactions": payments + refunds,
        "jobs": 2 * payments + deliveries + refunds,
        "idempotency_keys": payments,
        "inbox_events": payments,
        "findings": payments // FINDING_EACH,
        "bodies": 2 * payments,
        "events": 2 * payments,
        "audit_log": 4 * payments,
        "deliveries": deliveries,
    }
