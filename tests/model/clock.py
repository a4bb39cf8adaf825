"""The machine's clocks as the product's workers read it: it jumps when the example's time does."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from core.orchestration import asking, execute


class Monotonic:
    """Stands in for the module `time`. A worker that slept through its lease learns of it from this clock alone."""

    def __init__(self) -> None:
        self.shift = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.shift

    def clock_gettime(self, clock: int) -> float:
        return time.clock_gettime(clock) + self.shift

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


@contextmanager
def jumping() -> Iterator[Monotonic]:
    clock = Monotonic()
    asking.time = execute.time = clock  # type: ignore[assignment]
    try:
        yield clock
    finally:
        asking.time = execute.time = time
