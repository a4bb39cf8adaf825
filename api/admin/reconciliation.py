"""Our books against a provider's: started, followed, listed."""

from __future__ import annotations

from flask import Response, g

from api.admin.common import READ, origin, policy, scope_of
from api.answers import ok, optional_id, row_id
from api.routing import room, route
from api.schemas.admin import ModeQuery
from api.schemas.parameters import PathId
from api.schemas.reconciliation import Run, RunBody, RunPath, Runs, RunsQuery
from api.state import gate
from core.orchestration.reading import listing
from core.reconciliation import runs
from core.reconciliation.runs import Window

reconciliation = room("admin_reconciliation", __name__, "Our books against the providers'; takes a `tg_admin_` key.")

_HOME = "/admin/v1/merchants/<id>/reconciliation/runs"
_START = policy("admin:reconciliation", "run_in_progress")


@route(reconciliation, "post", _HOME, _START, {202: Run})
def start_run(path: PathId, query: ModeQuery, body: RunBody) -> Response:
    """Start a run

    `missed_events` asks what happened and heeds what our books do not say; `two_way` compares charge by charge;
    `statement` matches the provider's statement line by line, with fees and payouts.
    """
    scope, account = scope_of(path.id, query.mode), row_id("provider_account", body.provider_account)
    run_id = runs.start(gate().core, scope, account, body.kind, Window(body.since, body.until), g.admin, origin())
    return ok(runs.shown(runs.find(gate().core, scope, run_id)), 202)


@route(reconciliation, "get", _HOME, READ, {200: Runs})
def list_runs(path: PathId, query: RunsQuery) -> Response:
    """List runs, newest first"""
    found = runs.list_runs(
        gate().core,
        scope_of(path.id, query.mode),
        query.limit,
        optional_id("reconciliation_run", query.after),
        kind=query.kind,
        status=query.status,
        provider_account_id=optional_id("provider_account", query.provider_account),
    )
    return ok(listing(found, query.limit, "reconciliation_run", runs.shown))  # type: ignore[arg-type]


@route(reconciliation, "get", f"{_HOME}/<run>", READ, {200: Run})
def get_run(path: RunPath, query: ModeQuery) -> Response:
    """Read a run, how far it is, and what it found"""
    scope = scope_of(path.id, query.mode)
    return ok(runs.shown(runs.find(gate().core, scope, row_id("reconciliation_run", path.run))))
