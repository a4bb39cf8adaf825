"""What a person should look at: listed, exported, assigned, resolved."""

from __future__ import annotations

from flask import Response

from api.admin.common import READ, person, policy, scope_of
from api.answers import ok, optional_id, row_id
from api.routing import room, route
from api.schemas.admin import ModeQuery
from api.schemas.findings import AssignBody, Finding, FindingPath, Findings, FindingsQuery, ResolveBody
from api.schemas.parameters import PathId
from api.state import gate
from core.orchestration.reading import listing
from core.reconciliation import exports
from core.reconciliation import findings as roads

findings = room("admin_findings", __name__, "What a person should look at; takes a `tg_admin_` key.")

_HOME = "/admin/v1/merchants/<id>/findings"
_DECIDE = policy("admin:findings")


@route(findings, "get", _HOME, READ, {200: Findings})
def list_findings(path: PathId, query: FindingsQuery) -> Response:
    """List what a person should look at, newest first; with `format=csv` all of it as CSV"""
    wanted = roads.Wanted(
        limit=query.limit,
        after=optional_id("finding", query.after),
        status=query.status,
        kind=query.kind,
        severity=query.severity,
        account_id=optional_id("provider_account", query.provider_account),
        payment_id=optional_id("payment", query.payment),
        run_id=optional_id("reconciliation_run", query.run),
    )
    scope = scope_of(path.id, query.mode)
    if query.format == "csv":
        shown = map(roads.shown, roads.all_findings(gate().core, scope, wanted))
        return Response(exports.lines(list(Finding.model_fields), shown), mimetype="text/csv")
    found = roads.list_findings(gate().core, scope, wanted)
    return ok(listing(found, query.limit, "finding", roads.shown))  # type: ignore[arg-type]


@route(findings, "get", f"{_HOME}/<finding>", READ, {200: Finding})
def get_finding(path: FindingPath, query: ModeQuery) -> Response:
    """Read a finding with what both sides say"""
    scope = scope_of(path.id, query.mode)
    return ok(roads.shown(roads.find(gate().core, row_id("finding", path.finding), scope)))


@route(findings, "post", f"{_HOME}/<finding>/assign", _DECIDE, {200: Finding})
def assign_finding(path: FindingPath, query: ModeQuery, body: AssignBody) -> Response:
    """Put a finding into somebody's hands"""
    scope, number = scope_of(path.id, query.mode), row_id("finding", path.finding)
    return ok(roads.shown(roads.assign(gate().core, scope, number, body.to, person(body.reason))))


@route(findings, "post", f"{_HOME}/<finding>/resolve", _DECIDE, {200: Finding})
def resolve_finding(path: FindingPath, query: ModeQuery, body: ResolveBody) -> Response:
    """End a finding with a repair

    `take_over` asks the provider and takes over what it says; `refund_surplus` gives money back that came too late;
    `link` takes a charge we did not know over as surplus of a payment; `ignore` and `done` change nothing else.
    """
    scope, number = scope_of(path.id, query.mode), row_id("finding", path.finding)
    about = optional_id("payment", body.payment)
    return ok(roads.shown(roads.resolve(gate().core, scope, number, body.action, person(body.reason), about)))
