"""Administrators and what they log in with, read and changed one statement at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.engine import Connection, RowMapping

from core.persistence.tables import (
    administrator_devices,
    administrator_sessions,
    administrator_spare_codes,
    administrators,
)  # fmt: skip

_NOW = sa.func.app_now()
_SESSIONS = administrator_sessions.c
_HERE = sa.and_(administrators.c.id == _SESSIONS.administrator_id, administrators.c.disabled_at.is_(None))
#: Of a session that is not over; how long it may rest is the caller's to say.
_ALIVE = sa.and_(_SESSIONS.ended_at.is_(None), _SESSIONS.expires_at > _NOW)

_SESSION = sa.select(
    administrator_sessions,
    administrators.c.name,
    administrators.c.role,
    administrators.c.password_until,
    _NOW.label("now"),
).join(administrators, _HERE)


def insert(connection: Connection, values: Mapping[str, Any]) -> bool:
    """False when there is one of this name."""
    statement = upsert(administrators).values(**values).on_conflict_do_nothing(index_elements=["name"])
    return connection.execute(statement).rowcount == 1


def by_name(connection: Connection, name: str) -> RowMapping | None:
    return connection.execute(sa.select(administrators).where(administrators.c.name == name)).mappings().one_or_none()


def by_id(connection: Connection, number: UUID, lock: bool = False) -> RowMapping | None:
    query = sa.select(administrators).where(administrators.c.id == number)
    return connection.execute(query.with_for_update() if lock else query).mappings().one_or_none()


def listed(connection: Connection) -> Sequence[RowMapping]:
    """All, by name, each with the time of the last session that came all the way."""
    last = (
        sa.select(sa.func.max(_SESSIONS.seen_at))
        .where(_SESSIONS.administrator_id == administrators.c.id, _SESSIONS.stage == "full")
        .scalar_subquery()
    )
    query = sa.select(administrators, last.label("seen_at")).order_by(administrators.c.name)
    return connection.execute(query).mappings().all()


def names(connection: Connection) -> dict[UUID, str]:
    query = sa.select(administrators.c.id, administrators.c.name)
    return {row.id: row.name for row in connection.execute(query)}


def change(connection: Connection, number: UUID, values: Mapping[str, Any]) -> None:
    statement = administrators.update().where(administrators.c.id == number)
    connection.execute(statement.values(**values, updated_at=_NOW))


def lock_admins(connection: Connection) -> list[UUID]:
    """Those of the role admin who can log in; held, so that two people do not demote each other at once."""
    enabled = sa.and_(administrators.c.role == "admin", administrators.c.disabled_at.is_(None))
    query = sa.select(administrators.c.id).where(enabled).order_by(administrators.c.id).with_for_update()
    return list(connection.execute(query).scalars())


def take_step(connection: Connection, number: UUID, step: int) -> bool:
    """False when a code of this time step, or a later one, was taken before."""
    statement = (
        administrators.update()
        .where(administrators.c.id == number, administrators.c.code_step < step)
        .values(code_step=step)
    )
    return connection.execute(statement).rowcount == 1


def put_spare_codes(connection: Connection, rows: Sequence[Mapping[str, Any]], number: UUID) -> None:
    """In place of all before."""
    before = administrator_spare_codes.update().where(
        administrator_spare_codes.c.administrator_id == number, administrator_spare_codes.c.used_at.is_(None)
    )
    connection.execute(before.values(used_at=_NOW))
    if rows:
        connection.execute(administrator_spare_codes.insert(), list(rows))


def use_spare_code(connection: Connection, number: UUID, code_hash: bytes) -> bool:
    """True once."""
    columns = administrator_spare_codes.c
    same = sa.and_(columns.administrator_id == number, columns.code_hash == code_hash, columns.used_at.is_(None))
    return connection.execute(administrator_spare_codes.update().where(same).values(used_at=_NOW)).rowcount == 1


def count_spare_codes(connection: Connection, number: UUID) -> int:
    columns = administrator_spare_codes.c
    left = sa.and_(columns.administrator_id == number, columns.used_at.is_(None))
    return int(connection.execute(sa.select(sa.func.count()).where(left)).scalar_one())


# Sessions


def insert_session(connection: Connection, values: Mapping[str, Any]) -> None:
    connection.execute(administrator_sessions.insert().values(**values))


def find_session(connection: Connection, token_hash: bytes) -> RowMapping | None:
    """With its person's name and role; None when it is over or its person is disabled."""
    query = _SESSION.where(_SESSIONS.token_hash == token_hash, _ALIVE)
    return connection.execute(query).mappings().one_or_none()


def change_session(connection: Connection, number: UUID, values: Mapping[str, Any]) -> None:
    connection.execute(administrator_sessions.update().where(_SESSIONS.id == number).values(**values))


def count_code_failure(connection: Connection, number: UUID) -> int:
    statement = administrator_sessions.update().where(_SESSIONS.id == number)
    counted = statement.values(code_failures=_SESSIONS.code_failures + 1).returning(_SESSIONS.code_failures)
    return int(connection.execute(counted).scalar_one())


def open_sessions(connection: Connection, number: UUID) -> Sequence[RowMapping]:
    query = sa.select(administrator_sessions).where(_SESSIONS.administrator_id == number, _ALIVE)
    return connection.execute(query.order_by(_SESSIONS.created_at.desc())).mappings().all()


def end_sessions(
    connection: Connection, person: UUID, because: str, one: UUID | None = None, but: UUID | None = None
) -> list[UUID]:
    """The ids of those that were ended: all of a person's, or `one`, or all `but` one."""
    statement = administrator_sessions.update().where(
        _SESSIONS.administrator_id == person, _SESSIONS.ended_at.is_(None)
    )
    if one is not None:
        statement = statement.where(_SESSIONS.id == one)
    if but is not None:
        statement = statement.where(_SESSIONS.id != but)
    ended = statement.values(ended_at=_NOW, ended_because=because).returning(_SESSIONS.id)
    return list(connection.execute(ended).scalars())


def was_here(connection: Connection, person: UUID, address: str, since: datetime) -> bool:
    """Has this person logged in from this address since then?"""
    query = sa.select(_SESSIONS.id).where(
        _SESSIONS.administrator_id == person,
        _SESSIONS.address == address,
        _SESSIONS.stage == "full",
        _SESSIONS.created_at > since,
    )
    return connection.execute(query.limit(1)).first() is not None


# Devices


def put_device(connection: Connection, values: Mapping[str, Any]) -> None:
    connection.execute(administrator_devices.insert().values(**values))


def knows_device(connection: Connection, person: UUID, token_hash: bytes) -> bool:
    columns = administrator_devices.c
    same = sa.and_(columns.administrator_id == person, columns.token_hash == token_hash, columns.forgotten_at.is_(None))
    return connection.execute(administrator_devices.update().where(same).values(seen_at=_NOW)).rowcount == 1


def forget_devices(connection: Connection, person: UUID) -> None:
    columns = administrator_devices.c
    statement = administrator_devices.update().where(columns.administrator_id == person)
    connection.execute(statement.where(columns.forgotten_at.is_(None)).values(forgotten_at=_NOW))
