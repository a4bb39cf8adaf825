"""Figures for finance: by day, provider, account or route, never across currencies; as a table and as CSV."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from flask import Response

from api.dashboard import forms
from api.dashboard.frame import Entry, Here, page, render
from api.dashboard.reconciliation import csv
from api.state import gate
from core.domain.errors import RequestRefused
from core.persistence.database import present
from core.reconciliation import exports
from core.reports import reading
from core.reports.reading import DIMENSIONS, Dimension, Window
from core.reports.spreadsheet import flat

#: Lines on the page; the file has all.
_MOST = 500


@dataclass(frozen=True, slots=True)
class Asked:
    """`problem` says why the window is another than the one that was asked for."""

    window: Window
    by: tuple[Dimension, ...]
    problem: str | None

    def query(self) -> dict[str, str]:
        chosen = {f"by_{one}": "yes" for one in self.by}
        return {"since": self.window.since.isoformat(), "until": self.window.until.isoformat(), **chosen}


@page("/reports", menu=Entry("Reports", 70))
def show_report(here: Here) -> Response:
    asked = _asked(here)
    lines = reading.payments(gate().core, here.scope, asked.window, asked.by)
    return render(
        "report.html", here, title="Reports", asked=asked, lines=lines[:_MOST], count=len(lines), most=_MOST,
        dimensions=DIMENSIONS, settlements=reading.settlements(gate().core, here.scope, asked.window),
    )  # fmt: skip


@page("/reports/payments.csv")
def download_report(here: Here) -> Response:
    asked = _asked(here)
    lines = reading.payments(gate().core, here.scope, asked.window, asked.by)
    return csv("payments.csv", exports.lines(reading.payments_columns(asked.by), map(flat, lines)))


@page("/reports/settlements.csv")
def download_settlements(here: Here) -> Response:
    lines = reading.settlements(gate().core, here.scope, _asked(here).window)
    return csv("settlements.csv", exports.lines(reading.SETTLEMENT_COLUMNS, map(flat, lines)))


def _asked(here: Here) -> Asked:
    with gate().core.database.scoped(here.scope) as connection:
        today = present(connection).date()
    by: tuple[Dimension, ...] = tuple(one for one in DIMENSIONS if forms.asked(f"by_{one}"))
    if not any(forms.asked(name) for name in ("since", "until", *(f"by_{one}" for one in DIMENSIONS))):
        by = ("provider",)
    usual = Window(today - timedelta(days=29), today)
    try:
        since, until = (_day(forms.asked(name), usual_day) for name, usual_day in
                        (("since", usual.since), ("until", usual.until)))  # fmt: skip
        return Asked(Window(since, until), by, None)
    except (ValueError, RequestRefused) as error:
        told = error.errors[0] if isinstance(error, RequestRefused) and error.errors else None
        why = f"the window's {told.field} {told.message}" if told else "a day cannot be read: write it like 2026-11-30"
        return Asked(usual, by, f"{why[:1].upper()}{why[1:]}. The last 30 days are shown instead.")


def _day(text: str | None, usual: date) -> date:
    return usual if text is None else date.fromisoformat(text)
