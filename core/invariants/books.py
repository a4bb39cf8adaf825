"""Runs the table of checks over our own database: one read-only snapshot, one small query after the other."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.audit.heads import Head
from core.domain.identifiers import PREFIXES, public_id
from core.invariants import accepted, charges, history, inbox, probe, sealed, sums, walls
from core.invariants.violation import Check, Violation
from core.persistence.database import Database

#: Every check over our own books. The tests break each of them once.
CHECKS: Sequence[Check] = (
    *accepted.CHECKS,
    *charges.CHECKS,
    *sums.CHECKS,
    *inbox.CHECKS,
    *history.CHECKS,
    *walls.CHECKS,
)

#: What each means, in words for an operator.
INVARIANTS: Mapping[str, str] = {
    "I1": "every accepted request has its job, and every job ends or is cared for",
    "I2": "a payment is charged once, and every charge is known to us",
    "I3": "refunded at most captured, captured at most authorized, and all sums add up",
    "I4": "every webhook that was taken is stored, and applied or put aside for a reason",
    "I5": "our status is the provider's",
    "I6": "one audit row a change, in an unbroken chain that is sealed",
    "I7": "no card number, secret or person in a log",
    "I8": "no merchant sees another's row",
}

#: How many rows there are to look at, by invariant.
LOOKED: Mapping[str, str] = {
    "I1": "SELECT count(*) FROM jobs WHERE id >= :since",
    "I2": "SELECT count(*) FROM transactions WHERE id >= :since",
    "I3": "SELECT count(*) FROM payments WHERE id >= :since",
    "I4": "SELECT count(*) FROM inbox_events WHERE id >= :since",
    "I6": "SELECT count(*) FROM audit_log WHERE id >= :since",
    "I8": f"SELECT count(*) FROM ({walls.WALLED}) w",
}

#: Broken rows told of a check; after that one more line says that there are more.
MOST = 50
#: Seconds for one query: this is a look, not a load.
TIMEOUT = 120
_NOTHING = "-infinity"


@dataclass(frozen=True, slots=True)
class Examined:
    """What came of one invariant; `looked` is the number of rows it was about."""

    invariant: str
    looked: int
    violations: Sequence[Violation]


def check(database: Database, *, settled: bool = False, grace: float = 60.0) -> list[Violation]:
    """Everything that is broken in our own books; the list is empty when all is well.

    `database` as the worker or the owner. `grace` in seconds: how long a due job may wait. `settled`: nothing may be
    under way any more.
    """
    return [one for each in examine(database, settled=settled, grace=grace) for one in each.violations]


def examine(
    database: Database,
    *,
    settled: bool = False,
    grace: float = 60.0,
    since: float | None = None,
    api: Database | None = None,
    keys: Collection[bytes] = (),
    head: Head | None = None,
) -> list[Examined]:
    """The same by invariant. `since` in seconds: only what was made since then, and all that is open; None is all.

    With `api`, its login is tried on every wall. `keys` and `head` are what is known of the audit log's seals outside
    the database; without them the chain is held against itself alone.
    """
    values = bounds(since, grace)
    with snapshot(database) as connection:
        broken = look(connection, values, settled=settled)
        looked = {name: connection.execute(sa.text(sql), values).scalar_one() for name, sql in LOOKED.items()}
        if api is not None:
            broken += probe.try_walls(api, *probe.to_try(connection))
    begins = None if since is None else values["since_time"]
    broken += sealed.check(database, keys, head, begins)
    return [Examined(name, looked[name], [one for one in broken if one.invariant == name]) for name in looked]


def look(connection: Connection, values: Mapping[str, Any], *, settled: bool = False) -> list[Violation]:
    """All checks in a transaction that is open already, within `bounds`."""
    asked = [row for row in CHECKS if settled or not row.settled_only]
    return [one for row in asked for one in _broken(connection, row, values)]


def bounds(since: float | None = None, grace: float = 60.0) -> dict[str, Any]:
    """Ids begin with the time they were made: what is younger is found by the primary key."""
    fixed = {"grace": grace, "allowed": history.ALLOWED}
    if since is None:
        return {**fixed, "since": UUID(int=0), "since_time": _NOTHING}
    moment = time.time() - since
    made = {"since": UUID(int=int(moment * 1000) << 80), "since_time": datetime.fromtimestamp(moment, UTC)}
    return {**fixed, **made}


@contextmanager
def snapshot(database: Database) -> Iterator[Connection]:
    with database.unscoped() as connection:
        connection.execute(sa.text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
        # The engine of a process plans for single rows; here whole tables are read, by one process.
        for name, value in (
            ("statement_timeout", f"{TIMEOUT}s"),
            ("idle_in_transaction_session_timeout", f"{TIMEOUT}s"),
            ("enable_seqscan", "on"),
            ("max_parallel_workers_per_gather", "0"),
            ("jit", "off"),
        ):
            connection.execute(sa.text("SELECT set_config(:name, :value, true)"), {"name": name, "value": value})
        yield connection


def _broken(connection: Connection, row: Check, values: Mapping[str, Any]) -> list[Violation]:
    limited = sa.text(f"SELECT * FROM ({row.sql}) AS broken LIMIT {MOST + 1}")
    named = {name: value for name, value in values.items() if name in limited.compile().params}
    found = connection.execute(limited, named).mappings().all()
    made = [Violation(row.invariant, row.meaning, told(one), row.name, row.advice) for one in found[:MOST]]
    if len(found) > MOST:
        made.append(Violation(row.invariant, row.meaning, {"more": f"than {MOST} such rows"}, row.name, row.advice))
    return made


def told(row: Mapping[Any, Any]) -> dict[str, Any]:
    """Ids as callers see them, everything else as it can be printed."""
    return {str(name): _shown(str(name), value) for name, value in row.items() if value is not None}


def _shown(name: str, value: Any) -> Any:
    if isinstance(value, UUID):
        kind = {"inbox_id": "inbox_event"}.get(name, name.removesuffix("_id"))
        return public_id(kind, value) if kind in PREFIXES else str(value)
    return value if isinstance(value, bool | int | float | str) else str(value)
