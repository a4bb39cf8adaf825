"""API keys, administrators and sessions that an older copy of the database still holds open."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from core.persistence import pipeline
from core.persistence.tables import administrator_sessions, administrators, api_keys

#: Who ended which key and disabled or enabled whom; the records of a stretch of numbers, oldest first.
_TOLD = (
    "SELECT number, action, subject_id, details ->> 'key' AS key, after ->> 'expires_at' AS ends, created_at "
    "FROM audit_log WHERE number > %(low)s AND number <= %(high)s AND action IN ('api_key.revoked', "
    "'api_key.rotated', 'api_key.expired', 'administrator.disabled', 'administrator.enabled') ORDER BY number"
)
_MAY = sa.text(
    "SELECT has_table_privilege('api_keys', 'UPDATE') AS keys, has_table_privilege('administrators', 'UPDATE') "
    "AND has_table_privilege('administrator_sessions', 'UPDATE') AS people"
)
_PAUSED_AT = sa.text("SELECT paused_at FROM installation")
#: Nothing is since then where it is not paused.
_SINCE = sa.text("(SELECT paused_at FROM installation)")
_GOOD = sa.text(
    "SELECT count(*) FILTER (WHERE kind = 'admin') AS admin_keys, count(*) FILTER (WHERE kind <> 'admin') "
    "AS merchant_keys, (SELECT count(*) FROM administrators WHERE disabled_at IS NULL) AS administrators "
    "FROM api_keys WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > app_now())"
)


def told(connection: Connection, low: int, high: int) -> Sequence[Mapping[str, Any]]:
    """Records numbered above `low` and up to `high`, of all merchants: a worker's or the owner's."""
    return pipeline.fetch(connection, _TOLD, {"low": low, "high": high})


def may_end(connection: Connection) -> Mapping[str, bool]:
    """What this login may end: `keys`, `people` and their sessions."""
    return dict(connection.execute(_MAY).mappings().one())


def is_paused(connection: Connection) -> bool:
    return connection.execute(_PAUSED_AT).scalar_one() is not None


def count_good(connection: Connection) -> dict[str, int]:
    """What opens at this moment: keys of administrators and of merchants, and people. The owner's."""
    return dict(connection.execute(_GOOD).mappings().one())


def open_keys(connection: Connection, key_ids: Iterable[str]) -> Sequence[RowMapping]:
    """Those of the keys that were not revoked here, locked; without their hashes. The owner's."""
    columns = api_keys.c
    query = sa.select(
        columns.id, columns.kind, columns.merchant_id, columns.mode, columns.name, columns.expires_at,
        columns.revoked_at,
    ).where(columns.id.in_(list(key_ids)), columns.revoked_at.is_(None))  # fmt: skip
    return connection.execute(query.order_by(columns.id).with_for_update()).mappings().all()


def enabled(connection: Connection, people: Iterable[UUID]) -> Sequence[RowMapping]:
    """(id, name) of those who can log in here, locked."""
    columns = administrators.c
    query = sa.select(columns.id, columns.name).where(columns.id.in_(list(people)), columns.disabled_at.is_(None))
    return connection.execute(query.order_by(columns.id).with_for_update()).mappings().all()


def keys_ended(connection: Connection, key_ids: Iterable[str]) -> Sequence[RowMapping]:
    """(id, kind, merchant_id, name) of those that were ended here since the installation was paused. The owner's."""
    columns = api_keys.c
    since = sa.or_(columns.revoked_at >= _SINCE, sa.and_(columns.revoked_at.is_(None), columns.ended_by == "system"))
    query = sa.select(columns.id, columns.kind, columns.merchant_id, columns.name)
    return connection.execute(query.where(columns.id.in_(list(key_ids)), since).order_by(columns.id)).mappings().all()


def disabled(connection: Connection, people: Iterable[UUID]) -> Sequence[str]:
    """The names of those who were disabled since the installation was paused."""
    columns = administrators.c
    query = sa.select(columns.name).where(columns.id.in_(list(people)), columns.disabled_at >= _SINCE)
    return connection.execute(query.order_by(columns.name)).scalars().all()


def end_sessions(connection: Connection, because: str, *, of_before: bool) -> dict[UUID, list[UUID]]:
    """By person those that were ended: all, or with `of_before` those from before the installation was paused."""
    columns = administrator_sessions.c
    statement = administrator_sessions.update().where(columns.ended_at.is_(None))
    if of_before:
        statement = statement.where(columns.created_at < _SINCE)
    ended = statement.values(ended_at=sa.func.app_now(), ended_because=because)
    found: dict[UUID, list[UUID]] = {}
    for row in connection.execute(ended.returning(columns.id, columns.administrator_id)):
        found.setdefault(row.administrator_id, []).append(row.id)
    return found
