"""Which payment something belongs to, by our id of it or by the provider's."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.persistence.database import Scope
from core.persistence.queries.reading import within
from core.persistence.tables import (
    disputes,
    findings,
    inbox_events,
    jobs,
    payments,
    provider_accounts,
    refunds,
    transactions,
)  # fmt: skip

#: Kind of id -> the table of its rows. Events and deliveries are cut by month and lead to their payment by their page.
_TABLES: Mapping[str, sa.Table] = {
    "payment": payments,
    "transaction": transactions,
    "refund": refunds,
    "dispute": disputes,
    "job": jobs,
    "inbox_event": inbox_events,
    "finding": findings,
}


def by_row(connection: Connection, scope: Scope, kind: str, number: UUID) -> UUID | None:
    table = _TABLES.get(kind)
    if table is None:
        return None
    column = table.c.id if table is payments else table.c.payment_id
    query = sa.select(column).where(within(table, scope), table.c.id == number)
    return connection.execute(query).scalar_one_or_none()


def by_provider_id(connection: Connection, scope: Scope, text: str) -> UUID | None:
    """The newest payment for which something of this id was made at one of the merchant's accounts."""
    accounts = sa.select(provider_accounts.c.id).where(within(provider_accounts, scope))
    columns = transactions.c
    own = sa.and_(within(transactions, scope), columns.provider_account_id.in_(accounts))
    for column in (columns.provider_id, columns.provider_charge_id):
        query = sa.select(columns.payment_id).where(own, column == text).order_by(columns.id.desc()).limit(1)
        found: UUID | None = connection.execute(query).scalar_one_or_none()
        if found is not None:
            return found
    return None
