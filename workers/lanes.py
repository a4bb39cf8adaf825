"""A lane's places: threads of its own, counted, so that nothing is claimed that could not start at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from core import metrics
from core.settings import Settings
from workers.configuration import LANES

#: Longer than hints are gathered, so that a steady load keeps its lane warm.
WARM = 0.6


class Lane:
    """`backlog` is true while Postgres may hold more due jobs than there were places for.

    `warm` is true for WARM seconds after a job was claimed: then the lane is looked at often and needs no hints.
    """

    def __init__(self, name: str, places: int) -> None:
        self.name, self.places = name, places
        self.backlog = False
        self._warm_until = 0.0
        self._free = places
        self._used = metrics.PLACES_USED.labels(name)
        metrics.PLACES.labels(name).inc(places)
        metrics.begin(metrics.TAKEN_OVER, [name])
        self._changed = threading.Condition()
        self._executor = ThreadPoolExecutor(places, thread_name_prefix=name)

    @property
    def warm(self) -> bool:
        return time.monotonic() < self._warm_until

    def warm_up(self) -> None:
        self._warm_until = time.monotonic() + WARM

    def reserve(self, wanted: int) -> int:
        """Take up to `wanted` free places; returns how many."""
        with self._changed:
            taken = min(wanted, self._free)
            self._free -= taken
            self._used.inc(taken)
            return taken

    def give_back(self, places: int) -> None:
        with self._changed:
            self._free += places
            self._used.dec(places)
            self._changed.notify_all()

    @property
    def free(self) -> int:
        with self._changed:
            return self._free

    def start(self, work: Callable[[], None]) -> None:
        """Run in a place that was reserved; the place is given back at the end."""
        self._executor.submit(self._run, work)

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        finally:
            self.give_back(1)

    def wait_idle(self, seconds: float) -> bool:
        """True once nothing runs; False when it still does after `seconds`."""
        with self._changed:
            return self._changed.wait_for(lambda: self._free == self.places, seconds)

    def close(self) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)


def places(settings: Settings) -> dict[str, int]:
    """How many jobs of each lane one process runs at a time; the names are those of the jobs' lanes."""
    return {
        "payments": settings.executor_threads,
        "webhooks": settings.webhook_threads,
        "deliveries": settings.delivery_threads,
        "maintenance": settings.maintenance_threads,
    }


def make_lanes(settings: Settings, names: Sequence[str] = LANES) -> dict[str, Lane]:
    sizes = places(settings)
    return {name: Lane(name, sizes[name]) for name in names}


def connections(settings: Settings, names: Sequence[str] = LANES) -> int:
    """The most database connections that the jobs of these lanes hold in one process, leases not counted.

    Never more than there are jobs to use them. An entry of the schedule holds its lock on a second connection.
    """
    sizes = places(settings)
    wanted = sum(sizes[name] * (2 if name == "maintenance" else 1) for name in names)
    return min(settings.database_pool, wanted)
