"""API keys of merchants and administrators: listed, made, rotated, ended. Nobody grants more than they have."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from flask import Response

from api.admin.common import LIST, READ, granter, policy, scope_of
from api.answers import ok
from api.errors import InvalidFields
from api.routing import room, route
from api.schemas.admin import ModeQuery
from api.schemas.api_keys import (
    AdminKeyPath,
    ApiKey,
    ApiKeys,
    ExpireKeyBody,
    KeyPath,
    NewAdminKeyBody,
    NewApiKey,
    NewKeyBody,
    RevokeKeyBody,
    RotateKeyBody,
)
from api.schemas.parameters import NoQuery, PathId
from api.state import gate
from core.domain.errors import FieldError
from core.domain.key_form import NewKey
from core.domain.roles import ROLES
from core.orchestration import api_keys
from core.persistence.database import Scope

keys = room("admin_keys", __name__, "API keys of merchants and administrators; takes a `tg_admin_` key.")

_HOME = "/admin/v1/merchants/<id>/api_keys"
_ONE = f"{_HOME}/<key>"
_ADMIN = "/admin/v1/api_keys"
_ADMIN_ONE = f"{_ADMIN}/<key>"
_CHANGE = policy("admin:keys")


@route(keys, "get", _HOME, READ, {200: ApiKeys})
def list_api_keys(path: PathId, query: ModeQuery) -> Response:
    """List a merchant's API keys, without their secrets"""
    return ok({"data": api_keys.list_keys(gate().core, scope_of(path.id, query.mode))})


@route(keys, "post", _HOME, _CHANGE, {201: NewApiKey})
def create_api_key(path: PathId, query: ModeQuery, body: NewKeyBody) -> Response:
    """Make a key for a merchant

    The answer holds the key, for the only time. A repeated request makes another key.
    """
    scope = scope_of(path.id, query.mode)
    made = api_keys.create(
        gate().core,
        kind=query.mode,
        merchant_id=scope.merchant_id,
        name=body.name,
        scopes=body.scopes,
        lifetime=_days(body.days),
        by=granter(),
    )
    return _new(made, scope)


@route(keys, "post", f"{_ONE}/rotate", _CHANGE, {201: NewApiKey})
def rotate_api_key(path: KeyPath, query: ModeQuery, body: RotateKeyBody) -> Response:
    """Make the successor of a merchant's key

    The answer holds it, for the only time. Both work until the overlap is over.
    """
    scope = scope_of(path.id, query.mode)
    return _new(_rotated(path.key, body, scope), scope)


@route(keys, "post", f"{_ONE}/expire", _CHANGE, {200: ApiKey})
def expire_api_key(path: KeyPath, query: ModeQuery, body: ExpireKeyBody) -> Response:
    """Have a merchant's key end by itself"""
    return _expired(path.key, body, scope_of(path.id, query.mode))


@route(keys, "post", f"{_ONE}/revoke", _CHANGE, {200: ApiKey})
def revoke_api_key(path: KeyPath, query: ModeQuery, body: RevokeKeyBody) -> Response:
    """Refuse a merchant's key from its next request on"""
    scope = scope_of(path.id, query.mode)
    return ok(api_keys.revoke(gate().core, path.key, granter(body.reason), scope=scope))


@route(keys, "get", _ADMIN, LIST, {200: ApiKeys})
def list_admin_keys(query: NoQuery) -> Response:
    """List the keys of administrators, without their secrets"""
    return ok({"data": api_keys.list_admin_keys(gate().core)})


@route(keys, "post", _ADMIN, _CHANGE, {201: NewApiKey})
def create_admin_key(query: NoQuery, body: NewAdminKeyBody) -> Response:
    """Make a key for an administrator

    The answer holds the key, for the only time. A repeated request makes another key.
    """
    made = api_keys.create(
        gate().core, kind="admin", name=body.name, scopes=_wanted(body), lifetime=_days(body.days), by=granter()
    )
    return _new(made, None)


@route(keys, "post", f"{_ADMIN_ONE}/rotate", _CHANGE, {201: NewApiKey})
def rotate_admin_key(path: AdminKeyPath, query: NoQuery, body: RotateKeyBody) -> Response:
    """Make the successor of an administrator's key

    The answer holds it, for the only time. Both work until the overlap is over.
    """
    return _new(_rotated(path.key, body, None), None)


@route(keys, "post", f"{_ADMIN_ONE}/expire", _CHANGE, {200: ApiKey})
def expire_admin_key(path: AdminKeyPath, query: NoQuery, body: ExpireKeyBody) -> Response:
    """Have an administrator's key end by itself"""
    return _expired(path.key, body, None)


@route(keys, "post", f"{_ADMIN_ONE}/revoke", _CHANGE, {200: ApiKey})
def revoke_admin_key(path: AdminKeyPath, query: NoQuery, body: RevokeKeyBody) -> Response:
    """Refuse an administrator's key from its next request on"""
    return ok(api_keys.revoke(gate().core, path.key, granter(body.reason)))


def _wanted(body: NewAdminKeyBody) -> Sequence[str]:
    """A key of administrators is never made by default with all there is."""
    if (body.scopes is None) == (body.role is None):
        message = "name either scopes or a role"
        raise InvalidFields("what the key may do is not clear", errors=[FieldError("role", message)])
    return body.scopes if body.scopes is not None else sorted(ROLES[str(body.role)])


def _rotated(key_id: str, body: RotateKeyBody, scope: Scope | None) -> NewKey:
    return api_keys.rotate(
        gate().core,
        key_id,
        granter(body.reason),
        scope=scope,
        overlap=timedelta(hours=body.overlap_hours),
        lifetime=_days(body.days),
    )


def _expired(key_id: str, body: ExpireKeyBody, scope: Scope | None) -> Response:
    ends_in = timedelta(hours=body.in_hours)
    return ok(api_keys.expire(gate().core, key_id, ends_in, granter(body.reason), scope=scope))


def _new(made: NewKey, scope: Scope | None) -> Response:
    shown: dict[str, Any] = api_keys.show(gate().core, made.id, scope)
    return ok({**shown, "key": made.text}, 201)


def _days(days: int | None) -> timedelta | None:
    return None if days is None else timedelta(days=days)
