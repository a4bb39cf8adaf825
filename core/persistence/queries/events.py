"""Writing events in the commit of what they tell, and finding who wants them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.domain.identifiers import new_id
from core.persistence import pipeline
from core.persistence.database import Scope, present
from core.persistence.queries import opening
from core.persistence.tables import events, webhook_endpoints

#: Read in the statement itself, so that nobody has to know the row as it is now.
_SEQUENCE = "(SELECT event_sequence FROM payments WHERE id = %(payment_id)s)"


def insert_event(connection: Connection, scope: Scope, kind: str, payment_id: UUID, data: Mapping[str, Any]) -> UUID:
    """The event gets the payment's present `event_sequence`: whoever tells of something has counted it up before."""
    event_id = new_id()
    values = {
        "id": event_id,
        "merchant_id": scope.merchant_id,
        "mode": scope.mode,
        "type": kind,
        "payment_id": payment_id,
        "data": data,
        "created_at": present(connection),
    }
    pipeline.insert(connection, events, values, sequence=_SEQUENCE)
    return event_id


def endpoints_for(connection: Connection, scope: Scope, kind: str) -> Sequence[UUID]:
    """Enabled endpoints of the merchant that asked for this kind of event, or for all."""
    known = opening.known_endpoints(connection)
    if known is not None:
        return [endpoint for endpoint, kinds in known if kind in kinds or "*" in kinds]
    query = sa.select(webhook_endpoints.c.id).where(
        webhook_endpoints.c.merchant_id == scope.merchant_id,
        webhook_endpoints.c.mode == scope.mode,
        webhook_endpoints.c.enabled,
        webhook_endpoints.c.deleted_at.is_(None),
        webhook_endpoints.c.event_types.overlap([kind, "*"]),
    )
    return connection.execute(query).scalars().all()
