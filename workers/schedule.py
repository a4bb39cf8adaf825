"""What runs again and again: one table, read by beat and, in case beat is dead, by every worker."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from celery.schedules import schedule

from core.orchestration import erasure, installation, retention, rotation, scheduled, sealing
from core.orchestration.context import Core
from core.reconciliation import planned
from core.reports import rollup
from workers.configuration import RUN_SCHEDULED


@dataclass(frozen=True, slots=True)
class Entry:
    """`interval` in seconds. `run` wakes the workers for what it finds and returns how much that was."""

    interval: float
    run: Callable[[Core], int]
    reason: str
    # Most of what runs leads to calls; while the installation is paused none is made.
    while_paused: bool = False


SCHEDULE: Mapping[str, Entry] = {
    "sweep": Entry(5, scheduled.sweep, "lost hints and expired leases; polling finds them too, this counts them"),
    "resolve_unknown": Entry(15, scheduled.resolve_unknown, "the first look-up is due 5 s after the doubt arose"),
    "synchronise_open": Entry(30, scheduled.synchronise_open, "the shortest wait of an open payment is 60 s"),
    "close_abandoned": Entry(60, scheduled.close_abandoned, "pages live for a day; a minute late harms nobody"),
    "ask_disputes": Entry(3600, scheduled.ask_disputes, "each open dispute once a day, give or take an hour"),
    "deliver_events": Entry(5, scheduled.deliver_events, "an event whose delivery was not woken waits no longer"),
    "ensure_partitions": Entry(
        3600, scheduled.ensure_partitions, "partitions exist months ahead; an hour is early", while_paused=True
    ),
    "keep_anchor": Entry(
        10, installation.keep_anchor, "a restore that loses less than this loses nothing unseen", while_paused=True
    ),
    "finish_erasures": Entry(
        300, erasure.finish, "who was erased by an older version is redacted within the hour", while_paused=True
    ),
    "seal": Entry(60, sealing.seal, "what may be changed unnoticed is a minute old at most"),
    "rotate_keys": Entry(
        15, rotation.carry_on, "a rotation goes on whoever began it; nothing to do costs one look", while_paused=True
    ),
    "find_missed_events": Entry(60, planned.find_missed_events, "each account every ten minutes, give or take one"),
    "compare_books": Entry(600, planned.compare_books, "each account once a day"),
    "read_statements": Entry(600, planned.read_statements, "each account four times a day"),
    "roll_up": Entry(60, rollup.roll_up, "reports count changed days live until then", while_paused=True),
    "retention": Entry(900, retention.retention, "seconds of work at a time; a month in use is tried again soon"),
}


def beat_schedule() -> dict[str, dict[str, Any]]:
    """The table in Celery's form. A tick nobody took in time is dropped: the next one does the same."""
    return {
        name: {
            "task": RUN_SCHEDULED,
            "schedule": schedule(entry.interval),
            "args": [name],
            "options": {"queue": "maintenance", "expires": entry.interval, "ignore_result": True},
        }
        for name, entry in SCHEDULE.items()
    }
