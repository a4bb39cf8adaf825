"""Filling an empty database: indexes off, rows in by COPY in the order of time, indexes on again."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg2

from bench.growth import rows, shape
from bench.growth.rows import Filling
from bench.growth.shape import Month, Span

Connection = psycopg2.extensions.connection
Say = Callable[[str], None]

#: At a time; each has one backend that makes rows and one that stores them.
PARALLEL = 2
#: Rows that were there before (the merchants' keys): it is added to, not begun anew.
_KEPT = ("data_keys",)

_FOREIGN = """
SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', c.conrelid::regclass, c.conname),
       -- Rows made here agree by their making; checking them again would only take time.
       format('ALTER TABLE %s ADD CONSTRAINT %I %s NOT VALID', c.conrelid::regclass, c.conname,
              pg_get_constraintdef(c.oid))
  FROM pg_constraint c
 WHERE c.contype = 'f' AND c.conparentid = 0 AND c.connamespace = 'public'::regnamespace
"""
_UNIQUE = """
SELECT format('ALTER TABLE %%s DROP CONSTRAINT %%I', c.conrelid::regclass, c.conname),
       format('ALTER TABLE %%s ADD CONSTRAINT %%I %%s', c.conrelid::regclass, c.conname, pg_get_constraintdef(c.oid))
  FROM pg_constraint c
 WHERE c.contype IN ('p', 'u') AND c.conparentid = 0 AND c.conrelid::regclass::text = ANY(%s)
"""
_INDEXES = """
SELECT format('DROP INDEX %%s', i.indexrelid::regclass),
       replace(pg_get_indexdef(i.indexrelid), ' ON ONLY ', ' ON ')
  FROM pg_index i
 WHERE i.indrelid::regclass::text = ANY(%s)
   AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = i.indexrelid)
"""
_TYPES = """
SELECT format_type(a.atttypid, a.atttypmod) FROM unnest(%s::text[]) WITH ORDINALITY AS n(name, place)
  JOIN pg_attribute a ON a.attrelid = %s::regclass AND a.attname = n.name ORDER BY n.place
"""


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose the payments of a slot are."""

    merchant_id: UUID
    account_id: UUID


class Filler:
    """Fills one database, as its superuser."""

    def __init__(self, connect: Callable[[], Connection], span: Span, say: Say) -> None:
        self._connect = connect
        self._span = span
        self._say = say
        self._tables = [one.table for one in rows.FILLINGS]

    def fill(self, owners: Mapping[str, Owner]) -> None:
        began = time.monotonic()
        with self._statements() as run:
            run(rows.PREPARE)
            self._slots(owners)
        back = self._take_off()
        self._each(self._store_whole, [one for one in rows.FILLINGS if not one.monthly])
        monthly = [(one, month) for one in rows.FILLINGS if one.monthly for month in self._span.months()]
        self._each(self._store_month, monthly)
        self._say(f"  rows in after {time.monotonic() - began:.0f} s; indexes")
        for group in back:
            self._each(self._one_statement, group)
        with self._statements() as run:
            run(rows.CLEAN)
            run("SELECT setval('audit_number', coalesce((SELECT max(number) FROM audit_log), 1))")
            self._say(f"  indexes on after {time.monotonic() - began:.0f} s; statistics")
            run("VACUUM (ANALYZE)")
        self._say(f"  filled in {time.monotonic() - began:.0f} s")

    @contextmanager
    def _statements(self) -> Iterator[Callable[..., list[Any]]]:
        """A connection that commits every statement and passes by triggers."""
        with closing(self._connect()) as connection, connection.cursor() as cursor:
            connection.autocommit = True
            cursor.execute("SET session_replication_role = replica")

            def run(statement: str, *values: object) -> list[Any]:
                cursor.execute(statement, values or None)
                return cursor.fetchall() if cursor.description else []

            yield run

    def _slots(self, owners: Mapping[str, Owner]) -> None:
        with self._statements() as run:
            for slot, name in enumerate(shape.slots()):
                for late in (False, True):
                    owner = owners[shape.HEIR if late and name == shape.QUIET else name]
                    values = (slot, late, str(owner.merchant_id), str(owner.account_id))
                    run("INSERT INTO growth_slots VALUES (%s, %s, %s, %s)", *values)
            run("ANALYZE growth_slots")

    def _take_off(self) -> list[list[str]]:
        """Drops what would be kept up row by row; returns the statements that put it back, in groups by order."""
        with self._statements() as run:
            foreign = run(_FOREIGN)
            unique, indexes = run(_UNIQUE, self._tables), run(_INDEXES, self._tables)
            for drop, _ in (*foreign, *unique, *indexes):
                run(drop)
        return [[back for _, back in group] for group in (unique, indexes, foreign)]

    def _each(self, work: Callable[[Any], None], parts: Iterable[Any]) -> None:
        with ThreadPoolExecutor(PARALLEL) as pool:
            list(pool.map(work, parts))

    def _one_statement(self, statement: str) -> None:
        with self._statements() as run:
            run(statement)

    def _store_whole(self, filling: Filling) -> None:
        began = time.monotonic()
        count = self._copy(filling, filling.table, 1, self._span.payments, {})
        self._say(f"  {filling.table}: {count:,} rows in {time.monotonic() - began:.0f} s")

    def _store_month(self, part: tuple[Filling, Month]) -> None:
        filling, month = part
        bounds = {"ends": month.ends.isoformat()}
        count = self._copy(filling, f"{filling.table}_{month.name}", month.first, month.last, bounds)
        if month.last == self._span.payments:
            self._say(f"  {filling.table}: {count:,} rows in its last month, {month.name}")

    def _copy(self, filling: Filling, table: str, first: int, last: int, more: Mapping[str, object]) -> int:
        span = self._span
        values = {
            "since": span.since.isoformat(),
            "since_us": int(span.since.timestamp()) * 1_000_000,
            "step_us": span.step_us,
            "open_until": (span.until + timedelta(days=30)).isoformat(),
            "payments": span.payments,
            "first": first,
            "last": last,
            **more,
        }
        with self._statements() as run:
            types = [one for (one,) in run(_TYPES, filling.names, table)]
        return self._pipe(filling.query(types, values), table, filling.columns)

    def _pipe(self, query: str, table: str, columns: str) -> int:
        """From one backend into another; frozen at once, so that no vacuum has to write every page again."""
        reading, writing = os.pipe()
        failed: list[BaseException] = []

        def make() -> None:
            try:
                with os.fdopen(writing, "wb") as sink, closing(self._connect()) as source:
                    source.cursor().copy_expert(f"COPY ({query}) TO STDOUT (FORMAT binary)", sink)
            except BaseException as error:  # noqa: BLE001 - raised again where it can be seen
                failed.append(error)

        maker = threading.Thread(target=make)
        frozen = "" if table in _KEPT else ", FREEZE"
        with os.fdopen(reading, "rb") as pipe, closing(self._connect()) as target, target.cursor() as cursor:
            cursor.execute("SET session_replication_role = replica")
            if frozen:
                cursor.execute(f"TRUNCATE {table}")
            maker.start()
            try:
                cursor.copy_expert(f"COPY {table} ({columns}) FROM STDIN (FORMAT binary{frozen})", pipe, 1 << 18)
            finally:
                pipe.close()  # a maker that still writes would wait for ever
                maker.join()
            if failed:
                raise failed[0]
            target.commit()
            return int(cursor.rowcount)


def sizes(connect: Callable[[], Connection], tables: Sequence[str]) -> dict[str, dict[str, int]]:
    """Bytes of each table, of its indexes, and how many rows the statistics know; partitions added up."""
    query = """
        SELECT coalesce(sum(pg_table_size(t)), 0)::bigint, coalesce(sum(pg_indexes_size(t)), 0)::bigint,
               coalesce(sum(greatest(c.reltuples, 0)), 0)::bigint
          FROM (SELECT relid AS t FROM pg_partition_tree(%s::regclass)
                UNION SELECT %s::regclass) p JOIN pg_class c ON c.oid = p.t WHERE c.relkind = 'r'
    """
    found = {}
    with closing(connect()) as connection, connection.cursor() as cursor:
        for table in tables:
            cursor.execute(query, (table, table))
            heap, indexes, count = cursor.fetchone() or (0, 0, 0)
            found[table] = {"table_bytes": heap, "index_bytes": indexes, "rows": count}
    return found
