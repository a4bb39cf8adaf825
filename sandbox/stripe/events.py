"""Events: made with a snapshot of their object, listed, and sent to the account's webhook address."""

from __future__ import annotations

from .. import ids
from ..http import Call
from ..ledger import Json
from ..world import Desk
from . import lists, params
from .errors import StripeError, missing
from .objects import is_live, public, shown

# docs.stripe.com/api/events: events are kept for 30 days.
KEPT_FOR = 30 * 86400
DEFAULT_VERSION = "2026-10-28.endive"


def emit(desk: Desk, type: str, body: Json, previous: Json | None = None) -> None:
    """Stores `type` with the object as it is now."""
    data: Json = {"object": shown(desk, body)}
    if previous is not None:
        data["previous_attributes"] = previous
    event = {
        "id": ids.fresh("evt_3"),
        "object": "event",
        "api_version": desk.account.options.get("api_version", DEFAULT_VERSION),
        "created": desk.now,
        "data": data,
        "livemode": is_live(desk),
        "pending_webhooks": 1 if desk.account.webhook_url else 0,
        "request": {"id": desk.request_id, "idempotency_key": desk.idempotency_key},
        "type": type,
    }
    desk.publish(event, type)


def retrieve(call: Call) -> Json:
    event = call.desk.get("event", call.args[0])
    if event is None or event["created"] < call.desk.now - KEPT_FOR:
        raise missing("event", call.args[0], "id")
    return public(event)


def list_events(call: Call) -> Json:
    given = params.read(
        call.params, {**params.LIST, "type": params.text, "types": params.texts, "delivery_success": params.boolean}
    )
    types = given.get("types") or ([given["type"]] if given.get("type") else [])
    if given.get("types") and given.get("type"):
        raise StripeError(400, "You may pass `type` or `types`, but not both.", param="types")
    if len(types) > 20:
        raise StripeError(400, "You may pass at most 20 types.", param="types")
    where, values = "AND created >= ?", [call.desk.now - KEPT_FOR]
    plain = types if types and not any("*" in name for name in types) else None
    if types and plain is None:
        where += f" AND ({' OR '.join(['parent GLOB ?'] * len(types))})"
        values += types
    if "delivery_success" in given:
        failing = "EXISTS (SELECT 1 FROM deliveries WHERE event = records.id AND NOT delivered)"
        where += " AND NOT " + failing if given["delivery_success"] else " AND " + failing
    return lists.page(call, "event", given, where, tuple(values), parents=plain)
