"""Reading the audit log for its seals: records in the order of their numbers, as the text that is hashed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.persistence import pipeline
from core.persistence.tables import audit_log, audit_seals

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
#: Records get number and time in one statement, and clocks may be set: so far their orders may differ.
_SLACK = "5 minutes"

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
# The last seal whose records are all older than a moment, by halving. When it was made says nothing, since sealing may
# have been behind; its last record says it, and where its month was taken off it is old anyway. `before` is up to where
# that seal goes, `after` up to where the next one does.
_SEALED_AROUND = """
WITH RECURSIVE halved (low, high) AS (
    SELECT 0::bigint, coalesce(max(number), 0) FROM audit_seals
    UNION ALL
    SELECT CASE WHEN older THEN middle ELSE low END, CASE WHEN older THEN high ELSE middle - 1 END
      FROM (SELECT m.*, EXISTS (
                SELECT FROM audit_seals s WHERE s.number = m.middle
                   AND coalesce((SELECT a.created_at FROM search_audit(s.from_number, s.to_number, 1, '{}') a),
                                s.sealed_at) < %(moment)s::timestamptz + %(slack)s::interval) AS older
              FROM (SELECT low, high, (low + high + 1) / 2 AS middle FROM halved WHERE low < high) m) h
)
SELECT (SELECT s.to_number FROM audit_seals s WHERE s.number = n.low) AS before,
       (SELECT s.to_number FROM audit_seals s WHERE s.number = n.low + 1) AS after
  FROM halved n WHERE n.low = n.high
"""
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


def numbered_before(connection: Connection, moment: datetime) -> int:
    """A number up to which no record is of that moment or later; 0 where no seal tells."""
    values = {"moment": moment, "slack": f"-{_SLACK}"}
    return int(pipeline.fetch(connection, _SEALED_AROUND, values)[0]["before"] or 0)


def numbered_after(connection: Connection, moment: datetime) -> int | None:
    """A number above which every record is of that moment or later; None where no seal tells."""
    found = pipeline.fetch(connection, _SEALED_AROUND, {"moment": moment, "slack": _SLACK})[0]["after"]
    return None if found is None else int(found)


def of_payment(
    connection: Connection,
    payment_id: UUID,
    before: int | None,
    most: int,
    equal: Mapping[str, Any],
    since: datetime | None = None,
    until: datetime | None = None,
) -> Sequence[Mapping[Any, Any]]:
    """The newest `most` of a payment's records, of the merchant the transaction is held to; `equal` by column."""
    table = audit_log.c
    query = sa.select(audit_log).where(table.payment_id == payment_id)
    query = query.where(*(table[name] == value for name, value in equal.items()))
    if before is not None:
        query = query.where(table.number < before)
    if since is not None:
        query = query.where(table.created_at >= since)
    if until is not None:
        query = query.where(table.created_at < until)
    return list(connection.execute(query.order_by(table.number.desc()).limit(most)).mappings())


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
