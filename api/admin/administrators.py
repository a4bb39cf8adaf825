"""People who run the installation: made, given roles, closed, logged out. Nobody gives more than they have."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from flask import Response, g

from api import client_address
from api.admin.common import policy
from api.answers import ok, optional_id, row_id
from api.policy import Policy
from api.routing import room, route
from api.schemas.administrators import (
    Administrator,
    Administrators,
    EndSessionsBody,
    NewAccess,
    NewAdministratorBody,
    RoleBody,
    Sessions,
    SessionsEnded,
)
from api.schemas.parameters import NoQuery, PathId
from api.state import gate
from core.orchestration.administrators import roster, sessions
from core.orchestration.administrators.roster import Access, By
from core.orchestration.administrators.trail import From

administrators = room("administrators", __name__, "People who run the installation; takes a `tg_admin_` key.")

_HOME = "/admin/v1/administrators"
_ONE = f"{_HOME}/<id>"
_SEE = Policy("admin", "admin:people", codes=("not_found", "validation_failed"))
_GIVE = policy("admin:people")
_ACT = policy("admin:people", body="none")


def _by() -> By:
    address = client_address.current()
    return By(g.admin, From(address or "", None, g.request_id), g.admin_scopes)


def _shown(number: UUID) -> Response:
    return ok(roster.get(gate().core, number))


def _access(made: Access, status: int) -> Response:
    return ok({"administrator": roster.get(gate().core, made.id), "password": made.password}, status)


@route(administrators, "get", _HOME, _SEE, {200: Administrators})
def list_administrators(query: NoQuery) -> Response:
    """List administrators, by name"""
    return ok({"data": roster.listed(gate().core)})


@route(administrators, "post", _HOME, _GIVE, {201: NewAccess})
def create_administrator(query: NoQuery, body: NewAdministratorBody) -> Response:
    """Make an administrator

    The answer holds a password, for the only time: good for a day, and only to choose another. The device for codes is
    set up with it. A repeated request is refused, since the name is taken.
    """
    return _access(roster.create(gate().core, body.name, body.role, _by()), 201)


@route(administrators, "get", _ONE, _SEE, {200: Administrator})
def get_administrator(path: PathId, query: NoQuery) -> Response:
    """Read an administrator"""
    return _shown(row_id("administrator", path.id))


@route(administrators, "post", f"{_ONE}/role", _GIVE, {200: Administrator})
def give_administrator_role(path: PathId, query: NoQuery, body: RoleBody) -> Response:
    """Give an administrator another role; it holds from their next page on"""
    return _done(path.id, lambda number: roster.set_role(gate().core, number, body.role, _by()))


@route(administrators, "post", f"{_ONE}/disable", _ACT, {200: Administrator})
def disable_administrator(path: PathId, query: NoQuery) -> Response:
    """Close an account and end its sessions at once"""
    return _done(path.id, lambda number: roster.disable(gate().core, number, _by()))


@route(administrators, "post", f"{_ONE}/enable", _ACT, {200: Administrator})
def enable_administrator(path: PathId, query: NoQuery) -> Response:
    """Open an account again"""
    return _done(path.id, lambda number: roster.enable(gate().core, number, _by()))


def _done(text: str, act: Callable[[UUID], object]) -> Response:
    number = row_id("administrator", text)
    act(number)
    return _shown(number)


@route(administrators, "post", f"{_ONE}/reset_password", _ACT, {200: NewAccess})
def reset_administrator_password(path: PathId, query: NoQuery) -> Response:
    """Replace a password that is lost; sessions end

    The answer holds one, for the only time: good for a day, and only to choose another.
    """
    return _access(roster.reset_password(gate().core, row_id("administrator", path.id), _by()), 200)


@route(administrators, "post", f"{_ONE}/reset_code", _ACT, {200: Administrator})
def reset_administrator_code(path: PathId, query: NoQuery) -> Response:
    """Forget a device that is lost; another is set up with the next login, and sessions end"""
    return _done(path.id, lambda number: roster.reset_code(gate().core, number, _by()))


@route(administrators, "get", f"{_ONE}/sessions", _SEE, {200: Sessions})
def list_administrator_sessions(path: PathId, query: NoQuery) -> Response:
    """List where an administrator is logged in"""
    number = row_id("administrator", path.id)
    roster.get(gate().core, number)
    return ok({"data": sessions.listed(gate().core, number)})


@route(administrators, "post", f"{_ONE}/end_sessions", _GIVE, {200: SessionsEnded})
def end_administrator_sessions(path: PathId, query: NoQuery, body: EndSessionsBody) -> Response:
    """Log an administrator out: of one session, or of all"""
    number, by = row_id("administrator", path.id), _by()
    roster.get(gate().core, number)
    one = optional_id("administrator_session", body.session)
    return ok({"ended": sessions.revoke(gate().core, number, by=by.actor, come_from=by.come_from, one=one)})
