"""The first page of a merchant: what needs a person now, how the providers are, and how the last days went."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from babel.dates import format_date
from babel.numbers import format_compact_currency
from flask import Response

from api.dashboard import charts, forms, words
from api.dashboard.charts import Chart, Point
from api.dashboard.frame import Entry, Here, page, render
from api.dashboard.health import Look, look
from api.state import gate
from core.domain.money import digits
from core.reports import attention, reading
from core.reports.attention import MOST
from core.reports.reading import Window

#: What the page can show, in days.
_SPANS = (7, 14, 30, 90)

#: Count -> (what it is, for one and for more; page; its filters; tone).
_WAITS: Mapping[str, tuple[str, str, str, Mapping[str, str], str]] = {
    "review": ("job waits for a decision", "jobs wait for a decision", "list_jobs", {}, "bad"),
    "findings_high": (
        "grave finding is open", "grave findings are open", "list_findings", {"severity": "high"}, "bad",
    ),
    "suspended": ("account is suspended", "accounts are suspended", "list_accounts", {}, "bad"),
    "circuits": ("circuit is open", "circuits are open", "list_accounts", {}, "bad"),
    "disputes": ("dispute wants an answer", "disputes want an answer", "list_payments", {}, "warn"),
    "findings_other": ("other finding is open", "other findings are open", "list_findings", {}, "warn"),
    "parked": (
        "provider event is parked", "provider events are parked", "list_inbox", {"status": "parked"}, "warn",
    ),
    "undelivered": (
        "event is not delivered yet", "events are not delivered yet", "list_jobs",
        {"status": "queued", "lane": "deliveries"}, "warn",
    ),
    "endpoints": ("webhook endpoint was disabled", "webhook endpoints were disabled", "list_endpoints", {}, "warn"),
    "failed_runs": ("comparison failed today", "comparisons failed today", "list_runs", {"status": "failed"}, "warn"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Waiting:
    count: str
    what: str
    url: str
    tone: str


@dataclass(frozen=True, slots=True)
class Currency:
    """One currency's part of the page; sums of two are never added."""

    code: str
    line: Mapping[str, Any]
    volume: Chart
    success: Chart
    days: Sequence[Mapping[str, Any]]
    providers: Sequence[Mapping[str, Any]]


@page("", menu=Entry("Overview", 5))
def show_overview(here: Here) -> Response:
    core, scope = gate().core, here.scope
    asked = forms.asked("days")
    span = int(asked) if asked in {str(one) for one in _SPANS} else 14
    needed = attention.needed(core, scope)
    window = Window(needed.now.date() - timedelta(days=span - 1), needed.now.date())
    health = look(core, scope)
    return render(
        "overview.html", here, title="Overview", waiting=_waiting(here, needed.counts, health), health=health,
        currencies=_currencies(here, window), span=span, spans=_SPANS, since=needed.oldest,
    )  # fmt: skip


def _waiting(here: Here, counts: Mapping[str, int], health: Sequence[Look]) -> list[Waiting]:
    known = {**counts, "circuits": sum(one.open_circuits for one in health)}
    found = []
    for name, (single, several, where, filters, tone) in _WAITS.items():
        number = known[name]
        if number:
            told = f"{MOST:,}+" if number >= MOST else words.number(number)
            found.append(Waiting(told, single if number == 1 else several, here.url(where, **filters), tone))
    return found


def _currencies(here: Here, window: Window) -> list[Currency]:
    core, scope = gate().core, here.scope
    in_all = reading.payments(core, scope, window, ())
    by_day: dict[str, dict[str, Mapping[str, Any]]] = defaultdict(dict)
    for line in reading.payments(core, scope, window, ("day",)):
        by_day[line["currency"]][line["day"]] = line
    by_provider: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for line in reading.payments(core, scope, window, ("provider",)):
        by_provider[line["currency"]].append(line)
    days = [window.since + timedelta(days=number) for number in range((window.until - window.since).days + 1)]
    largest_first = sorted(in_all, key=lambda line: -int(line["payments"]))
    return [
        _currency(line, [by_day[line["currency"]].get(day.isoformat()) for day in days], days,
                  by_provider[line["currency"]])
        for line in largest_first
    ]  # fmt: skip


def _currency(
    line: Mapping[str, Any],
    found: Sequence[Mapping[str, Any] | None],
    days: Sequence[date],
    providers: Sequence[Mapping[str, Any]],
) -> Currency:
    code = line["currency"]
    volume, success = [], []
    for day, one in zip(days, found, strict=True):
        name = short_day(day)
        received = 0 if one is None else one["received"]
        rate = None if one is None else one["success_rate"]
        volume.append(Point(name, received, f"{name}: {words.money(received, code)}"))
        success.append(Point(name, rate, f"{name}: {'nothing decided' if rate is None else f'{rate:.1%}'}"))
    return Currency(
        code, line, charts.bars(volume, lambda value: short_money(value, code)), charts.shares(success),
        [one for one in found if one is not None], providers,
    )  # fmt: skip


def short_day(day: date) -> str:
    return format_date(day, "d MMM", locale="en")


def short_money(value: float, currency: str) -> str:
    """`$1.2K`: for the side of a chart."""
    major = Decimal(str(value)).scaleb(-digits(currency))
    small = 0 < major < 10 or (major < 1000 and major != major.to_integral_value())
    return str(
        format_compact_currency(major, currency, locale="en", fraction_digits=1 if small or major >= 1000 else 0)
    )
