"""API keys: found before a merchant is known; made and ended through doors, or by the owner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from core.persistence import pipeline
from core.persistence.database import Scope
from core.persistence.tables import api_keys

Row = Mapping[Any, Any]

_FIND = "SELECT * FROM find_api_key(%(key_id)s)"
_NOTE = sa.text("SELECT note_api_key_use(:key_id)")
_ISSUE = sa.text(
    "SELECT issue_api_key(:asker, :id, :kind, :merchant_id, :mode, :name, :prefix, :secret_hash, "
    "CAST(:scopes AS text[]), :expires_at, :replaces, :lifetime_seconds)"
)
_HOLD = sa.text("SELECT * FROM hold_api_key(:key_id)")
_END = sa.text("SELECT end_api_key(:asker, :key_id, :revoked, :ends_at)")
_ADMIN = sa.text("SELECT * FROM list_admin_keys()")

_SHOWN = (
    api_keys.c.id, api_keys.c.kind, api_keys.c.merchant_id, api_keys.c.mode, api_keys.c.name, api_keys.c.prefix,
    api_keys.c.scopes, api_keys.c.created_at, api_keys.c.expires_at, api_keys.c.revoked_at, api_keys.c.last_used_at,
    api_keys.c.created_by, api_keys.c.replaces, api_keys.c.ended_by, api_keys.c.lifetime_seconds,
)  # fmt: skip


def find(connection: Connection, key_id: str) -> pipeline.Found | None:
    """Through the one door that works before a merchant is set. It only reads."""
    found = pipeline.fetch(connection, _FIND, {"key_id": key_id})
    return found[0] if found else None


def note_use(connection: Connection, key_id: str) -> None:
    connection.execute(_NOTE, {"key_id": key_id})


def issue(connection: Connection, asker: str, values: Mapping[str, Any]) -> None:
    """Refused by the database where `asker` may not grant that much, or for keys of another transaction."""
    connection.execute(_ISSUE, {**values, "asker": asker})


def insert(connection: Connection, values: Mapping[str, Any]) -> None:
    """The owner's way."""
    connection.execute(api_keys.insert().values(**values))


def hold(connection: Connection, key_id: str) -> Row | None:
    """Lock one key of those the transaction is about; None for another's."""
    return connection.execute(_HOLD, {"key_id": key_id}).mappings().one_or_none()


def end(connection: Connection, asker: str, key_id: str, *, revoked: bool, ends_at: datetime | None = None) -> None:
    """Revoke it, or have it end at a time; an earlier end stays."""
    connection.execute(_END, {"asker": asker, "key_id": key_id, "revoked": revoked, "ends_at": ends_at})


def end_as_owner(
    connection: Connection, asker: str, key_id: str, *, revoked: bool, ends_at: datetime | None = None
) -> None:
    """The same for the owner, whom the doors do not know."""
    given: dict[str, Any] = {"ended_by": sa.func.coalesce(api_keys.c.ended_by, asker)}
    if revoked:
        given["revoked_at"] = sa.func.coalesce(api_keys.c.revoked_at, sa.func.app_now())
    if ends_at is not None:
        given["expires_at"] = sa.func.least(api_keys.c.expires_at, ends_at)
    connection.execute(api_keys.update().where(api_keys.c.id == key_id).values(**given))


def home(connection: Connection, key_id: str) -> Row | None:
    """Whose a key is, for the owner, who is held to no merchant."""
    query = sa.select(api_keys.c.kind, api_keys.c.merchant_id, api_keys.c.mode).where(api_keys.c.id == key_id)
    return connection.execute(query).mappings().one_or_none()


def whole(connection: Connection, key_id: str) -> Row | None:
    """With its hash, for the owner."""
    return connection.execute(sa.select(api_keys).where(api_keys.c.id == key_id)).mappings().one_or_none()


def fellows(connection: Connection, key: Row) -> Sequence[RowMapping]:
    """All keys of the same merchant and mode, or of administrators."""
    return (
        admin_keys(connection) if key["kind"] == "admin" else listed(connection, Scope(key["merchant_id"], key["mode"]))
    )


def listed(connection: Connection, scope: Scope | None = None) -> Sequence[RowMapping]:
    """Never with the hash. All keys the connection may see, or those of one merchant and mode."""
    query = sa.select(*_SHOWN).order_by(api_keys.c.created_at, api_keys.c.id)
    if scope is not None:
        query = query.where(api_keys.c.merchant_id == scope.merchant_id, api_keys.c.mode == scope.mode)
    return connection.execute(query).mappings().all()


def admin_keys(connection: Connection) -> Sequence[RowMapping]:
    """Those of administrators, which no merchant's transaction shows; never with the hash."""
    return connection.execute(_ADMIN).mappings().all()
