"""Waiting for a job inside a request, without letting the waiting take all the threads."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import UUID

from core.orchestration import reading
from core.orchestration.context import Core
from core.persistence.database import Scope

_PREFER = re.compile(r'\s*wait\s*=\s*"?([0-9]{1,6})"?\s*', re.IGNORECASE)


def preferred_wait(header: str | None, most: float) -> int | None:
    """Seconds of RFC 7240's `Prefer: wait=N`, bounded to 1 to `most`; None where it is not asked for.

    A preference that cannot be read is ignored, as the RFC has it.
    """
    for part in (header or "").split(","):
        found = _PREFER.fullmatch(part.partition(";")[0])
        if found and int(found.group(1)) > 0:
            return min(int(found.group(1)), int(most))
    return None


class WaitingRoom:
    """Seats for a quarter of the server's threads; who finds none is answered at once.

    Nobody waits any longer once `leaving` says that the server is about to stop.
    """

    def __init__(self, threads: int, leaving: Callable[[], bool]) -> None:
        self.seats = max(1, threads // 4)
        self._leaving = leaving
        self._free = threading.BoundedSemaphore(self.seats)

    @contextmanager
    def seat(self) -> Iterator[bool]:
        """Whether there was a seat."""
        taken = self._free.acquire(blocking=False)
        try:
            yield taken
        finally:
            if taken:
                self._free.release()

    def wait(self, core: Core, scope: Scope, job_id: UUID, seconds: float) -> bool:
        """True once the job is settled; False when time or seats ran out, or the server stops. Raises NotFoundError."""
        with self.seat() as taken:
            return reading.wait_until_settled(core, scope, job_id, seconds if taken else 0, self._leaving)
