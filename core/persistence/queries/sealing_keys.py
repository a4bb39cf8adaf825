"""Rows about sealing keys: the check values of their versions, and the walks that bring rows from one to the next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from core.persistence.tables import customers, data_keys, key_rotations, payment_methods, sealing_keys

#: Of installation_keys the code has no table: the vault reads them by itself.
_OWN = sa.table("installation_keys", sa.column("id", sa.Uuid), sa.column("kek_version"), sa.column("wrapped"))
_NONE = UUID(int=0)

#: Tables by the kind of key that they hang on, in the order in which they are walked.
SUBJECTS: Mapping[str, tuple[str, ...]] = {
    "kek": ("installation_keys", "data_keys"),
    "index": ("customers", "payment_methods"),
}
_TABLES: Mapping[str, Any] = {
    "installation_keys": _OWN, "data_keys": data_keys, "customers": customers, "payment_methods": payment_methods,
}  # fmt: skip


def _version(subject: str) -> Any:
    table = _TABLES[subject]
    return table.c.kek_version if subject in SUBJECTS["kek"] else table.c.index_key_version


def known(connection: Connection) -> Sequence[RowMapping]:
    """Every version that was ever used."""
    query = sa.select(sealing_keys).order_by(sealing_keys.c.kind, sealing_keys.c.version)
    return connection.execute(query).mappings().all()


def note(connection: Connection, kind: str, version: int, check_value: bytes) -> None:
    """Whoever is first writes it; it never changes."""
    made = sa.dialects.postgresql.insert(sealing_keys).values(kind=kind, version=version, check_value=check_value)
    connection.execute(made.on_conflict_do_nothing())


def retire(connection: Connection, kind: str, current: int) -> None:
    """All versions before the current one: no row is to be written under them any more."""
    table = sealing_keys
    older = table.update().where(table.c.kind == kind, table.c.version < current, table.c.retired_at.is_(None))
    connection.execute(older.values(retired_at=sa.func.app_now()))


def forget(connection: Connection, kind: str, version: int) -> None:
    """One that is not retired, since it was never current: else every start would miss it."""
    table = sealing_keys
    unused = table.delete().where(table.c.kind == kind, table.c.version == version, table.c.retired_at.is_(None))
    connection.execute(unused)


def an_example(connection: Connection, kind: str, version: int) -> RowMapping | None:
    """A row that the version of a key can be tried on; what a worker or the owner may see."""
    if kind == "kek":
        query = sa.select(data_keys).where(data_keys.c.kek_version == version)
    else:
        columns = customers.c
        query = (
            sa.select(customers).where(columns.index_key_version == version, columns.email_index.is_not(None)).limit(1)
        )
    return connection.execute(query.limit(1)).mappings().one_or_none()


def counts(connection: Connection) -> dict[str, dict[int, int]]:
    """{table: {version: rows}}, of all merchants."""
    found: dict[str, dict[int, int]] = {}
    for subject in _TABLES:
        version = _version(subject)
        rows = connection.execute(sa.select(version, sa.func.count()).group_by(version))
        found[subject] = {int(number): int(count) for number, count in rows}
    return found


def left(connection: Connection, kind: str, version: int) -> int:
    """Rows that are under another version than this one."""
    return sum(
        connection.execute(
            sa.select(sa.func.count()).select_from(_TABLES[subject]).where(_version(subject) != version)
        ).scalar_one()
        for subject in SUBJECTS[kind]
    )


def is_left(connection: Connection, kind: str, version: int) -> bool:
    """Is there one? Asked again and again, so it ends with the first."""
    return any(
        connection.execute(
            sa.select(sa.select(_version(subject)).where(_version(subject) != version).exists())
        ).scalar_one()
        for subject in SUBJECTS[kind]
    )


def running(connection: Connection, kind: str) -> RowMapping | None:
    query = sa.select(key_rotations).where(key_rotations.c.kind == kind, key_rotations.c.status == "running")
    return connection.execute(query).mappings().one_or_none()


def all_running(connection: Connection) -> Sequence[RowMapping]:
    query = sa.select(key_rotations).where(key_rotations.c.status == "running").order_by(key_rotations.c.id)
    return connection.execute(query).mappings().all()


def find(connection: Connection, rotation_id: UUID) -> RowMapping:
    return connection.execute(sa.select(key_rotations).where(key_rotations.c.id == rotation_id)).mappings().one()


def newest(connection: Connection, limit: int = 20) -> Sequence[RowMapping]:
    return (
        connection.execute(sa.select(key_rotations).order_by(key_rotations.c.id.desc()).limit(limit)).mappings().all()
    )


def begin(connection: Connection, values: Mapping[str, Any]) -> None:
    connection.execute(key_rotations.insert().values(status="running", walked_to=_NONE, done=0, **values))


def lock(connection: Connection, rotation_id: UUID) -> RowMapping | None:
    """None while another process walks it: one is enough."""
    query = sa.select(key_rotations).where(key_rotations.c.id == rotation_id, key_rotations.c.status == "running")
    return connection.execute(query.with_for_update(skip_locked=True)).mappings().one_or_none()


def keep(connection: Connection, rotation_id: UUID, values: Mapping[str, Any]) -> None:
    statement = key_rotations.update().where(key_rotations.c.id == rotation_id)
    connection.execute(statement.values(**values, updated_at=sa.func.app_now()))


def next_rows(connection: Connection, subject: str, version: int, after: UUID, limit: int) -> Sequence[RowMapping]:
    """Those not under this version yet, locked, in the order of their ids."""
    table = _TABLES[subject]
    query = (
        sa.select(table)
        .where(table.c.id > after, _version(subject) != version)
        .order_by(table.c.id)
        .limit(limit)
        .with_for_update()
    )
    return connection.execute(query).mappings().all()


def keep_row(connection: Connection, subject: str, row_id: UUID, values: Mapping[str, Any]) -> None:
    table = _TABLES[subject]
    connection.execute(table.update().where(table.c.id == row_id).values(**values))


_KEEP_WRAPPED = (
    "UPDATE {table} k SET wrapped = v.wrapped, kek_version = :version "
    "FROM unnest(CAST(:ids AS uuid[]), CAST(:wrapped AS bytea[])) AS v(id, wrapped) WHERE k.id = v.id"
)


def keep_wrapped(connection: Connection, subject: str, version: int, wrapped: Mapping[UUID, bytes]) -> None:
    statement = sa.text(_KEEP_WRAPPED.format(table=_TABLES[subject].name))
    values = {"version": version, "ids": [str(one) for one in wrapped], "wrapped": list(wrapped.values())}
    connection.execute(statement, values)
