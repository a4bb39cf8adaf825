"""Merchants, and what an operator may see of one: keys, provider accounts, findings, jobs."""

from __future__ import annotations

from flask import Response

from api.answers import ok, optional_id, row_id
from api.policy import Policy
from api.routing import room, route
from api.schemas.admin import (
    ApiKeys,
    Findings,
    FindingsQuery,
    Jobs,
    JobsQuery,
    Merchants,
    MerchantsQuery,
    ModeQuery,
    ProviderAccounts,
)
from api.schemas.parameters import PathId
from api.state import gate
from core.orchestration import accounts, admin_reading, api_keys
from core.persistence.database import Scope

merchants = room("admin", __name__, "For operators; takes a `tg_admin_` key.")

_LIST = Policy("admin", "admin:read", codes=("validation_failed",))
_READ = Policy("admin", "admin:read", codes=("not_found", "validation_failed"))


def _scope(text: str, mode: str) -> Scope:
    """From here on the transaction sees that merchant's rows of that mode and no others. Raises NotFoundError."""
    merchant_id = row_id("merchant", text)
    admin_reading.require_merchant(gate().core, merchant_id)
    return Scope(merchant_id, mode)


@route(merchants, "get", "/admin/v1/merchants", _LIST, {200: Merchants})
def list_merchants(query: MerchantsQuery) -> Response:
    """List merchants, newest first"""
    return ok(admin_reading.list_merchants(gate().core, query.limit, optional_id("merchant", query.after)))


@route(merchants, "get", "/admin/v1/merchants/<id>/api_keys", _READ, {200: ApiKeys})
def list_api_keys(path: PathId, query: ModeQuery) -> Response:
    """List a merchant's API keys, without their secrets"""
    return ok({"data": api_keys.list_keys(gate().core, _scope(path.id, query.mode))})


@route(merchants, "get", "/admin/v1/merchants/<id>/provider_accounts", _READ, {200: ProviderAccounts})
def list_provider_accounts(path: PathId, query: ModeQuery) -> Response:
    """List a merchant's provider accounts, without their credentials"""
    return ok({"data": accounts.list_accounts(gate().core, _scope(path.id, query.mode))})


@route(merchants, "get", "/admin/v1/merchants/<id>/findings", _READ, {200: Findings})
def list_findings(path: PathId, query: FindingsQuery) -> Response:
    """List what a person should look at, newest first"""
    scope, after = _scope(path.id, query.mode), optional_id("finding", query.after)
    return ok(admin_reading.list_findings(gate().core, scope, query.limit, after, query.status))


@route(merchants, "get", "/admin/v1/merchants/<id>/jobs", _READ, {200: Jobs})
def list_jobs(path: PathId, query: JobsQuery) -> Response:
    """List a merchant's jobs, newest first"""
    scope, after = _scope(path.id, query.mode), optional_id("job", query.after)
    return ok(admin_reading.list_jobs(gate().core, scope, query.limit, after, query.status))
