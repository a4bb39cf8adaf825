"""Which statements a call runs, how Postgres carries them out, and which indexes nothing has read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg2
import sqlalchemy as sa
from sqlalchemy.engine import Engine

#: Of a call's statements, the plans of so many that took longest are kept.
SHOWN = 2
_LONGEST_PLAN = 60
_NO_STATEMENT = ("BEGIN", "COMMIT", "ROLLBACK", "PREPARE", "DEALLOCATE", "SET ")
_EXPLAINED = ("SELECT", "WITH", "INSERT", "UPDATE", "DELETE", "EXECUTE")


@dataclass
class Capture:
    """What a call sent: one text a trip, its values in place, with the address it went to."""

    trips: list[tuple[str, str]] = field(default_factory=list)
    #: By address, what the connections have prepared: EXECUTE says only its name.
    prepared: dict[str, list[tuple[str, str]]] = field(default_factory=dict)

    @property
    def statements(self) -> list[tuple[str, str]]:
        """(address, statement) one by one; what begins and ends transactions or prepares is none."""
        single = [(url, part.strip()) for url, text in self.trips for part in text.split(";\n")]
        return [(url, part) for url, part in single if not part.startswith(_NO_STATEMENT)]


@contextmanager
def capturing(engines: Sequence[tuple[Engine, str]]) -> Iterator[Capture]:
    """Everything that leaves these engines inside the block, as the driver is given it."""
    capture = Capture()
    listeners = [(engine, _listener(capture, url)) for engine, url in engines]
    for engine, listener in listeners:
        sa.event.listen(engine, "before_cursor_execute", listener)
    try:
        yield capture
    finally:
        for engine, listener in listeners:
            sa.event.remove(engine, "before_cursor_execute", listener)
    for engine, url in engines:
        with engine.connect() as connection:
            found = connection.exec_driver_sql("SELECT name, statement FROM pg_prepared_statements")
            capture.prepared[url] = [(row.name, _own_part(row.name, row.statement)) for row in found]


def _listener(capture: Capture, url: str) -> Callable[..., None]:
    def before(connection: Any, cursor: Any, text: str, values: Any, context: Any, many: bool) -> None:
        as_it_is = context is not None and context.no_parameters
        capture.trips.append((url, text if as_it_is else cursor.mogrify(text, values).decode()))

    return before


def explained(capture: Capture) -> list[str]:
    """The plans of the statements that took longest, run once more as the same role and rolled back."""
    found: list[tuple[float, str]] = []
    for url in dict.fromkeys(url for url, _ in capture.statements):
        prepared = dict(capture.prepared.get(url, []))
        with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
            cursor.execute("SET statement_timeout = '60s'")
            for text in prepared.values():
                cursor.execute(text)
            for text in (text for its_url, text in capture.statements if its_url == url):
                if "set_config(" in (prepared.get(_name(text)) or text):
                    cursor.execute(text)
                elif text.split(maxsplit=1)[0].upper() in _EXPLAINED:
                    found.append(_plan(cursor, text, prepared.get(_name(text)) or text))
            connection.rollback()
    return [plan for _, plan in sorted(found, reverse=True)[:SHOWN]]


def _own_part(name: str, message: str) -> str:
    """Postgres keeps the whole message in which a statement was prepared: others may stand in it too."""
    return next((part for part in message.split(";\n") if part.startswith(f"PREPARE {name} AS")), message)


def _name(statement: str) -> str:
    """Of a prepared statement, what it was prepared as; of another one nothing that anything is called."""
    return statement.removeprefix("EXECUTE ").split("(")[0].strip()


def _plan(cursor: Any, statement: str, told: str) -> tuple[float, str]:
    """(milliseconds of planning and carrying out, the plan)"""
    cursor.execute("SAVEPOINT plan")
    spent = 0.0
    try:
        cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS) {statement}")
        lines = [line for (line,) in cursor.fetchall()]
        spent = sum(float(line.split()[2]) for line in lines if line.startswith(("Planning Time", "Execution Time")))
    except psycopg2.Error as error:
        lines = [f"not explained: {str(error).splitlines()[0]}"]
    cursor.execute("ROLLBACK TO SAVEPOINT plan")
    more = len(lines) - _LONGEST_PLAN
    cut = [*lines[:_LONGEST_PLAN], f"… {more} lines more", *lines[-2:]] if more > 0 else lines
    return spent, "\n".join([f"-- {' '.join(told.split())[:600]}", *cut])


_UNREAD = """
SELECT t.name, sum(t.size)::bigint FROM (
    SELECT coalesce((SELECT inhparent::regclass::text FROM pg_inherits WHERE inhrelid = s.indexrelid),
                    s.indexrelname) AS name,
           s.idx_scan AS scans, pg_relation_size(s.indexrelid) AS size, i.indisunique AS is_unique
      FROM pg_stat_user_indexes s JOIN pg_index i USING (indexrelid)) t
 GROUP BY t.name HAVING sum(t.scans) = 0 ORDER BY sum(t.size) DESC
"""


def unread_indexes(run: Callable[..., list[Any]]) -> list[tuple[str, int]]:
    """(index, bytes) of those that were never scanned; a unique one still guards its promise."""
    return [(name, size) for name, size in run(_UNREAD)]
