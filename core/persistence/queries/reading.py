"""What the gate shows: one row by id, and pages of rows by descending id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from core.persistence.database import Scope
from core.persistence.tables import jobs, payments, refunds


@dataclass(frozen=True, slots=True)
class Page:
    """`after` is the last id seen; rows come newest first. `equals` holds column -> wanted value."""

    limit: int
    after: UUID | None
    equals: Mapping[str, Any]
    created_after: datetime | None = None
    created_before: datetime | None = None


def within(table: sa.Table, scope: Scope) -> sa.ColumnElement[bool]:
    """The first wall; row-level security is the second."""
    return sa.and_(table.c.merchant_id == scope.merchant_id, table.c.mode == scope.mode)


def find(connection: Connection, table: sa.Table, scope: Scope, row_id: UUID) -> RowMapping | None:
    query = sa.select(table).where(within(table, scope), table.c.id == row_id)
    return connection.execute(query).mappings().one_or_none()


def page(connection: Connection, table: sa.Table, scope: Scope, wanted: Page) -> Sequence[RowMapping]:
    """One row more than the limit, which tells whether there is a next page."""
    query = sa.select(table).where(within(table, scope)).order_by(table.c.id.desc()).limit(wanted.limit + 1)
    for column, value in wanted.equals.items():
        query = query.where(table.c[column] == value)
    if wanted.after is not None:
        query = query.where(table.c.id < wanted.after)
    if wanted.created_after is not None:
        # Times are shown cut to milliseconds: the row whose time was copied from an answer is not after it.
        query = query.where(table.c.created_at >= wanted.created_after + timedelta(milliseconds=1))
    if wanted.created_before is not None:
        query = query.where(table.c.created_at < wanted.created_before)
    return connection.execute(query).mappings().all()


def payments_page(connection: Connection, scope: Scope, wanted: Page) -> Sequence[RowMapping]:
    return page(connection, payments, scope, wanted)


def refunds_page(connection: Connection, scope: Scope, wanted: Page) -> Sequence[RowMapping]:
    return page(connection, refunds, scope, wanted)


def job_status(connection: Connection, scope: Scope, job_id: UUID) -> str | None:
    query = sa.select(jobs.c.status).where(within(jobs, scope), jobs.c.id == job_id)
    return connection.execute(query).scalar_one_or_none()
