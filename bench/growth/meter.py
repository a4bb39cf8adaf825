"""What a call costs: processor time of this process and of its Postgres backends, and time by the clock."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import psutil

#: Calls before the first that counts, and calls a road is given at least, however slow it is.
WARM_UP, FEWEST = 20, 10
#: Calls on one database before it is the other's turn.
STRETCH = 10
#: Of processor times this share at either end is left out: an interrupt or a checkpoint is no cost of the call.
TRIM = 0.05


@dataclass(frozen=True, slots=True)
class Cost:
    """Milliseconds a call; `error` names what ended the measuring, if anything did."""

    calls: int
    own_cpu: float
    backend_cpu: float
    wall: float
    wall_p99: float
    error: str | None = None

    @property
    def cpu(self) -> float:
        return self.own_cpu + self.backend_cpu


class Backends:
    """The server processes that serve connections of one application name."""

    def __init__(self, cursor: Any, application: str) -> None:
        self._cursor = cursor
        self._application = application
        self._pids: list[int] = []

    def look(self) -> None:
        self._cursor.execute("SELECT pid FROM pg_stat_activity WHERE application_name = %s", (self._application,))
        self._pids = [pid for (pid,) in self._cursor.fetchall()]

    def seconds(self) -> float:
        return sum(_seconds_of(pid) for pid in self._pids)


def _seconds_of(pid: int) -> float:
    """Processor time since its start; Linux tells it in nanoseconds, others in hundredths of a second."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_bytes().split()[0]) / 1e9
    except OSError:
        times = psutil.Process(pid).cpu_times()
        return float(times.user + times.system)


@dataclass
class Contender:
    """One call on one database; `before` is not counted."""

    backends: Backends
    before: Callable[[], None]
    call: Callable[[], object]
    own: list[float] = field(default_factory=list)
    server: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)
    error: str | None = None

    def warm_up(self, longest: float) -> None:
        ends = time.monotonic() + longest
        for _ in range(WARM_UP):
            self.before()
            self.call()
            if time.monotonic() > ends:
                break
        self.backends.look()

    def once(self) -> None:
        self.before()
        server_began = self.backends.seconds()
        cpu_began, clock_began = time.process_time(), time.perf_counter()
        self.call()
        clock_ended, cpu_ended = time.perf_counter(), time.process_time()
        self.own.append(cpu_ended - cpu_began)
        self.wall.append(clock_ended - clock_began)
        self.server.append(self.backends.seconds() - server_began)


def measure(contenders: Sequence[Contender], repetitions: int, longest: float) -> list[Cost]:
    """Stretches of calls in turn, so that what disturbs the machine disturbs all alike.

    Ends after `repetitions` calls each or, with at least FEWEST, after `longest` seconds.
    """
    for one in contenders:
        _guarded(one, partial(one.warm_up, longest / 6))
    ends = time.monotonic() + longest
    for done in range(0, repetitions, STRETCH):
        if done >= FEWEST and time.monotonic() > ends:
            break
        for one in contenders:
            for _ in range(min(STRETCH, repetitions - done)):
                _guarded(one, one.once)
    return [summary(one.own, one.server, one.wall, one.error) for one in contenders]


def _guarded(one: Contender, act: Callable[[], None]) -> None:
    """A call that can no longer be made is a result, and is not made again."""
    if one.error is not None:
        return
    try:
        act()
    except Exception as problem:  # noqa: BLE001 - said with the figure
        one.error = f"{type(problem).__name__}: {str(problem).splitlines()[0]}"


def summary(own: Sequence[float], server: Sequence[float], wall: Sequence[float], error: str | None = None) -> Cost:
    if not wall:
        return Cost(0, 0.0, 0.0, 0.0, 0.0, error or "no call was made")
    ordered = sorted(wall)
    return Cost(
        calls=len(wall),
        own_cpu=trimmed(own) * 1000,
        backend_cpu=trimmed(server) * 1000,
        wall=statistics.median(wall) * 1000,
        wall_p99=ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))] * 1000,
        error=error,
    )


def trimmed(values: Sequence[float]) -> float:
    """The mean without the TRIM at either end."""
    cut = int(len(values) * TRIM)
    return statistics.fmean(sorted(values)[cut : len(values) - cut])
