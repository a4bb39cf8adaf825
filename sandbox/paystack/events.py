"""Events to the merchant: `{"event", "data"}`, without an id of their own."""

from __future__ import annotations

from .. import ids
from ..ledger import Json
from ..world import Desk


def emit(desk: Desk, type: str, data: Json) -> None:
    """Stores and lines up an event; the id is the sandbox's, for its log, and is not sent."""
    desk.publish({"id": ids.fresh("event_", 16), "event": type, "data": data}, type)
