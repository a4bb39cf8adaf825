"""Routes: drafted, checked, explained, made active and taken back."""

from __future__ import annotations

from flask import Response

from api.admin.common import READ, person, policy, scope_of
from api.answers import ok, optional_id, row_id
from api.policy import Policy
from api.routing import room, route
from api.schemas.admin import ModeQuery
from api.schemas.parameters import PathId
from api.schemas.routes import (
    ActivateBody,
    ChangeRouteBody,
    DraftBody,
    ExplainBody,
    Explanation,
    RollBackBody,
    RolledBack,
    RouteInFull,
    RoutePath,
    RouteVersions,
    SampleBody,
    ValidateBody,
    Verdict,
)
from api.state import gate
from core.domain.errors import FieldError, RequestRefused
from core.orchestration import route_explaining
from core.orchestration import routes as roads
from core.orchestration.route_explaining import Sample

routes = room("admin_routes", __name__, "Which account carries a payment; takes a `tg_admin_` key.")

_HOME = "/admin/v1/merchants/<id>/routes"
_ONE = f"{_HOME}/<version>"
_WRITE = policy("admin:routes")
_ASK = Policy("admin", "admin:read", body="required", codes=("not_found", "validation_failed"))


@route(routes, "get", _HOME, READ, {200: RouteVersions})
def list_routes(path: PathId, query: ModeQuery) -> Response:
    """List the versions of a merchant's route, newest first"""
    return ok({"data": roads.list_versions(gate().core, scope_of(path.id, query.mode))})


@route(routes, "post", _HOME, _WRITE, {201: RouteInFull})
def draft_route(path: PathId, query: ModeQuery, body: DraftBody) -> Response:
    """Draft a version

    Nothing uses it before it is activated.
    """
    scope = scope_of(path.id, query.mode)
    found = roads.draft(gate().core, scope, body.definition.plain(), body.note, person(body.reason))
    return ok(found, 201)


@route(routes, "get", _ONE, READ, {200: RouteInFull})
def get_route(path: RoutePath, query: ModeQuery) -> Response:
    """Read a version, with what speaks against it now"""
    return ok(roads.show(gate().core, scope_of(path.id, query.mode), path.version))


@route(routes, "patch", _ONE, _WRITE, {200: RouteInFull})
def change_route(path: RoutePath, query: ModeQuery, body: ChangeRouteBody) -> Response:
    """Change a draft"""
    scope, definition = scope_of(path.id, query.mode), None if body.definition is None else body.definition.plain()
    told = person(body.reason)
    return ok(roads.change(gate().core, scope, path.version, told, definition=definition, note=body.note))


@route(routes, "post", f"{_HOME}/validate", _ASK, {200: Verdict})
def validate_route(path: PathId, query: ModeQuery, body: ValidateBody) -> Response:
    """Check a definition

    Nothing is kept. What has not even the right form is refused; what could not be activated is answered.
    """
    return ok(roads.validate(gate().core, scope_of(path.id, query.mode), body.definition.plain()))


@route(routes, "post", f"{_HOME}/explain", _ASK, {200: Explanation})
def explain_route(path: PathId, query: ModeQuery, body: ExplainBody) -> Response:
    """Say what the router would do with a payment

    Every rule that is tried and every account, in words, with the accounts' health now. Nothing is kept or sent.
    """
    scope = scope_of(path.id, query.mode)
    if (body.sample is None) == (body.payment is None):
        error = FieldError("sample", "give either a sample or a payment that is there")
        raise RequestRefused("it is not clear which payment is meant", errors=[error])
    about = _sample(body.sample) if body.sample is not None else row_id("payment", str(body.payment))
    definition = None if body.definition is None else body.definition.plain()
    return ok(route_explaining.explain(gate().core, scope, about, definition=definition, version=body.version))


@route(routes, "post", f"{_ONE}/activate", _WRITE, {200: RouteInFull})
def activate_route(path: RoutePath, query: ModeQuery, body: ActivateBody) -> Response:
    """Make a version the one that payments accepted from now on are routed by"""
    scope, told = scope_of(path.id, query.mode), person(body.reason)
    return ok(roads.activate(gate().core, scope, path.version, told, replaces=body.replaces))


@route(routes, "post", f"{_HOME}/rollback", _WRITE, {200: RolledBack})
def roll_back_route(path: PathId, query: ModeQuery, body: RollBackBody) -> Response:
    """Go back to the version that was active before

    Without one before, no route is active afterwards.
    """
    scope, told = scope_of(path.id, query.mode), person(body.reason)
    return ok(roads.roll_back(gate().core, scope, told, to=body.to, replaces=body.replaces))


def _sample(body: SampleBody) -> Sample:
    return Sample(
        amount=body.amount,
        currency=body.currency,
        method=body.method,
        capture=body.capture,
        country=body.country,
        customer=optional_id("customer", body.customer),
        metadata=body.metadata,
        provider=body.provider,
        saved=optional_id("payment_method", body.saved),
        save_method=body.save_payment_method,
        off_session=body.off_session,
        has_email=body.has_email,
        has_return_url=body.has_return_url,
    )
