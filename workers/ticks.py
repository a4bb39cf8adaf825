"""Runs the schedule inside a worker: when beat says so, and by itself once beat has been silent for too long."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Literal

import sqlalchemy as sa
import structlog

from core import metrics
from core.orchestration import installation
from core.persistence.queries import schedule_runs
from workers.engine import Engine
from workers.schedule import SCHEDULE

log = structlog.get_logger(__name__)

AskedBy = Literal["beat", "worker"]

#: Beat's ticks spread over all workers, so one that sees none for three intervals may just be unlucky; an entry
#: that runs once more than needed is harmless, one that does not run is not.
SILENCE = 3.0
#: Held to the end of the transaction around the run: two workers never run one entry at the same time.
_LOCK = sa.text("SELECT pg_try_advisory_xact_lock(hashtextextended('tollgate.schedule.' || :name, 0))")


class Ticks:
    """When each entry last ran is kept per process only: the entries are safe to run at any time."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        metrics.begin(metrics.SCHEDULED, SCHEDULE, ("beat", "worker"), ("done", "failed"))
        # Entries start out of step and not all at once with the process.
        self._last = {name: time.monotonic() for name in SCHEDULE}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="ticks", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(5)

    def run_soon(self, name: str, asked_by: AskedBy = "beat") -> bool:
        """Run an entry in the maintenance lane; False if it has no free place, and the next tick is enough."""
        taken = self._engine.submit("maintenance", self._work(name, asked_by))
        if taken:
            self._last[name] = time.monotonic()
        return taken

    def _work(self, name: str, asked_by: AskedBy) -> Callable[[], None]:
        def work() -> None:
            outcome = "failed"
            try:
                if not self.run(name, asked_by):
                    return
                outcome = "done"
            except sa.exc.SQLAlchemyError as error:
                log.warning("scheduled_run_failed", schedule=name, error_type=type(error).__name__)
            except Exception:
                log.exception("scheduled_run_failed", schedule=name)
            metrics.SCHEDULED.labels(name, asked_by, outcome).inc()

        return work

    def run(self, name: str, asked_by: AskedBy = "worker") -> bool:
        """Run one entry now unless another worker is at it, and note when. Raises what the entry raises."""
        core = self._engine.core
        with core.database.unscoped() as connection:
            if not connection.execute(_LOCK, {"name": name}).scalar_one():
                return False
            if not SCHEDULE[name].while_paused and installation.is_paused(connection):
                return False
            found = SCHEDULE[name].run(core)
            # In this commit: one that failed did not run.
            schedule_runs.note(connection, name, SCHEDULE[name].interval, by_beat=asked_by == "beat")
        if found:
            log.info("scheduled", schedule=name, found=found)
        return True

    def _watch(self) -> None:
        while not self._stopping.wait(1.0):
            now = time.monotonic()
            silent = [name for name, entry in SCHEDULE.items() if now - self._last[name] > SILENCE * entry.interval]
            # Longest waiting first: there may not be a free place for all.
            for name in sorted(silent, key=self._last.__getitem__):
                self.run_soon(name, "worker")
