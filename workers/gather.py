"""Job ids gathered for a few milliseconds and handed on in batches, by one background thread."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from uuid import UUID

import structlog

log = structlog.get_logger(__name__)

BATCH = 50
#: Ten seconds of a busy gate. Beyond it ids are dropped: workers find their jobs by themselves.
ROOM = 5000

HandOn = Callable[[str, list[UUID]], None]


class Gatherer:
    """`offer` never blocks and never raises; `hand_on` is called with at most BATCH ids of one lane.

    A lane's first id after a quiet moment goes on at once, so a lone payment waits for nothing; those that follow
    within `window` seconds travel together.
    """

    def __init__(self, name: str, hand_on: HandOn, window: float) -> None:
        self._name, self._hand_on, self._window = name, hand_on, window
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
        free_at: dict[str, float] = {}
        while (batch := self._next(free_at)) is not None:
            try:
                self._hand_on(*batch)
            except Exception:
                # The thread must outlive a mistake in what it calls: without it there are no hints at all.
                log.exception("hand_on_failed", lane=batch[0])
            free_at[batch[0]] = time.monotonic() + self._window

    def _next(self, free_at: Mapping[str, float]) -> tuple[str, list[UUID]] | None:
        """Waits for a batch; None once there will be none. `free_at` says from when a lane may be served again."""
        with self._changed:
            while True:
                if not self._count:
                    if self._closed:
                        return None
                    self._changed.wait()
                    continue
                lane, rest = self._soonest(free_at)
                if rest <= 0:
                    return lane, self._taken_from(lane)
                self._changed.wait(rest)

    def _soonest(self, free_at: Mapping[str, float]) -> tuple[str, float]:
        """The lane to be served next and the seconds until then; a full batch waits for nothing."""
        now = time.monotonic()
        waits = {
            lane: 0.0 if self._closed or len(waiting) >= BATCH else free_at.get(lane, 0.0) - now
            for lane, waiting in self._lanes.items()
        }
        lane = min(waits, key=lambda name: max(0.0, waits[name]))
        return lane, waits[lane]

    def _taken_from(self, lane: str) -> list[UUID]:
        # The lane served goes to the end: one busy lane does not starve another.
        waiting = self._lanes.pop(lane)
        ids = [waiting.popleft() for _ in range(min(BATCH, len(waiting)))]
        if waiting:
            self._lanes[lane] = waiting
        self._count -= len(ids)
        return ids
