"""How many requests of one merchant a process carries out at a time, so that its neighbours find a thread, too.

Counted in the process: what is to be shared are its threads, and a count that dies with what it counts cannot leak.
Three quarters of them are one merchant's at most, while there are neighbours: who is alone has all, since a thread that
nobody else wants is no reason to refuse a payment. Providers' webhooks and health checks are nobody's.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from uuid import UUID

#: Seconds for which one more waits for one of its own to end. Requests take milliseconds, so a rush passes unnoticed;
#: so does a disk that takes a moment.
PATIENCE = 0.25
#: Where that was in vain something holds them all up, such as a lock: nobody waits until one ends, or for so long.
STUCK = 1.0
#: Seconds after its last request for which another merchant counts as a neighbour: the next of its own may come.
NEIGHBOURS = 60.0


class Places:
    """`enter` gives a place until `leave`; False means that the merchant has to come again."""

    def __init__(self, threads: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.most = max(1, threads * 3 // 4)
        self._clock = clock
        self._taken: dict[UUID, int] = {}
        # Whose requests came last, and when the last of anybody else: all it takes to know who is alone.
        self._last: UUID | None = None
        self._others_until = 0.0
        self._stuck: dict[UUID, float] = {}
        self._changed = threading.Condition()

    def enter(self, merchant_id: UUID) -> bool:
        with self._changed:
            if merchant_id != self._last:
                if self._last is not None:
                    self._others_until = self._clock() + NEIGHBOURS
                self._last = merchant_id
            if not self._free(merchant_id) and not self._wait(merchant_id):
                return False
            self._taken[merchant_id] = self._taken.get(merchant_id, 0) + 1
            return True

    def leave(self, merchant_id: UUID) -> None:
        with self._changed:
            left = self._taken[merchant_id] - 1
            if left:
                self._taken[merchant_id] = left
            else:
                del self._taken[merchant_id]
            self._stuck.pop(merchant_id, None)
            if left <= self.most - 1:
                self._changed.notify_all()

    def taken(self, merchant_id: UUID) -> int:
        return self._taken.get(merchant_id, 0)

    def _free(self, merchant_id: UUID) -> bool:
        return self._taken.get(merchant_id, 0) < self.most or self._is_alone()

    def _is_alone(self) -> bool:
        return len(self._taken) < 2 and self._clock() >= self._others_until

    def _wait(self, merchant_id: UUID) -> bool:
        now = self._clock()
        if self._stuck.get(merchant_id, 0.0) > now:
            return False
        if self._changed.wait_for(lambda: self._free(merchant_id), PATIENCE):
            return True
        self._stuck = {one: until for one, until in self._stuck.items() if until > now}
        self._stuck[merchant_id] = self._clock() + STUCK
        return False
