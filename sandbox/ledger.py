"""The durable store: every object, event and saved answer in one SQLite file, written before an answer leaves.

SQLite's write-ahead log makes a commit one write call; it outlives SIGKILL, and a torn last write is
discarded at the next start. Nothing is cached: reading by key costs less than keeping a copy right.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Json = dict[str, Any]

_TABLES = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS accounts (secret_key TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS records (
    seq INTEGER PRIMARY KEY, kind TEXT NOT NULL, id TEXT NOT NULL, account TEXT NOT NULL,
    parent TEXT, created INTEGER NOT NULL, body TEXT NOT NULL);
CREATE UNIQUE INDEX IF NOT EXISTS records_by_id ON records (kind, id, account);
CREATE INDEX IF NOT EXISTS records_by_parent ON records (parent, kind, created) WHERE parent IS NOT NULL;
CREATE INDEX IF NOT EXISTS records_by_time ON records (account, kind, created);
CREATE TABLE IF NOT EXISTS idempotency (
    account TEXT NOT NULL, key TEXT NOT NULL, fingerprint TEXT NOT NULL, created INTEGER NOT NULL,
    status INTEGER NOT NULL, request_id TEXT NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (account, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS timers (
    seq INTEGER PRIMARY KEY, due REAL NOT NULL, account TEXT NOT NULL, action TEXT NOT NULL, target TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS deliveries (
    seq INTEGER PRIMARY KEY, account TEXT NOT NULL, event TEXT NOT NULL, type TEXT NOT NULL, url TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0, due REAL, last_status TEXT, delivered INTEGER NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS deliveries_by_event ON deliveries (event);
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One stored object: `seq` orders objects by creation, `parent` is what it was made for."""

    seq: int
    id: str
    account: str
    body: Json


class Ledger:
    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None, cached_statements=256)
        self._db.execute("PRAGMA journal_mode=WAL")
        # A commit survives the death of this process without fsync; only a machine crash could lose it.
        self._db.execute("PRAGMA synchronous=OFF")
        self._db.execute("PRAGMA wal_autocheckpoint=4000")
        self._db.executescript(_TABLES)
        self.run = self._db.execute

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that is written inside is kept together, or nothing of it."""
        self.run("BEGIN")
        try:
            yield
        except BaseException:
            self.run("ROLLBACK")
            raise
        self.run("COMMIT")

    def undo(self) -> None:
        """Takes back all that the running transaction did; it goes on as if it had just begun."""
        self.run("ROLLBACK")
        self.run("BEGIN")

    def add(self, account: str, kind: str, id: str, body: Json, created: float, parent: str | None = None) -> None:
        self.run(
            "INSERT INTO records (kind, id, account, parent, created, body) VALUES (?, ?, ?, ?, ?, ?)",
            (kind, id, account, parent, int(created), dumps(body)),
        )

    def save(self, account: str, kind: str, id: str, body: Json) -> None:
        self.run(
            "UPDATE records SET body = ? WHERE kind = ? AND id = ? AND account = ?", (dumps(body), kind, id, account)
        )

    def complete(self, kind: str, fields: Json) -> None:
        """Gives the objects of a kind that an earlier version stored the fields it did not know yet."""
        lacking = " OR ".join(f"json_type(body, '$.{name}') IS NULL" for name in fields)
        for row in self.select(kind, f"AND ({lacking})"):
            self.save(row.account, kind, row.id, {**fields, **row.body})

    def move(self, account: str, kind: str, id: str, parent: str | None) -> None:
        """Files an object under another parent, as when it gets an owner."""
        self.run("UPDATE records SET parent = ? WHERE kind = ? AND id = ? AND account = ?", (parent, kind, id, account))

    def get(self, account: str, kind: str, id: str) -> Json | None:
        found = self.run(
            "SELECT body FROM records WHERE kind = ? AND id = ? AND account = ?", (kind, id, account)
        ).fetchone()
        return json.loads(found[0]) if found else None

    def owner(self, kind: str, id: str) -> str | None:
        """The account an object belongs to, for pages, which carry no key."""
        found = self.run("SELECT account FROM records WHERE kind = ? AND id = ?", (kind, id)).fetchone()
        return str(found[0]) if found else None

    def children(self, account: str, kind: str, parent: str) -> list[Json]:
        """What was made for `parent`, oldest first."""
        rows = self.run(
            # The plus keeps SQLite to the index by parent, whatever it guesses about the others.
            "SELECT body FROM records WHERE parent = ? AND kind = ? AND +account = ? ORDER BY created, seq",
            (parent, kind, account),
        )
        return [json.loads(row[0]) for row in rows]

    def select(self, kind: str, where: str = "", values: tuple[Any, ...] = (), order: str = "seq") -> Iterator[Row]:
        """Objects of a kind that satisfy a condition over the columns of `records`."""
        rows = self.run(
            f"SELECT seq, id, account, body FROM records WHERE kind = ? {where} ORDER BY {order}",  # noqa: S608  (conditions are ours, values are bound)
            (kind, *values),
        )
        return (Row(seq, id, account, json.loads(body)) for seq, id, account, body in rows.fetchall())

    def count(self, kind: str, where: str, values: tuple[Any, ...]) -> int:
        rows = self.run(
            f"SELECT count(*) FROM records WHERE kind = ? {where}",  # noqa: S608  (as above)
            (kind, *values),
        )
        return int(rows.fetchone()[0])

    def place_of(self, account: str, kind: str, id: str) -> tuple[int, int] | None:
        """`created` and `seq` of an object: its place in lists."""
        found = self.run(
            "SELECT created, seq FROM records WHERE kind = ? AND id = ? AND account = ?", (kind, id, account)
        ).fetchone()
        return (int(found[0]), int(found[1])) if found else None

    def next_number(self) -> int:
        """A number no object has yet, for providers whose ids are plain numbers."""
        found = self.run("SELECT max(seq) FROM records").fetchone()
        return int(found[0] or 0) + 1

    def read_meta(self, name: str) -> str | None:
        found = self.run("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return str(found[0]) if found else None

    def write_meta(self, name: str, value: str) -> None:
        self.run(
            "INSERT INTO meta VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", (name, value)
        )


_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, check_circular=False).encode


def dumps(value: Any) -> str:
    """Compact JSON, the form in which bodies are stored and sent."""
    return _encode(value)
