"""When each entry of the schedule last came to its end, and when beat last asked for it."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection

_NOTE = sa.text(
    "INSERT INTO schedule_runs (name, every, ran_at, beat_at) "
    # The run is over now; the transaction around it may have begun long ago.
    "VALUES (:name, :every, app_now(), CASE WHEN :by_beat THEN app_now() END) ON CONFLICT (name) DO UPDATE SET "
    "every = excluded.every, ran_at = excluded.ran_at, beat_at = coalesce(excluded.beat_at, schedule_runs.beat_at)"
)


def note(connection: Connection, name: str, every: float, *, by_beat: bool) -> None:
    """`every` in seconds, as the program that ran it has it."""
    connection.execute(_NOTE, {"name": name, "every": every, "by_beat": by_beat})
