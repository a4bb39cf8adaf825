"""Runs the schedule inside a worker: when beat says so, and by itself once beat has been silent for too long."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import sqlalchemy as sa
import structlog

from core.orchestration import installation
from workers.engine import Engine
from workers.schedule import SCHEDULE

log = structlog.get_logger(__name__)

#: Beat's ticks spread over all workers, so one that sees none for three intervals may just be unlucky; an entry
#: that runs once more than needed is harmless, one that does not run is not.
SILENCE = 3.0
#: Held to the end of the transaction around the run: two workers never run one entry at the same time.
_LOCK = sa.text("SELECT pg_try_advisory_xact_lock(hashtextextended('tollgate.schedule.' || :name, 0))")


class Ticks:
    """When each entry last ran is kept per process only: the entries are safe to run at any time."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        # Entries start out of step and not all at once with the process.
        self._last = {name: time.monotonic() for name in SCHEDULE}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="ticks", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(5)

    def run_soon(self, name: str) -> bool:
        """Run an entry in the maintenance lane; False if it has no free place, and the next tick is enough."""
        taken = self._engine.submit("maintenance", self._work(name))
        if taken:
            self._last[name] = time.monotonic()
        return taken

    def _work(self, name: str) -> Callable[[], None]:
        def work() -> None:
            try:
                self.run(name)
            except sa.exc.SQLAlchemyError as error:
                log.warning("scheduled_run_failed", schedule=name, error_type=type(error).__name__)
            except Exception:
                log.exception("scheduled_run_failed", schedule=name)

        return work

    def run(self, name: str) -> bool:
        """Run one entry now unless another worker is at it. Raises what the entry raises."""
        core = self._engine.core
        with core.database.unscoped() as connection:
            if not connection.execute(_LOCK, {"name": name}).scalar_one():
                return False
            if not SCHEDULE[name].while_paused and installation.is_paused(connection):
                return False
            found = SCHEDULE[name].run(core)
        if found:
            log.info("scheduled", schedule=name, found=found)
        return True

    def _watch(self) -> None:
        while not self._stopping.wait(1.0):
            now = time.monotonic()
            silent = [name for name, entry in SCHEDULE.items() if now - self._last[name] > SILENCE * entry.interval]
            # Longest waiting first: there may not be a free place for all.
            for name in sorted(silent, key=self._last.__getitem__):
                self.run_soon(name)
