"""Rows of what we tell merchants: endpoints, events and the attempts to deliver them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from core.domain.identifiers import new_id
from core.persistence.database import Scope
from core.persistence.queries.reading import Page, page, within
from core.persistence.tables import deliveries, events, jobs, webhook_endpoints


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


def find_event(connection: Connection, scope: Scope, event_id: UUID, created_at: datetime | None) -> RowMapping | None:
    """`created_at`, where it is known, leads to the one partition that can hold the row."""
    query = sa.select(events).where(within(events, scope), events.c.id == event_id)
    if created_at is not None:
        query = query.where(events.c.created_at == created_at)
    return connection.execute(query).mappings().one_or_none()


def attempt_number(connection: Connection, job_id: UUID) -> int:
    """Which attempt this run is: claims, without those whose worker died before it could say what came of it."""
    query = sa.select(jobs.c.attempts - jobs.c.lease_losses).where(jobs.c.id == job_id)
    return max(1, int(connection.execute(query).scalar_one()))


def insert_delivery(connection: Connection, scope: Scope, values: Mapping[str, Any]) -> None:
    filled = {"id": new_id(), "merchant_id": scope.merchant_id, "mode": scope.mode, **values}
    connection.execute(deliveries.insert().values(**filled))


def deliveries_of(connection: Connection, scope: Scope, event_id: UUID) -> Sequence[RowMapping]:
    """Every attempt, in order."""
    query = (
        sa.select(deliveries)
        .where(within(deliveries, scope), deliveries.c.event_id == event_id)
        .order_by(deliveries.c.id)
        .limit(1000)
    )
    return connection.execute(query).mappings().all()
