"""Events: what a merchant was told, or should have been; sent again on demand."""

from __future__ import annotations

from flask import Response

from api.answers import about_payment, accepted, ok, optional_id, row_id
from api.idempotency_key import current_key
from api.policy import Policy
from api.routing import room, route
from api.schemas.events import Events, EventWithDeliveries, Redelivery
from api.schemas.parameters import EventsQuery, NoQuery, PathId
from api.state import caller, gate
from core.orchestration import merchant_events

events = room("events", __name__, "What merchants are told.")

_LIST = Policy("merchant", "events:read", codes=("validation_failed",))
_READ = Policy("merchant", "events:read", codes=("not_found", "validation_failed"))
_REDELIVER = Policy("merchant", "events:write", key="required", codes=("not_found", "no_endpoint", "validation_failed"))


@route(events, "get", "/v1/events", _LIST, {200: Events})
def list_events(query: EventsQuery) -> Response:
    """List events, newest first"""
    found = merchant_events.list_events(
        gate().core,
        caller().scope,
        query.limit,
        optional_id("event", query.after),
        kind=query.type,
        payment_id=optional_id("payment", query.payment),
    )
    return ok(found)


@route(events, "get", "/v1/events/<id>", _READ, {200: EventWithDeliveries})
def get_event(path: PathId, query: NoQuery) -> Response:
    """Read an event and every attempt to deliver it"""
    return about_payment(merchant_events.get_event(gate().core, caller().scope, row_id("event", path.id)))


@route(events, "post", "/v1/events/<id>/redeliver", _REDELIVER, {202: Redelivery})
def redeliver(path: PathId, query: NoQuery) -> Response:
    """Send an event again to every endpoint that asked for its kind"""
    event_id = row_id("event", path.id)
    return accepted(merchant_events.redeliver(gate().core, caller(), event_id, current_key()))
