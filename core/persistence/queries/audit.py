"""Reading the audit log for its seals: records in the order of their numbers, as the text that is hashed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.persistence import pipeline
from core.persistence.tables import audit_seals

#: The columns of a record as each form of seal hashes them, in their order. A form is never changed: seals name theirs.
FORMS: Mapping[int, tuple[str, ...]] = {
    1: (
        *("id", "merchant_id", "mode", "actor", "action", "subject_kind", "subject_id", "payment_id"),
        *("from_status", "to_status", "cause", "request_id", "details", "created_at"),
        *("before", "after", "from_address", "job_id"),
    )
}
#: Of new seals.
FORM = 1
LOWEST = -(2**63)

#: Months that were taken off the table and are still here; only the owner may read them.
_DETACHED = (
    "SELECT d.name FROM detached_partitions d JOIN pg_class c ON c.oid = to_regclass(d.name) "
    "WHERE d.parent = 'audit_log' AND NOT c.relispartition ORDER BY 1"
)
_MAY_READ = "SELECT has_table_privilege('detached_partitions', 'SELECT') AS may"
_COLUMNS = (
    "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(%(table)s) AND attnum > 0 AND NOT attisdropped"
)
_LAST_NUMBER = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END AS number FROM audit_number"
#: Who inserts holds this lock from before it draws a number until after its commit can be seen.
_WRITERS = (
    "SELECT virtualtransaction || '/' || coalesce(pid::text, '') AS writer FROM pg_locks "
    "WHERE locktype = 'relation' AND mode = 'RowExclusiveLock' AND granted AND pid IS DISTINCT FROM pg_backend_pid() "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND relation IN ("
    "SELECT 'audit_log'::regclass::oid UNION SELECT inhrelid FROM pg_inherits WHERE inhparent = 'audit_log'::regclass)"
)
_HEAD = "SELECT {} FROM audit_seals {} ORDER BY number DESC LIMIT 1"
# As many seals as cover `most` records, at least one: a seal may cover one record or ten thousand.
_SEALS = (
    "SELECT {0} FROM (SELECT {0}, sum(records) OVER (ORDER BY number) - records AS before FROM (SELECT {0} "
    "FROM audit_seals WHERE number > %(after)s ORDER BY number LIMIT 2000) s) t WHERE before < %(most)s ORDER BY number"
)
_COVERING = (
    "SELECT {} FROM audit_seals WHERE to_number >= %(low)s AND from_number < %(high)s AND number > %(after)s "
    "ORDER BY number LIMIT %(most)s"
)
_AGE = "SELECT extract(epoch FROM app_now() - oldest_unsealed())::float AS age"
_UNSEALED = "SELECT count(*) AS count FROM audit_log WHERE number > %(after)s"
_ONE_SEALER = sa.text("SELECT pg_try_advisory_xact_lock(hashtextextended('tollgate.audit.seal', 0))")
_HAS_SIGNED = sa.text("SELECT EXISTS (SELECT FROM audit_seals WHERE public_key = :key)")
_INSTALLATION = "SELECT id FROM installation"
_RESUMED = "SELECT number, actor, created_at, details FROM {} WHERE action = 'installation.resumed' ORDER BY number"
_ALL = ", ".join(audit_seals.columns.keys())

#: number and text of a record
Record = tuple[int, str]
Found = Mapping[str, Any]


def last_number(connection: Connection) -> int:
    """The last one that was drawn, by whomever; the records of those who are still at it may come later."""
    return int(pipeline.fetch(connection, _LAST_NUMBER)[0]["number"])


def writers(connection: Connection) -> frozenset[str]:
    """The transactions, but for this one, that may hold numbers of records that cannot be seen yet."""
    return frozenset(row["writer"] for row in pipeline.fetch(connection, _WRITERS))


def sources(connection: Connection) -> list[str]:
    """The tables the log is in: itself, and for the owner the months that were taken off and are still here."""
    if not pipeline.fetch(connection, _MAY_READ)[0]["may"]:
        return ["audit_log"]
    return ["audit_log", *(row["name"] for row in pipeline.fetch(connection, _DETACHED))]


def records(
    connection: Connection, low: int, high: int, form: int, *, most: int | None = None, table: str = "audit_log"
) -> list[Record]:
    """Those numbered above `low` and up to `high`, in order, the first `most` of them."""
    limit = "" if most is None else f" LIMIT {int(most)}"
    sql = f"SELECT number, {_text(connection, table, form)} FROM {table} WHERE number > %(low)s AND number <= %(high)s"
    _, rows = pipeline.fetch_tuples(connection, f"{sql} ORDER BY number{limit}", {"low": low, "high": high})
    return [(row[0], row[1]) for row in rows]


def _text(connection: Connection, table: str, form: int) -> str:
    """A month may have been taken off before the table got its newest columns."""
    columns = FORMS[form]
    if table != "audit_log":
        there = {row["attname"] for row in pipeline.fetch(connection, _COLUMNS, {"table": table})}
        columns = tuple(name if name in there else "NULL" for name in columns)
    return f"json_build_array({', '.join(columns)})::text"


def last_seal(connection: Connection) -> Found | None:
    return next(iter(pipeline.fetch(connection, _HEAD.format(_ALL, ""))), None)


def seal_hash(connection: Connection, number: int) -> bytes | None:
    found = pipeline.fetch(connection, _HEAD.format("hash", "WHERE number = %(number)s"), {"number": number})
    return bytes(found[0]["hash"]) if found else None


def seals(connection: Connection, after: int, most: int) -> list[Found]:
    return list(pipeline.fetch(connection, _SEALS.format(_ALL), {"after": after, "most": most}))


def seals_covering(connection: Connection, low: int, high: int, after: int, most: int) -> list[Found]:
    """Those that cover any number from `low` to `high`, in order, from the one behind `after` on."""
    values = {"low": low, "high": high, "after": after, "most": most}
    return list(pipeline.fetch(connection, _COVERING.format(_ALL), values))


def has_signed(connection: Connection, public_key: bytes) -> bool:
    """Asked only where the newest seal is another key's."""
    return bool(connection.execute(_HAS_SIGNED, {"key": public_key}).scalar_one())


def insert_seal(connection: Connection, values: Mapping[str, Any]) -> None:
    connection.execute(audit_seals.insert().values(**values))


def become_sealer(connection: Connection) -> bool:
    """To the end of the transaction; False while another seals."""
    return bool(connection.execute(_ONE_SEALER).scalar_one())


def unsealed(connection: Connection, after: int) -> int:
    """How many records there are that are numbered above the last seal's last."""
    return int(pipeline.fetch(connection, _UNSEALED, {"after": after})[0]["count"])


def unsealed_for(connection: Connection) -> float:
    found = pipeline.fetch(connection, _AGE)[0]["age"]
    return 0.0 if found is None else max(0.0, float(found))


def installation(connection: Connection) -> Any:
    return pipeline.fetch(connection, _INSTALLATION)[0]["id"]


def resumed(connection: Connection) -> list[Found]:
    """Who let the installation go on after a pause, of all months that are still here; the owner's."""
    return [row for table in sources(connection) for row in pipeline.fetch(connection, _RESUMED.format(table))]


def search(connection: Connection, low: int, high: int, most: int, wanted: Mapping[str, Any]) -> Sequence[Found]:
    sql = "SELECT * FROM search_audit(%(low)s, %(high)s, %(most)s, %(wanted)s::jsonb)"
    return pipeline.fetch(
        connection, sql, {"low": low, "high": high, "most": most, "wanted": pipeline.json_text(dict(wanted))}
    )


def searched_texts(
    connection: Connection, low: int, high: int, form: int, wanted: Mapping[str, Any]
) -> Sequence[Record]:
    """What the search finds, all of it, as the text that is hashed, in the order of the numbers."""
    sql = (
        f"SELECT number, {_text(connection, 'audit_log', form)} FROM search_audit(%(low)s, %(high)s, %(most)s, "
        "%(wanted)s::jsonb) ORDER BY number"
    )
    values = {"low": low, "high": high, "most": 2**31 - 1, "wanted": pipeline.json_text(dict(wanted))}
    _, found = pipeline.fetch_tuples(connection, sql, values)
    return [(row[0], row[1]) for row in found]


def highest(connection: Connection) -> int:
    return int(pipeline.fetch(connection, "SELECT highest_audit_number() AS number")[0]["number"])
