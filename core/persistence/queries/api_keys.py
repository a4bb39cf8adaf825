"""API keys: found before a merchant is known, made and revoked by the owner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from core.persistence import pipeline
from core.persistence.database import Scope
from core.persistence.tables import api_keys

_FIND = "SELECT * FROM find_api_key(%(key_id)s)"

_SHOWN = (
    api_keys.c.id, api_keys.c.kind, api_keys.c.merchant_id, api_keys.c.mode, api_keys.c.name, api_keys.c.prefix,
    api_keys.c.scopes, api_keys.c.created_at, api_keys.c.expires_at, api_keys.c.revoked_at, api_keys.c.last_used_at,
)  # fmt: skip


def find(connection: Connection, key_id: str) -> pipeline.Found | None:
    """Through the one door that works before a merchant is set."""
    found = pipeline.fetch(connection, _FIND, {"key_id": key_id})
    return found[0] if found else None


def insert(connection: Connection, values: Mapping[str, Any]) -> None:
    connection.execute(api_keys.insert().values(**values))


def revoke(connection: Connection, key_id: str) -> bool:
    """False when there is no such key; revoking twice keeps the first time."""
    statement = (
        api_keys.update()
        .where(api_keys.c.id == key_id)
        .values(revoked_at=sa.func.coalesce(api_keys.c.revoked_at, sa.func.app_now()))
    )
    return connection.execute(statement).rowcount == 1


def listed(connection: Connection, scope: Scope | None = None) -> Sequence[RowMapping]:
    """Never with the hash. All keys the connection may see, or those of one merchant and mode."""
    query = sa.select(*_SHOWN).order_by(api_keys.c.created_at, api_keys.c.id)
    if scope is not None:
        query = query.where(api_keys.c.merchant_id == scope.merchant_id, api_keys.c.mode == scope.mode)
    return connection.execute(query).mappings().all()
