"""What is counted of calls: windows of a minute and of ten, by whether the provider answered and how fast."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field

from core.orchestration.breaker import Counts

#: Upper bounds of the times that are told apart, in milliseconds; slower calls count as the last.
BOUNDS: tuple[int, ...] = (50, 100, 200, 500, 1000, 2000, 5000, 10000, 30000)
#: Seconds of a bucket -> how many of them make a window.
BUCKETS: Mapping[int, int] = {10: 6, 60: 10}


@dataclass(slots=True)
class Tally:
    """Calls that ended, and their times in milliseconds by bound."""

    answered: int = 0
    failed: int = 0
    milliseconds: int = 0
    times: list[int] = field(default_factory=lambda: [0] * len(BOUNDS))

    def count(self, answered: bool, milliseconds: int) -> None:
        if answered:
            self.answered += 1
        else:
            self.failed += 1
        self.milliseconds += milliseconds
        self.times[min(bisect_left(BOUNDS, milliseconds), len(BOUNDS) - 1)] += 1

    def add(self, other: Tally) -> None:
        self.answered += other.answered
        self.failed += other.failed
        self.milliseconds += other.milliseconds
        self.times = [mine + theirs for mine, theirs in zip(self.times, other.times, strict=True)]

    @property
    def counts(self) -> Counts:
        return Counts(self.answered, self.failed)

    @property
    def success(self) -> float | None:
        """Share of calls that were answered, 0 to 1; None without a call."""
        calls = self.answered + self.failed
        return self.answered / calls if calls else None

    @property
    def p95_ms(self) -> int | None:
        """The bound under which 95 of 100 calls ended."""
        total = sum(self.times)
        if not total:
            return None
        reached = 0
        for bound, calls in zip(BOUNDS, self.times, strict=True):
            reached += calls
            if reached >= 0.95 * total:
                return bound
        return BOUNDS[-1]


@dataclass(slots=True)
class Windows:
    """This process's own; the clock is handed in as seconds."""

    _buckets: dict[tuple[int, int], Tally] = field(default_factory=dict)

    def count(self, answered: bool, milliseconds: int, now: float) -> None:
        for seconds in BUCKETS:
            key = (seconds, int(now // seconds))
            tally = self._buckets.get(key)
            if tally is None:
                self._drop_old(now)
                tally = self._buckets[key] = Tally()
            tally.count(answered, milliseconds)

    def sums(self, now: float) -> dict[int, Tally]:
        """By the length of the window in seconds; the bucket that has just begun counts as one of it."""
        found = {seconds * number: Tally() for seconds, number in BUCKETS.items()}
        for (seconds, bucket), tally in self._buckets.items():
            if _is_recent(seconds, bucket, now):
                found[seconds * BUCKETS[seconds]].add(tally)
        return found

    def clear(self) -> None:
        self._buckets.clear()

    def _drop_old(self, now: float) -> None:
        self._buckets = {key: tally for key, tally in self._buckets.items() if _is_recent(*key, now)}


def _is_recent(seconds: int, bucket: int, now: float) -> bool:
    return bucket > int(now // seconds) - BUCKETS[seconds]
