"""The bootstep that starts the engine with the worker and drains it at the end.

It belongs to Celery's *worker* blueprint: the consumer's is torn down and rebuilt whenever the broker drops.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import structlog
from celery import Celery, bootsteps

from core.orchestration import execute, installation
from core.orchestration.context import open_core
from core.orchestration.together import Together
from core.persistence.database import open_database
from core.reconciliation.handlers import HANDLERS
from core.settings import Settings, load_settings
from workers import counts
from workers.configuration import LANES
from workers.engine import Engine
from workers.hints import Hints
from workers.lanes import connections
from workers.scrape import Scrape
from workers.ticks import Ticks

log = structlog.get_logger(__name__)

#: After the deadline of the last call, seconds for its commit. Whoever stops a worker waits a little longer still.
LAST_COMMIT = 2.0
#: Claims, renewals and nothing else.
LEASE_CONNECTIONS = 3


def served_lanes(app: Celery) -> tuple[str, ...]:
    """The lanes whose queues this process consumes: those of `-Q`, all of them without it."""
    consumed = app.amqp.queues.consume_from
    return tuple(lane for lane in LANES if lane in consumed)


class Running:
    """What one worker process runs."""

    def __init__(self, settings: Settings, lanes: Sequence[str]) -> None:
        name = f"{socket.gethostname()}:{os.getpid()}"
        self._settings = settings
        core = open_core(settings, connections(settings, lanes), "tollgate-worker")
        self._core = replace(core, together=Together(), handlers=HANDLERS)
        self._leases = open_database(settings.database_url, LEASE_CONNECTIONS, "tollgate-leases")
        self._hints = Hints(settings)
        look = partial(installation.look, self._core)
        self.engine = Engine(self._core, self._leases, execute.prepare, name, self._hints.wake, lanes, look)
        # The schedule runs in the places of its lane, so only where that lane is served.
        self.ticks = Ticks(self.engine) if "maintenance" in lanes else None
        self._scrape = Scrape(settings)
        counts.begin()

    def start(self) -> None:
        installation.look_at_start(self._core, keep=True)
        self.engine.start()
        if self.ticks is not None:
            self.ticks.start()
        self._scrape.start()
        if self._settings.ready_file is not None:
            self._settings.ready_file.write_text(f"{os.getpid()}\n")
        log.info("worker_started", lane=",".join(self.engine.lanes))

    def drain(self) -> None:
        """Claim nothing more and finish what runs; a second SIGTERM or SIGINT leaves it to its leases."""
        hurry = threading.Event()
        with _on_signal(hurry.set):
            drained = self.stop(self._settings.provider_deadline + LAST_COMMIT, hurry)
        if not drained:
            # Python would wait for the threads of the calls, however long they take.
            os._exit(1)

    def stop(self, seconds: float, hurry: threading.Event | None = None) -> bool:
        """False if something still ran when the time was over or `hurry` was set."""
        if self._settings.ready_file is not None:
            self._settings.ready_file.unlink(missing_ok=True)
        if self.ticks is not None:
            self.ticks.stop()
        drained = self.engine.stop(seconds, hurry)
        self._hints.close()
        self._scrape.stop()
        self._core.database.engine.dispose()
        self._leases.engine.dispose()
        log.info("worker_stopped", outcome="drained" if drained else "left_to_leases")
        return drained


@contextmanager
def _on_signal(call: Callable[[], None]) -> Iterator[None]:
    """Celery's own handlers only repeat what is under way already."""
    before = {number: signal.signal(number, lambda *_: call()) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Process:
    """Tasks find here what the bootstep started."""

    running: Running | None = None


def running() -> Running | None:
    """None in a process that is no worker, or is one no more."""
    return _Process.running


class EngineStep(bootsteps.StartStopStep):
    """Started after Celery's pool and before its consumer, stopped the other way round."""

    requires = ("celery.worker.components:Pool",)

    def start(self, parent: Any) -> None:
        _Process.running = Running(load_settings(), served_lanes(parent.app))
        _Process.running.start()

    def stop(self, parent: Any) -> None:
        if (found := self._taken_out()) is not None:
            found.drain()

    def terminate(self, parent: Any) -> None:
        """A cold shutdown, or a fault: what runs is left to its leases."""
        if (found := self._taken_out()) is not None:
            found.stop(1.0)

    def _taken_out(self) -> Running | None:
        found, _Process.running = _Process.running, None
        return found
