"""Rows of what we tell merchants: endpoints, events and the attempts to deliver them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from core.domain.identifiers import new_id, time_of
from core.persistence import pipeline
from core.persistence.database import Scope, keep_present, present
from core.persistence.queries.reading import Page, page, within
from core.persistence.tables import deliveries, events, webhook_endpoints

#: Nobody counts on clocks that agree better than this.
_SLACK = timedelta(days=2)


def insert_endpoint(connection: Connection, scope: Scope, values: Mapping[str, Any]) -> RowMapping:
    filled = {"merchant_id": scope.merchant_id, "mode": scope.mode, **values}
    statement = webhook_endpoints.insert().values(**filled).returning(webhook_endpoints)
    return connection.execute(statement).mappings().one()


def update_endpoint(connection: Connection, endpoint_id: UUID, values: Mapping[str, Any]) -> RowMapping:
    statement = (
        webhook_endpoints.update()
        .where(webhook_endpoints.c.id == endpoint_id)
        .values(**values, updated_at=sa.func.app_now())
        .returning(webhook_endpoints)
    )
    return connection.execute(statement).mappings().one()


def find_endpoint(connection: Connection, scope: Scope, endpoint_id: UUID, lock: bool = False) -> RowMapping | None:
    """One that is not deleted."""
    table = webhook_endpoints
    query = sa.select(table).where(within(table, scope), table.c.id == endpoint_id, table.c.deleted_at.is_(None))
    return connection.execute(query.with_for_update() if lock else query).mappings().one_or_none()


def endpoints_page(connection: Connection, scope: Scope, limit: int, after: UUID | None) -> Sequence[RowMapping]:
    """One more than the limit, newest first."""
    return page(connection, webhook_endpoints, scope, Page(limit, after, {"deleted_at": None}))


def find_event(connection: Connection, scope: Scope, event_id: UUID) -> RowMapping | None:
    """The id's own time leads to the partition."""
    query = sa.select(events).where(within(events, scope), events.c.id == event_id)
    made_at = time_of(event_id)
    near = query.where(events.c.created_at >= made_at - _SLACK, events.c.created_at < made_at + _SLACK)
    # Where the database's clock was moved, the two times differ.
    return connection.execute(near).mappings().one_or_none() or connection.execute(query).mappings().one_or_none()


_PARCEL = (
    "SELECT (SELECT app_now()) AS now, j.attempts + 1 AS attempt, "
    f"{pipeline.columns_of(webhook_endpoints, 'w')}, {pipeline.columns_of(events, 'e')} FROM jobs j "
    "LEFT JOIN webhook_endpoints w ON w.id = j.endpoint_id AND w.deleted_at IS NULL "
    "AND w.merchant_id = %(merchant)s AND w.mode = %(mode)s "
    "LEFT JOIN events e ON e.id = j.target_id AND e.created_at = %(created_at)s "
    "AND e.merchant_id = %(merchant)s AND e.mode = %(mode)s WHERE j.id = %(job)s"
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What one attempt needs: `attempt` counts claims, without those whose worker died before it could say anything."""

    attempt: int
    endpoint: pipeline.Found | None
    event: pipeline.Found | None


def find_wanted(connection: Connection, scope: Scope, job_id: UUID, created_at: datetime) -> Wanted:
    """`created_at` is the event's and leads to the one partition that can hold it."""
    values = {"merchant": scope.merchant_id, "mode": scope.mode, "job": job_id, "created_at": created_at}
    _, rows = pipeline.fetch_tuples(connection, _PARCEL, values)
    now, attempt, *both = rows[0]
    keep_present(connection, now)
    endpoint, event = pipeline.split(both, webhook_endpoints, events)
    return Wanted(max(1, attempt), endpoint if endpoint["id"] else None, event if event["id"] else None)


def insert_delivery(connection: Connection, scope: Scope, values: Mapping[str, Any]) -> None:
    filled = {"id": new_id(), "merchant_id": scope.merchant_id, "mode": scope.mode, **values}
    pipeline.insert(connection, deliveries, filled)


def deliveries_of(connection: Connection, scope: Scope, event_id: UUID, since: datetime) -> Sequence[RowMapping]:
    """Every attempt, in order. `since` is the event's own time."""
    until = present(connection) + _SLACK
    query = (
        sa.select(deliveries)
        .where(within(deliveries, scope), deliveries.c.event_id == event_id)
        .where(deliveries.c.created_at >= since - _SLACK, deliveries.c.created_at < until)
        .order_by(deliveries.c.id)
        .limit(1000)
    )
    return connection.execute(query).mappings().all()
