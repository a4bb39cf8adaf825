"""What the gate shows: one row by id, and pages of rows, newest first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from core.persistence import pipeline
from core.persistence.database import Scope, present
from core.persistence.tables import customers, disputes, jobs, payment_methods, payments, refunds

_BY_TIME = (payments, refunds, disputes, customers, payment_methods)


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


def find(connection: Connection, table: sa.Table, scope: Scope, row_id: UUID) -> pipeline.Found | None:
    values = {"merchant": scope.merchant_id, "mode": scope.mode, "row_id": row_id}
    found = pipeline.fetch(connection, _find_text(table), values)
    return found[0] if found else None


@lru_cache(maxsize=64)
def _find_text(table: sa.Table) -> str:
    columns = pipeline.columns_of(table, "t")
    return (
        f"SELECT {columns} FROM {table.name} t "
        "WHERE t.merchant_id = %(merchant)s AND t.mode = %(mode)s AND t.id = %(row_id)s"
    )


def page(connection: Connection, table: sa.Table, scope: Scope, wanted: Page) -> Sequence[RowMapping]:
    """One row more than the limit, which tells whether there is a next page."""
    query = sa.select(table).where(within(table, scope)).limit(wanted.limit + 1)
    query = query.order_by(*(column.desc() for column in _order(table)))
    for column, value in wanted.equals.items():
        # A list means any of them.
        query = query.where(table.c[column].in_(value) if isinstance(value, list) else table.c[column] == value)
    if wanted.after is not None:
        query = query.where(_behind(table, wanted.after))
    if "created_at" in table.primary_key.columns:
        # Partitions stand ready for months to come; a plan that looks into none of them costs a tenth.
        query = query.where(table.c.created_at < present(connection) + timedelta(days=1))
    if wanted.created_after is not None:
        # Times are shown cut to milliseconds: the row whose time was copied from an answer is not after it.
        query = query.where(table.c.created_at >= wanted.created_after + timedelta(milliseconds=1))
    if wanted.created_before is not None:
        query = query.where(table.c.created_at < wanted.created_before)
    return connection.execute(query).mappings().all()


def _order(table: sa.Table) -> tuple[sa.Column[Any], ...]:
    """Where a window of time may be asked for, the list stands in the order of time, so that nothing is read twice."""
    return (table.c.created_at, table.c.id) if table in _BY_TIME else (table.c.id,)


def _behind(table: sa.Table, after: UUID) -> sa.ColumnElement[bool]:
    if table not in _BY_TIME:
        return table.c.id < after
    last = table.alias("last")
    place = sa.select(last.c.created_at, last.c.id).where(last.c.id == after).scalar_subquery()
    return sa.tuple_(table.c.created_at, table.c.id) < place


def payments_page(connection: Connection, scope: Scope, wanted: Page) -> Sequence[RowMapping]:
    return page(connection, payments, scope, wanted)


def refunds_page(connection: Connection, scope: Scope, wanted: Page) -> Sequence[RowMapping]:
    return page(connection, refunds, scope, wanted)


def job_status(connection: Connection, scope: Scope, job_id: UUID) -> str | None:
    query = sa.select(jobs.c.status).where(within(jobs, scope), jobs.c.id == job_id)
    return connection.execute(query).scalar_one_or_none()
