"""Reports: kept days are added up, changed days and today are counted from the payments, in one statement."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, Literal
from uuid import UUID

import sqlalchemy as sa

from core.domain.errors import FieldError, RequestRefused
from core.domain.identifiers import public_id
from core.orchestration.context import Core
from core.persistence.database import Scope
from core.reports.figures import BOUNDS, KEYS, NAMED, SUMS, count
from core.reports.spreadsheet import flat

Dimension = Literal["provider", "account", "day", "route"]
DIMENSIONS: tuple[Dimension, ...] = ("provider", "account", "day", "route")
#: A longer window is a year's report, twice over.
LONGEST = 800

_NOBODY = UUID(int=0)
_COLUMNS = ", ".join((*KEYS, *SUMS, *NAMED))
_WHERE = (
    "p.merchant_id = :merchant AND p.mode = :mode AND p.created_at >= d.day::timestamp AT TIME ZONE 'UTC' "
    "AND p.created_at < (d.day + 1)::timestamp AT TIME ZONE 'UTC'"
)
_READ = sa.text(
    "WITH wanted AS (SELECT day::date AS day FROM generate_series("  # noqa: S608
    "CAST(:since AS date), CAST(:until AS date), interval '1 day') AS days (day)), "
    "kept AS (SELECT r.day FROM report_days r WHERE r.merchant_id = :merchant AND r.mode = :mode "
    "AND r.day BETWEEN CAST(:since AS date) AND CAST(:until AS date) "
    "AND r.built_at IS NOT NULL AND r.changed_at IS NULL) "
    f"SELECT f.day, {_COLUMNS} FROM daily_figures f "
    "WHERE f.merchant_id = :merchant AND f.mode = :mode AND f.day IN (SELECT day FROM kept) "
    "AND (f.payments > 0 OR f.fees <> 0) "
    "UNION ALL SELECT d.day, counted.* FROM (SELECT day FROM wanted EXCEPT SELECT day FROM kept) AS d "
    f"CROSS JOIN LATERAL ({count(_WHERE)}) AS counted"
)


@dataclass(frozen=True, slots=True)
class Window:
    """Whole days (UTC), both included."""

    since: date
    until: date

    def __post_init__(self) -> None:
        """Raises RequestRefused."""
        if self.until < self.since:
            raise _refused("until", "must not be before `from`")
        if self.until - self.since > timedelta(days=LONGEST):
            raise _refused("from", f"must be at most {LONGEST} days before `until`")


def _refused(name: str, message: str) -> RequestRefused:
    return RequestRefused("the window cannot be reported", errors=[FieldError(name, message)])


@dataclass(slots=True)
class Line:
    """One line of a report while it is added up."""

    sums: Counter[str] = field(default_factory=Counter)
    declines: Counter[str] = field(default_factory=Counter)
    latency: Counter[str] = field(default_factory=Counter)


def payments(core: Core, scope: Scope, window: Window, by: Sequence[Dimension]) -> list[dict[str, Any]]:
    """A line for each currency and each value of the dimensions, of the payments made in the window.

    Money in minor units: `net` is received less refunded, disputed and fees. What a provider kept in another currency
    than the payment's is a line of that currency, without payments. `success_rate` is the part of the decided
    ones that succeeded, null where none was decided. Latency in milliseconds, of provider calls; upper bounds.
    """
    values = {"merchant": scope.merchant_id, "mode": scope.mode, "since": window.since, "until": window.until}
    lines: dict[tuple[Any, ...], Line] = {}
    with core.database.scoped(scope) as connection:
        for row in connection.execute(_READ, values).mappings():
            line = lines.setdefault(tuple(_value(row, one) for one in (*by, "currency")), Line())
            line.sums.update({name: row[name] for name in SUMS})
            line.declines.update(row["declines"])
            line.latency.update(row["latency"])
    named = (*by, "currency")
    return [{**dict(zip(named, key, strict=True)), **_told(line)} for key, line in sorted(lines.items())]


def payments_columns(by: Sequence[Dimension]) -> list[str]:
    """Of the same as CSV, also where a window holds nothing."""
    return [*by, "currency", *flat(_told(Line()))]


def _value(row: Mapping[Any, Any], dimension: str) -> str:
    if dimension == "day":
        return str(row["day"].isoformat())
    if dimension == "account":
        account = row["provider_account_id"]
        return "" if account == _NOBODY else public_id("provider_account", account)
    return str(row[dimension])


def _told(line: Line) -> dict[str, Any]:
    sums = {name: int(line.sums[name]) for name in SUMS if name != "call_ms"}
    decided = sums["succeeded"] + sums["failed"]
    calls = sums["calls"]
    return {
        **sums,
        "net": sums["received"] - sums["refunded"] - sums["disputed"] - sums["fees"],
        "success_rate": None if decided == 0 else round(sums["succeeded"] / decided, 4),
        "declines": dict(sorted(line.declines.items())),
        "latency_mean_ms": None if calls == 0 else round(line.sums["call_ms"] / calls),
        "latency_p50_ms": _quantile(line.latency, 0.5),
        "latency_p95_ms": _quantile(line.latency, 0.95),
    }


def _quantile(latency: Mapping[str, int], part: float) -> int | None:
    """The bound under which this part of the calls stayed; None without calls, or where it is beyond the last."""
    total = sum(latency.values())
    passed = 0
    for bound in BOUNDS:
        passed += latency.get(str(bound), 0)
        if total and passed >= part * total:
            return bound
    return None


#: In this order, as JSON and as CSV.
SETTLEMENT_COLUMNS = (
    "payout", "status", "currency", "paid_out", "gross", "fees", "refunds", "disputes", "adjustments", "difference",
    "lines", "foreign_lines", "foreign_net", "account", "booked_at", "arrives_at", "exchanged",
)  # fmt: skip
_SETTLEMENTS = sa.text(
    "SELECT provider_account_id, payout, status, currency, paid_out, gross, fees, refunds, disputes, adjustments, "
    "difference, lines, foreign_lines, foreign_net, booked_at, arrives_at, exchanged FROM payouts "
    "WHERE merchant_id = :merchant AND mode = :mode "
    "AND booked_at >= CAST(:since AS date)::timestamp AT TIME ZONE 'UTC' "
    "AND booked_at < (CAST(:until AS date) + 1)::timestamp AT TIME ZONE 'UTC' ORDER BY booked_at, payout"
)


def settlements(core: Core, scope: Scope, window: Window) -> list[dict[str, Any]]:
    """What the providers paid out in the window, with each payout's equation. Money in minor units."""
    values = {"merchant": scope.merchant_id, "mode": scope.mode, "since": window.since, "until": window.until}
    with core.database.scoped(scope) as connection:
        found = connection.execute(_SETTLEMENTS, values).mappings().all()
    return [_settlement(row) for row in found]


def _settlement(row: Mapping[Any, Any]) -> dict[str, Any]:
    worded = {
        "account": public_id("provider_account", row["provider_account_id"]),
        **{name: row[name].isoformat() if row[name] is not None else None for name in ("booked_at", "arrives_at")},
    }
    return {name: worded[name] if name in worded else row[name] for name in SETTLEMENT_COLUMNS}
