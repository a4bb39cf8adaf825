"""Merchants as administrators keep them: made, renamed, shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.audit import log
from core.domain.card_numbers import holds_card_number
from core.domain.errors import FieldError, RequestRefused
from core.domain.identifiers import new_id, public_id
from core.domain.representations import timestamp
from core.orchestration.context import Core
from core.orchestration.key_grants import Granter
from core.orchestration.reading import missing
from core.persistence.tables import merchants

LONGEST_NAME = 200
Row = Mapping[Any, Any]


def shown(row: Row) -> dict[str, Any]:
    return {"id": public_id("merchant", row["id"]), "name": row["name"], "created_at": timestamp(row["created_at"])}


def show(core: Core, merchant_id: UUID) -> dict[str, Any]:
    """Raises NotFoundError."""
    with core.database.unscoped() as connection:
        return shown(_find(connection, merchant_id))


def create(core: Core, name: str, by: Granter) -> dict[str, Any]:
    """A tenant, without keys and provider accounts yet. Raises RequestRefused."""
    _check_name(name)
    merchant_id = new_id()
    with core.transaction(log.EVERYBODY) as connection:
        connection.execute(merchants.insert().inline().values(id=merchant_id, name=name))
        _record(connection, merchant_id, "created", by, after={"name": name})
        return shown(_find(connection, merchant_id))


def rename(core: Core, merchant_id: UUID, name: str, by: Granter) -> dict[str, Any]:
    """Raises NotFoundError, RequestRefused."""
    _check_name(name)
    with core.transaction(log.EVERYBODY) as connection:
        row = _find(connection, merchant_id)
        if row["name"] != name:
            connection.execute(merchants.update().where(merchants.c.id == merchant_id).values(name=name))
            _record(connection, merchant_id, "renamed", by, before={"name": row["name"]}, after={"name": name})
        return shown(_find(connection, merchant_id))


def _check_name(name: str) -> None:
    if not name.strip() or len(name) > LONGEST_NAME or not name.isprintable() or holds_card_number(name):
        message = f"must be one line of 1 to {LONGEST_NAME} characters"
        raise RequestRefused("the name cannot be taken", errors=[FieldError("name", message)])


def _find(connection: Connection, merchant_id: UUID) -> Row:
    row = connection.execute(sa.select(merchants).where(merchants.c.id == merchant_id)).mappings().one_or_none()
    if row is None:
        raise missing("merchant")
    return row


def _record(
    connection: Connection,
    merchant_id: UUID,
    verb: str,
    by: Granter,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Of the installation, not of one of the merchant's modes."""
    log.record(
        connection,
        scope=log.EVERYBODY,
        actor=by.actor,
        action=f"merchant.{verb}",
        subject_kind="merchant",
        subject_id=merchant_id,
        cause="person",
        request_id=by.request_id,
        from_address=by.from_address,
        before=before,
        after=after,
        details={"reason": by.reason} if by.reason else {},
    )
