"""The active route of a merchant and mode, read on the trip that accepts a payment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.persistence import pipeline
from core.persistence.tables import routes

#: To be put into a SELECT whose values name `merchant`, `mode` and `route`: the one whose definition is known already.
#: A version that has been active is never changed, so that its definition need not travel again.
COLUMNS = """r.id AS route_id, r.version AS route_version,
CASE WHEN r.id IS DISTINCT FROM CAST(%(route)s AS uuid) THEN r.definition END AS route_definition"""
JOIN = "LEFT JOIN routes r ON r.merchant_id = %(merchant)s AND r.mode = %(mode)s AND r.status = 'active'"
_KNOWN = "route"


@dataclass(frozen=True, slots=True)
class ActiveRoute:
    """`definition` is None where the reader said it was known."""

    id: UUID
    version: int
    definition: Mapping[str, Any] | None


def keep(connection: Connection, row: Mapping[str, Any]) -> None:
    """Let the rest of the transaction find what was read."""
    if row["route_id"] is not None:
        found = ActiveRoute(UUID(str(row["route_id"])), row["route_version"], row["route_definition"])
        pipeline.known(connection)[_KNOWN] = found


def known(connection: Connection) -> ActiveRoute | None:
    """None where there is no active route."""
    found: ActiveRoute | None = pipeline.known(connection).get(_KNOWN)
    return found


def definition_of(connection: Connection, route_id: UUID) -> Mapping[str, Any]:
    """On a trip of its own."""
    found: Mapping[str, Any] = connection.execute(
        sa.select(routes.c.definition).where(routes.c.id == route_id)
    ).scalar_one()
    return found
