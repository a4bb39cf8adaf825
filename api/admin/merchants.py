"""Merchants, and what an operator may see of one: keys, jobs."""

from __future__ import annotations

from flask import Response

from api.admin.common import LIST, READ, scope_of
from api.answers import ok, optional_id
from api.routing import room, route
from api.schemas.admin import (
    ApiKeys,
    Jobs,
    JobsQuery,
    Merchants,
    MerchantsQuery,
    ModeQuery,
)
from api.schemas.parameters import PathId
from api.state import gate
from core.orchestration import admin_reading, api_keys

merchants = room("admin", __name__, "For operators; takes a `tg_admin_` key.")


@route(merchants, "get", "/admin/v1/merchants", LIST, {200: Merchants})
def list_merchants(query: MerchantsQuery) -> Response:
    """List merchants, newest first"""
    return ok(admin_reading.list_merchants(gate().core, query.limit, optional_id("merchant", query.after)))


@route(merchants, "get", "/admin/v1/merchants/<id>/api_keys", READ, {200: ApiKeys})
def list_api_keys(path: PathId, query: ModeQuery) -> Response:
    """List a merchant's API keys, without their secrets"""
    return ok({"data": api_keys.list_keys(gate().core, scope_of(path.id, query.mode))})


@route(merchants, "get", "/admin/v1/merchants/<id>/jobs", READ, {200: Jobs})
def list_jobs(path: PathId, query: JobsQuery) -> Response:
    """List a merchant's jobs, newest first"""
    scope, after = scope_of(path.id, query.mode), optional_id("job", query.after)
    return ok(admin_reading.list_jobs(gate().core, scope, query.limit, after, query.status))
