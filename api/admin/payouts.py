"""What the providers paid out, line by line."""

from __future__ import annotations

from flask import Response

from api.admin.common import READ, scope_of
from api.answers import ok, optional_id, row_id
from api.routing import room, route
from api.schemas.admin import ModeQuery
from api.schemas.parameters import PathId
from api.schemas.payouts import LinesQuery, Payout, PayoutPath, Payouts, PayoutsQuery, StatementLine, StatementLines
from api.state import gate
from core.reconciliation import exports, payout_reading
from core.reconciliation.payout_reading import Place

payouts = room("admin_payouts", __name__, "What the providers paid out; takes a `tg_admin_` key.")

_HOME = "/admin/v1/merchants/<id>/payouts"


@route(payouts, "get", _HOME, READ, {200: Payouts})
def list_payouts(path: PathId, query: PayoutsQuery) -> Response:
    """List payouts with their equations, newest first"""
    account = optional_id("provider_account", query.provider_account)
    after = None if query.after is None else Place.read(query.after)
    wanted = payout_reading.Wanted(query.limit, query.before, account, query.status, after)
    return ok(payout_reading.list_payouts(gate().core, scope_of(path.id, query.mode), wanted))


@route(payouts, "get", f"{_HOME}/<account>/<payout>", READ, {200: Payout})
def get_payout(path: PayoutPath, query: ModeQuery) -> Response:
    """Read a payout with its equation"""
    scope, account = scope_of(path.id, query.mode), row_id("provider_account", path.account)
    return ok(payout_reading.find(gate().core, scope, account, path.payout))


@route(payouts, "get", f"{_HOME}/<account>/<payout>/lines", READ, {200: StatementLines})
def list_payout_lines(path: PayoutPath, query: LinesQuery) -> Response:
    """List the lines of a payout; with `format=csv` all of them as CSV"""
    scope, account = scope_of(path.id, query.mode), row_id("provider_account", path.account)
    payout_reading.find(gate().core, scope, account, path.payout)
    if query.format == "csv":
        rows = payout_reading.all_lines(gate().core, scope, account, path.payout)
        return Response(exports.lines(list(StatementLine.model_fields), rows), mimetype="text/csv")
    found = payout_reading.lines(gate().core, scope, account, path.payout, query.limit, query.after)
    return ok({"data": found})
