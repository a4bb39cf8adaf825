"""Writing events in the commit of what they tell, and finding who wants them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.domain.identifiers import new_id
from core.persistence.database import Scope, present
from core.persistence.tables import events, webhook_endpoints


def insert_event(
    connection: Connection, scope: Scope, kind: str, payment_id: UUID, sequence: int, data: Mapping[str, Any]
) -> UUID:
    """`sequence` counts the events of one payment from 1, so that a merchant can put them in order."""
    event_id = new_id()
    connection.execute(
        events.insert().values(
            id=event_id,
            merchant_id=scope.merchant_id,
            mode=scope.mode,
            type=kind,
            payment_id=payment_id,
            sequence=sequence,
            data=dict(data),
            created_at=present(connection),
        )
    )
    return event_id


def endpoints_for(connection: Connection, scope: Scope, kind: str) -> Sequence[UUID]:
    """Enabled endpoints of the merchant that asked for this kind of event, or for all."""
    query = sa.select(webhook_endpoints.c.id).where(
        webhook_endpoints.c.merchant_id == scope.merchant_id,
        webhook_endpoints.c.mode == scope.mode,
        webhook_endpoints.c.enabled,
        webhook_endpoints.c.deleted_at.is_(None),
        webhook_endpoints.c.event_types.overlap([kind, "*"]),
    )
    return connection.execute(query).scalars().all()
