"""Reports for finance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from flask import Response

from api.admin.common import READ, scope_of
from api.answers import ok
from api.routing import room, route
from api.schemas.parameters import PathId
from api.schemas.reports import PaymentsReport, PaymentsReportQuery, SettlementsReport, WindowQuery
from api.state import gate
from core.reconciliation import exports
from core.reports import reading
from core.reports.reading import Dimension, Window
from core.reports.spreadsheet import flat

reports = room("admin_reports", __name__, "Figures for finance; takes a `tg_admin_` key.")

_HOME = "/admin/v1/merchants/<id>/reports"


@route(reports, "get", f"{_HOME}/payments", READ, {200: PaymentsReport})
def report_payments(path: PathId, query: PaymentsReportQuery) -> Response:
    """Volume, success rate, declines, refunds, disputes, fees, net and latency of the payments made in a window

    A line for each currency and each value of `by`. With `format=csv` as CSV.
    """
    by = cast("Sequence[Dimension]", [one for one in query.by.split(",") if one])
    scope = scope_of(path.id, query.mode)
    lines = reading.payments(gate().core, scope, Window(query.since, query.until), by)
    return _answer(lines, query.format, reading.payments_columns(by))


@route(reports, "get", f"{_HOME}/settlements", READ, {200: SettlementsReport})
def report_settlements(path: PathId, query: WindowQuery) -> Response:
    """What the providers paid out in a window, each payout with its equation"""
    scope = scope_of(path.id, query.mode)
    lines = reading.settlements(gate().core, scope, Window(query.since, query.until))
    return _answer(lines, query.format, reading.SETTLEMENT_COLUMNS)


def _answer(lines: list[dict[str, Any]], form: str, columns: Sequence[str]) -> Response:
    if form == "csv":
        return Response("".join(exports.lines(columns, map(flat, lines))), mimetype="text/csv")
    return ok({"data": lines})
