"""Who did what: searched, and exported with proof."""

from __future__ import annotations

from flask import Response

from api.admin.common import admin_caller
from api.answers import ok, optional_id
from api.policy import Policy
from api.routing import room, route
from api.schemas.audit import AuditExportQuery, AuditQuery, AuditRecords, AuditStanding
from api.schemas.parameters import NoQuery
from api.state import gate
from core.audit.log import EVERYBODY
from core.audit.searching import Wanted
from core.orchestration import auditing

audit = room("admin_audit", __name__, "Who did what; takes a `tg_admin_` key.")

_READ = Policy("admin", "admin:audit", codes=("validation_failed",))


def _wanted(query: AuditQuery | AuditExportQuery) -> Wanted:
    return Wanted(
        merchant=optional_id("merchant", query.merchant),
        mode=query.mode,
        payment=optional_id("payment", query.payment),
        subject=None if query.subject is None else auditing.subject_id(query.subject),
        subject_kind=query.subject_kind,
        actor=query.actor,
        action=query.action,
        request=query.request_id,
        since=query.since,
        until=query.until,
    )


@route(audit, "get", "/admin/v1/audit", _READ, {200: AuditRecords})
def list_audit_records(query: AuditQuery) -> Response:
    """Search the audit log, newest first

    A page looks through a bounded stretch of the log: it may be short, or empty, and have more behind it.
    """
    return ok(auditing.search(gate().core, _wanted(query), query.limit, query.before))


@route(audit, "get", "/admin/v1/audit/standing", _READ, {200: AuditStanding})
def get_audit_standing(query: NoQuery) -> Response:
    """Read the newest seal of the audit log, and what waits for the next"""
    return ok(auditing.standing(gate().core))


@route(audit, "get", "/admin/v1/audit/export", _READ, {200: None})
def export_audit_records(query: AuditExportQuery) -> Response:
    """Export a stretch of the audit log with its proof, as JSON lines

    Records, and the seals and hashes with which `tollgate audit check FILE` proves them without the database. Covers
    100,000 numbers at most. What no seal covers yet is left out. The export itself is recorded.
    """
    caller = admin_caller(EVERYBODY)
    found = auditing.export(gate().core, caller, query.first, query.last, _wanted(query))
    return Response(found, mimetype="application/x-ndjson")
