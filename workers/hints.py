"""Tells workers about committed jobs, best effort: a hint that is lost costs a second, never a job."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from uuid import UUID

import structlog
from celery import Celery
from kombu import Connection

from core import metrics
from core.orchestration.context import Wake
from core.settings import Settings
from workers.configuration import HINT_EXPIRES, WAKE, make_app
from workers.gather import Gatherer

log = structlog.get_logger(__name__)

#: A message costs the two sides 3 ms of CPU. One is enough to make a worker look by itself, again and again, for
#: longer than this: what travels later in the same message has mostly been found by then.
WINDOW = 0.25
#: After a failure hints are dropped this many seconds: a dead broker costs two attempts a second at most.
PAUSE = 0.5


class Hints:
    """One publisher a process, with a connection of its own. Safe to make before a fork."""

    def __init__(self, settings: Settings) -> None:
        self._app: Celery = make_app(settings)
        self._gatherer = Gatherer("hints", self._publish, WINDOW)
        self._reset()
        os.register_at_fork(after_in_child=self._reset)
        #: Ids that were never published.
        self.dropped = 0

    def _reset(self) -> None:
        # Also after a fork: two processes must not write into one socket.
        self._counting = threading.Lock()
        self._connection: Connection | None = None
        self._paused_until = 0.0
        self._down = False

    def wake(self, lane: str, jobs: Sequence[UUID]) -> None:
        """Never blocks and never raises."""
        try:
            dropped = self._gatherer.offer(lane, jobs)
        except RuntimeError:
            # No thread can be started: the process is ending. The jobs are in Postgres.
            dropped = len(jobs)
        if dropped:
            self._drop(dropped)

    def close(self) -> None:
        """Publish what is waiting and hang up; takes 1 s at most."""
        self._gatherer.close()
        self._hang_up()

    def _publish(self, lane: str, ids: list[UUID]) -> None:
        if time.monotonic() < self._paused_until:
            self._drop(len(ids))
            return
        # The second attempt is for a connection that died while it was idle. A hint that arrives twice harms nobody.
        error = self._attempt(lane, ids) and self._attempt(lane, ids)
        if error is not None:
            self._drop(len(ids))
            self._paused_until = time.monotonic() + PAUSE
        self._note(error)

    def _attempt(self, lane: str, ids: list[UUID]) -> Exception | None:
        try:
            self._send(lane, ids)
        except Exception as error:  # noqa: BLE001 - whatever the broker's client raises: a hint must harm nobody
            self._hang_up()
            return error
        return None

    def _send(self, lane: str, ids: list[UUID]) -> None:
        if self._connection is None:
            self._connection = self._app.connection_for_write()
        with self._app.amqp.Producer(self._connection, auto_declare=False) as producer:
            self._app.send_task(
                WAKE,
                args=[lane, [str(job) for job in ids]],
                queue=lane,
                producer=producer,
                retry=False,
                ignore_result=True,
                expires=HINT_EXPIRES,
                # Neither is read by anyone, and describing fifty ids costs more than sending them.
                argsrepr="",
                kwargsrepr="",
            )

    def _hang_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            connection.release()
        except Exception as error:  # noqa: BLE001 - the connection is broken anyway, in whatever way
            log.debug("hint_connection_lost", error_type=type(error).__name__)

    def _drop(self, count: int) -> None:
        metrics.HINTS_DROPPED.inc(count)
        with self._counting:
            self.dropped += count

    def _note(self, error: Exception | None) -> None:
        if error is not None and not self._down:
            log.warning("hints_paused", error_type=type(error).__name__)
        elif error is None and self._down:
            log.info("hints_resumed", count=self.dropped)
        self._down = error is not None


def make_wake(settings: Settings) -> Wake:
    """The callable that core is handed. It connects on first use, in a thread of its own."""
    return Hints(settings).wake
