"""What an administrator may read: merchants, and one merchant's jobs and payments of one mode."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from core.domain import representations
from core.domain.identifiers import public_id
from core.domain.representations import timestamp
from core.orchestration.context import Core
from core.orchestration.reading import Filters, listing, missing
from core.persistence.database import Scope
from core.persistence.queries.reading import Page, find, page, payments_page
from core.persistence.tables import jobs, merchants, payments

Row = Mapping[Any, Any]


def list_merchants(core: Core, limit: int, after: UUID | None) -> dict[str, Any]:
    """Newest first."""
    query = sa.select(merchants).order_by(merchants.c.id.desc()).limit(limit + 1)
    if after is not None:
        query = query.where(merchants.c.id < after)
    with core.database.unscoped() as connection:
        return listing(connection.execute(query).mappings().all(), limit, "merchant", _merchant)


def require_merchant(core: Core, merchant_id: UUID) -> None:
    """Raises NotFoundError."""
    with core.database.unscoped() as connection:
        found = connection.execute(sa.select(merchants.c.id).where(merchants.c.id == merchant_id)).first()
    if found is None:
        raise missing("merchant")


def merchant_name(core: Core, merchant_id: UUID) -> str:
    """Raises NotFoundError."""
    with core.database.unscoped() as connection:
        found = connection.execute(
            sa.select(merchants.c.name).where(merchants.c.id == merchant_id)
        ).scalar_one_or_none()
    if found is None:
        raise missing("merchant")
    return str(found)


def list_jobs(core: Core, scope: Scope, limit: int, after: UUID | None, status: str | None) -> dict[str, Any]:
    with core.database.scoped(scope) as connection:
        found = page(connection, jobs, scope, _page(limit, after, status))
        return listing(found, limit, "job", representations.job)


def list_payments(core: Core, scope: Scope, filters: Filters) -> dict[str, Any]:
    """Without where the customer has to go: whoever has that can pay."""
    with core.database.scoped(scope) as connection:
        found = payments_page(connection, scope, filters.page())
        return listing(found, filters.limit, "payment", representations.event_payment)


def get_payment(core: Core, scope: Scope, payment_id: UUID) -> dict[str, Any]:
    """The same for one. Raises NotFoundError."""
    with core.database.glance(scope) as connection:
        row = find(connection, payments, scope, payment_id)
    if row is None:
        raise missing("payment")
    return representations.event_payment(row)


def _page(limit: int, after: UUID | None, status: str | None) -> Page:
    return Page(limit, after, {} if status is None else {"status": status})


def _merchant(row: Row) -> dict[str, Any]:
    return {"id": public_id("merchant", row["id"]), "name": row["name"], "created_at": timestamp(row["created_at"])}
