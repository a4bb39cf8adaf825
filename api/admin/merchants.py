"""Merchants: listed, made, renamed."""

from __future__ import annotations

from flask import Response

from api.admin.common import LIST, READ, granter, policy
from api.answers import ok, optional_id, row_id
from api.routing import room, route
from api.schemas.admin import Merchant, MerchantBody, Merchants, MerchantsQuery
from api.schemas.parameters import NoQuery, PathId
from api.state import gate
from core.orchestration import admin_reading
from core.orchestration import merchants as roads

merchants = room("admin_merchants", __name__, "Merchants; takes a `tg_admin_` key.")

_CHANGE = policy("admin:merchants")


@route(merchants, "get", "/admin/v1/merchants", LIST, {200: Merchants})
def list_merchants(query: MerchantsQuery) -> Response:
    """List merchants, newest first"""
    return ok(admin_reading.list_merchants(gate().core, query.limit, optional_id("merchant", query.after)))


@route(merchants, "post", "/admin/v1/merchants", _CHANGE, {201: Merchant})
def create_merchant(query: NoQuery, body: MerchantBody) -> Response:
    """Make a merchant, without keys and provider accounts yet

    A repeated request makes another merchant of the same name.
    """
    return ok(roads.create(gate().core, body.name, granter()), 201)


@route(merchants, "get", "/admin/v1/merchants/<id>", READ, {200: Merchant})
def get_merchant(path: PathId, query: NoQuery) -> Response:
    """Read a merchant"""
    return ok(roads.show(gate().core, row_id("merchant", path.id)))


@route(merchants, "patch", "/admin/v1/merchants/<id>", _CHANGE, {200: Merchant})
def rename_merchant(path: PathId, query: NoQuery, body: MerchantBody) -> Response:
    """Rename a merchant"""
    return ok(roads.rename(gate().core, row_id("merchant", path.id), body.name, granter()))
