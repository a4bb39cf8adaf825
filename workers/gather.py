"""Job ids gathered for a few milliseconds and handed on in batches, by one background thread."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from uuid import UUID

import structlog

log = structlog.get_logger(__name__)

#: A message costs 0.45 ms of CPU, an id in a message of fifty 0.011 ms; nobody notices a wait of 3 ms.
WINDOW = 0.003
BATCH = 50
#: Ten seconds of a busy gate. Beyond it ids are dropped: workers find their jobs by themselves.
ROOM = 5000

HandOn = Callable[[str, list[UUID]], None]


class Gatherer:
    """`offer` never blocks and never raises; `hand_on` is called with at most BATCH ids of one lane.

    The first id after a quiet moment goes on at once, so a lone payment waits for nothing; those that follow
    within WINDOW seconds travel together.
    """

    def __init__(self, name: str, hand_on: HandOn) -> None:
        self._name, self._hand_on = name, hand_on
        self._reset()
        os.register_at_fork(after_in_child=self._reset)

    def _reset(self) -> None:
        # A forked child inherits a lock that may be held and a thread that does not run.
        self._changed = threading.Condition()
        self._lanes: dict[str, deque[UUID]] = {}
        self._count = 0
        self._thread: threading.Thread | None = None
        self._closed = False

    def offer(self, lane: str, ids: Sequence[UUID]) -> int:
        """Returns how many ids were dropped because there was no room."""
        with self._changed:
            room = 0 if self._closed else max(0, ROOM - self._count)
            taken = ids[:room]
            if taken:
                self._lanes.setdefault(lane, deque()).extend(taken)
                self._count += len(taken)
                self._ensure_thread()
                self._changed.notify()
        return len(ids) - len(taken)

    def close(self, seconds: float = 1.0) -> None:
        """Hand on what is waiting, then end; ids offered later are dropped."""
        with self._changed:
            self._closed = True
            thread = self._thread
            self._changed.notify()
        if thread is not None and thread is not threading.current_thread():
            thread.join(seconds)

    def _ensure_thread(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()

    def _run(self) -> None:
        last = 0.0
        while (batch := self._next(last)) is not None:
            try:
                self._hand_on(*batch)
            except Exception:
                # The thread must outlive a mistake in what it calls: without it there are no hints at all.
                log.exception("hand_on_failed", lane=batch[0])
            last = time.monotonic()

    def _next(self, last: float) -> tuple[str, list[UUID]] | None:
        with self._changed:
            while not self._count and not self._closed:
                self._changed.wait()
            ends = last + WINDOW
            while self._count < BATCH and not self._closed and (rest := ends - time.monotonic()) > 0:
                self._changed.wait(rest)
            if not self._count:
                return None
            # The lane served goes to the end: one busy lane does not starve another.
            lane, waiting = next(iter(self._lanes.items()))
            del self._lanes[lane]
            ids = [waiting.popleft() for _ in range(min(BATCH, len(waiting)))]
            if waiting:
                self._lanes[lane] = waiting
            self._count -= len(ids)
            return lane, ids
