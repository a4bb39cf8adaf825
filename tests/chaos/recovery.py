"""Watches how long due jobs wait to be claimed again after a fault."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import psycopg2
import psycopg2.extras

from tests.chaos.stage import Stage
from tests.support.databases import plain

#: Seconds between two looks.
EVERY = 0.25
#: What the issue allows, in seconds from the fault (or from when a job came due after it) to the next claim.
BOUNDS = {"process": 10.0, "postgres": 60.0}
#: What comes due so many seconds after Postgres went away waits for Postgres, too. Cut connections are no such fault:
#: they have the bound of a process.
AFTERMATH = 6.0

#: Due and not claimed: queued past its time, or held by somebody whose lease ran out. Times are the machine's, as
#: nobody moves the clock while this watches.
_WAITING = """
SELECT id::text AS id, kind, status, fence, worker, extract(epoch FROM now())::float AS at,
       extract(epoch FROM CASE WHEN status = 'queued' THEN run_after ELSE lease_until END)::float AS due
FROM jobs
WHERE (status = 'queued' AND run_after <= app_now() - interval '1 second')
   OR (status = 'running' AND lease_until < app_now())
"""


@dataclass
class Wait:
    """One job between its coming due and its next claim."""

    job: str
    kind: str
    since: float
    seconds: float
    cause: str


@dataclass
class Recovery:
    """Reads the queue from its start until it is left. `hurt` is told of every fault with the time it began."""

    stage: Stage
    lease: float
    faults: list[tuple[float, float, str]] = field(default_factory=list)
    longest: dict[str, Wait] = field(default_factory=dict)
    over: list[Wait] = field(default_factory=list)
    looks: int = 0
    _open: dict[tuple[str, int], Wait] = field(default_factory=dict)
    _stop: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> Recovery:
        self._thread = threading.Thread(target=self._run, name="recovery", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(15)

    def hurt(self, cause: str, until: float | None = None) -> None:
        """A fault of "process" or "postgres" begins now and lasts until `until` (epoch seconds; now if left out)."""
        now = time.time()
        with self._lock:
            self.faults.append((now, until or now, cause))

    def _run(self) -> None:
        connection: Any = None
        while not self._stop.wait(EVERY):
            try:
                if connection is None:
                    url = plain(self.stage.service.owner_database_url)
                    connection = psycopg2.connect(url, connect_timeout=3)
                    connection.autocommit = True
                with connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor:
                    cursor.execute(_WAITING)
                    self._note([dict(row) for row in cursor.fetchall()])
            except psycopg2.Error:
                # Postgres is the one that was hurt: what waits meanwhile is seen when it is back.
                connection = None
        if connection is not None:
            connection.close()

    def _note(self, rows: list[dict[str, Any]]) -> None:
        with self._lock:
            self.looks += 1
            still = {}
            for row in rows:
                wait = self._measure(row)
                still[(row["id"], row["fence"])] = wait
                if wait.seconds > self.longest.get(wait.cause, Wait("", "", 0.0, 0.0, "")).seconds:
                    self.longest[wait.cause] = wait
            ended = [wait for key, wait in self._open.items() if key not in still]
            self.over += [wait for wait in ended if wait.seconds > BOUNDS[wait.cause]]
            self._open = still

    def _measure(self, row: dict[str, Any]) -> Wait:
        """A dead worker's job waits since the death; one that came due while nobody was there, since then."""
        since, cause = row["due"], "process"
        if row["status"] == "running":
            deaths = [begun for begun, _, what in self.faults if what == "process" and begun < row["due"]]
            held = row["due"] - self.lease
            since = max([*deaths[-1:], held])
        for begun, ended, what in self.faults:
            if what == "postgres" and begun <= row["at"] and since <= ended + AFTERMATH and row["at"] >= begun:
                cause = "postgres"
        return Wait(row["id"], row["kind"], since, row["at"] - since, cause)

    def verdict(self) -> list[Wait]:
        """The waits that were longer than is allowed, those included that have not ended."""
        with self._lock:
            return self.over + [wait for wait in self._open.values() if wait.seconds > BOUNDS[wait.cause]]

    def seconds(self, cause: str) -> float:
        return self.longest[cause].seconds if cause in self.longest else 0.0
