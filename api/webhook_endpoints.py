"""Webhook endpoints: made, changed, rotated and deleted by the merchant."""

from __future__ import annotations

from flask import Response

from api.answers import accepted, ok, optional_id, row_id
from api.idempotency_key import current_key, optional_key
from api.policy import Policy
from api.routing import room, route
from api.schemas.parameters import NoQuery, PathId
from api.schemas.webhook_endpoints import (
    CreateEndpointBody,
    DeletedEndpoint,
    Endpoint,
    Endpoints,
    EndpointsQuery,
    UpdateEndpointBody,
)
from api.state import caller, gate
from core.orchestration import webhook_endpoints as endpoints

webhook_endpoints = room("webhook_endpoints", __name__, "Where a merchant wants to be told.")

_LIST = Policy("merchant", "webhook_endpoints:read", codes=("validation_failed",))
_READ = Policy("merchant", "webhook_endpoints:read", codes=("not_found", "validation_failed"))
_CREATE = Policy("merchant", "webhook_endpoints:write", body="required", key="required", codes=("validation_failed",))
_UPDATE = Policy(
    "merchant",
    "webhook_endpoints:write",
    body="required",
    key="optional",
    codes=("not_found", "validation_failed"),
)
_DELETE = Policy("merchant", "webhook_endpoints:write", key="optional", codes=("not_found", "validation_failed"))
_ROTATE = Policy("merchant", "webhook_endpoints:write", key="required", codes=("not_found", "validation_failed"))


@route(webhook_endpoints, "post", "/v1/webhook_endpoints", _CREATE, {201: Endpoint})
def create_endpoint(query: NoQuery, body: CreateEndpointBody) -> Response:
    """Make a webhook endpoint

    The answer holds the signing secret, for the only time.
    """
    made = endpoints.create(
        gate().core,
        caller(),
        current_key(),
        url=body.url,
        event_types=body.event_types,
        description=body.description,
    )
    return accepted(made)


@route(webhook_endpoints, "get", "/v1/webhook_endpoints", _LIST, {200: Endpoints})
def list_endpoints(query: EndpointsQuery) -> Response:
    """List webhook endpoints, newest first"""
    after = optional_id("webhook_endpoint", query.after)
    return ok(endpoints.list_endpoints(gate().core, caller().scope, query.limit, after))


@route(webhook_endpoints, "get", "/v1/webhook_endpoints/<id>", _READ, {200: Endpoint})
def get_endpoint(path: PathId, query: NoQuery) -> Response:
    """Read a webhook endpoint"""
    return ok(endpoints.get_endpoint(gate().core, caller().scope, row_id("webhook_endpoint", path.id)))


@route(webhook_endpoints, "patch", "/v1/webhook_endpoints/<id>", _UPDATE, {200: Endpoint})
def update_endpoint(path: PathId, query: NoQuery, body: UpdateEndpointBody) -> Response:
    """Change a webhook endpoint

    What is left out stays. `enabled: true` also ends a pause after too many failures.
    """
    changes = {name: getattr(body, name) for name in body.model_fields_set}
    endpoint_id = row_id("webhook_endpoint", path.id)
    return accepted(endpoints.update(gate().core, caller(), endpoint_id, changes, optional_key()))


@route(webhook_endpoints, "delete", "/v1/webhook_endpoints/<id>", _DELETE, {200: DeletedEndpoint})
def delete_endpoint(path: PathId, query: NoQuery) -> Response:
    """Delete a webhook endpoint"""
    endpoint_id = row_id("webhook_endpoint", path.id)
    return accepted(endpoints.delete(gate().core, caller(), endpoint_id, optional_key()))


@route(webhook_endpoints, "post", "/v1/webhook_endpoints/<id>/rotate_secret", _ROTATE, {200: Endpoint})
def rotate_secret(path: PathId, query: NoQuery) -> Response:
    """Make a new signing secret

    The answer holds it, for the only time. The old one signs beside it for a day.
    """
    endpoint_id = row_id("webhook_endpoint", path.id)
    return accepted(endpoints.rotate_secret(gate().core, caller(), endpoint_id, current_key()))
