"""How much waits, and for how long: what Postgres knows of the whole installation, for monitoring."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from core.audit import seals
from core.persistence.database import Database
from core.startup import clock

#: Seconds that figures are believed: several scrapers, or a hasty one, cost the database no more than this.
BELIEVED = 5.0
#: Answered by the owner's function, which sees all merchants and tells of none (migration 0009).
_FIGURES = sa.text("SELECT name, labels, value FROM monitoring_figures()")
_DATABASE_TIME = "database_time"


@dataclass(frozen=True, slots=True)
class Figure:
    name: str
    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class Seen:
    """`clock_offset`: seconds that this machine is ahead of the database; what the trip took counts for nobody."""

    figures: Sequence[Figure]
    clock_offset: float


class Watch:
    """One a process; asks at most once in BELIEVED seconds, however often it is asked."""

    def __init__(self, database: Database, believed: float | None = None) -> None:
        self._database, self._lock = database, threading.Lock()
        self._believed = BELIEVED if believed is None else believed
        self._until = 0.0
        self._seen: Seen | None = None

    def look(self) -> Seen:
        """Raises SQLAlchemyError; nothing that is old is told then."""
        with self._lock:
            if self._seen is None or time.monotonic() >= self._until:
                self._seen = None
                self._seen = _ask(self._database)
                self._until = time.monotonic() + self._believed
            return self._seen


def _ask(database: Database) -> Seen:
    with database.unscoped() as connection:
        connection.execute(sa.text("SELECT 1"))  # the connection is made: what follows is one trip
        sent = clock.machine_time()
        rows = connection.execute(_FIGURES).all()
        received = clock.machine_time()
        unsealed = Figure("oldest_unsealed", {}, seals.age(connection))
    found = [unsealed, *(Figure(row.name, row.labels, float(row.value)) for row in rows)]
    there = next(one.value for one in found if one.name == _DATABASE_TIME)
    return Seen([one for one in found if one.name != _DATABASE_TIME], clock.offset(sent, there, received))
