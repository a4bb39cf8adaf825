"""The worker's own heart: claims due jobs, runs them, keeps their leases, drains. It works without a broker."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from uuid import UUID

import sqlalchemy as sa
import structlog

from core import metrics
from core.orchestration import jobs
from core.orchestration.context import Core, Wake
from core.orchestration.jobs import Job
from core.persistence.database import Database
from workers.configuration import LANES
from workers.gather import Gatherer
from workers.lanes import Lane, make_lanes
from workers.outage import Outage

log = structlog.get_logger(__name__)

#: What is to be run for jobs that were claimed together, one callable each; it returns False if it could write nothing.
Prepare = Callable[[Core, Sequence[Job]], Sequence[Callable[[], object]]]

#: Due jobs and freed places are gathered this long before the next claim: a claim of ten costs a fifth a job of a
#: claim of one.
SETTLE = 0.02
#: With more than so many jobs under way a lane is looked at half as often: the claims are larger then.
BUSY = 40
#: What arises here is gathered this long, in seconds; it costs no message.
OWN_WINDOW = 0.003
#: While it drains, how often it looks whether it is to hurry, in seconds.
SLICE = 0.1
#: While Postgres is away it is asked again this often, in seconds.
BACK_OFF = 0.5


def _nothing() -> None:
    """Stands for what could not be prepared, whose job is left to its lease; and for nothing to do before a claim."""


class Engine:
    """One per worker process, made and started after any fork.

    `leases` is a database of its own: leases are renewed even when the jobs hold every connection of `core`.
    `elsewhere` tells other workers of jobs this one has no place for. Jobs of lanes that are not in `lanes` are
    never claimed here; they wait for a worker that serves them. `before` is called before the first claim, and before
    the next one whenever Postgres was away: it may have come back as another.
    """

    def __init__(
        self,
        core: Core,
        leases: Database,
        prepare: Prepare,
        name: str,
        elsewhere: Wake,
        lanes: Sequence[str] = LANES,
        before: Callable[[], object] = _nothing,
    ) -> None:
        self.core = replace(core, wake=self.offer)
        self._settings, self._leases, self._prepare = core.settings, leases, prepare
        self._name, self._elsewhere = name, elsewhere
        self.lanes = make_lanes(core.settings, lanes)
        self._held: dict[UUID, Job] = {}
        self._held_lock = threading.Lock()
        self._missing: set[UUID] = set()
        self._nudge, self._stopping, self._drained = threading.Event(), threading.Event(), threading.Event()
        self._outage = Outage()
        self._left: dict[UUID, Job] = {}
        # A new doubt is a new object: none is lost when one thread meets an outage while another just looks.
        self._before, self._doubt, self._settled = before, object(), object()
        self._deaths_from = 0.0
        self._next_round = 0.0
        metrics.begin(metrics.CRASHED, [kind for kind, lane in jobs.LANES.items() if lane in lanes])
        self._gatherer = Gatherer("own-hints", self._take_own, OWN_WINDOW)
        self._threads = [
            threading.Thread(target=self._poll, name="poll", daemon=True),
            threading.Thread(target=self._renew, name="renew", daemon=True),
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def offer(self, lane: str, ids: Sequence[UUID]) -> None:
        """The wake of this process: what a job leads to is taken up here, without the way over the broker."""
        self._gatherer.offer(lane, ids)

    def take(self, lane: str, ids: list[UUID]) -> None:
        """Claim those of the jobs that are due, as far as there are places.

        What finds no place is found again by polling, here or by another worker.
        """
        self._guarded(lambda: self._take(lane, ids))

    def _take(self, lane: str, ids: list[UUID]) -> None:
        if self._stopping.is_set() or lane not in self.lanes:
            return
        if self.lanes[lane].warm:
            # Found by the next look, of which there is one more even if the lane cools in this moment.
            self.lanes[lane].backlog = True
            self._nudge.set()
            return
        places, taken = self._claim(lane, ids)
        if taken:
            self._nudge.set()  # the lane is warm now
        if places < len(ids) and taken == places:
            self.lanes[lane].backlog = True

    def _take_own(self, lane: str, ids: list[UUID]) -> None:
        # Only what arose here is told to others: a hint that full workers passed on would go round for ever.
        if lane in self.lanes and self.lanes[lane].free:
            self.take(lane, ids)
        else:
            self._elsewhere(lane, ids)

    def submit(self, lane: str, work: Callable[[], None]) -> bool:
        """Run something that is no job in a free place; False if there is none."""
        if self._stopping.is_set() or lane not in self.lanes or not self.lanes[lane].reserve(1):
            return False
        self.lanes[lane].start(work)
        return True

    def stop(self, seconds: float, hurry: threading.Event | None = None) -> bool:
        """Claim nothing more, keep the leases of what runs and wait for it, though not once `hurry` is set.

        False if something still ran then; its lease runs out and another worker takes it over.
        """
        self._stopping.set()
        self._nudge.set()
        self._gatherer.close()
        ends = time.monotonic() + seconds
        while not (idle := all(lane.wait_idle(SLICE) for lane in self.lanes.values())):
            if time.monotonic() >= ends or (hurry is not None and hurry.is_set()):
                break
        self._drained.set()
        for lane in self.lanes.values():
            lane.close()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(5)
        return idle

    def _claim(self, name: str, ids: Sequence[UUID] | None, expired: bool = False) -> tuple[int, int]:
        """(places reserved, jobs taken). Raises SQLAlchemyError; the places are free again then.

        With `expired` also those of a worker that is dead.
        """
        doubt = self._doubt
        if doubt is not self._settled:
            self._before()
            self._settled = doubt
        lane = self.lanes[name]
        wanted = self._settings.claim_batch if ids is None else len(ids)
        places = lane.reserve(wanted)
        if not places:
            return 0, 0
        claimed: list[Job] = []
        try:
            lease, suspects = self._settings.lease, 0 if self._runs_suspect() else 1
            claimed = jobs.claim(self._leases, name, places, self._name, lease, ids, expired=expired, suspects=suspects)
        finally:
            lane.give_back(places - len(claimed))
        with self._held_lock:
            self._held.update((job.id, job) for job in claimed)
        if claimed:
            metrics.CLAIMED.labels(name).inc(len(claimed))
            lane.warm_up()
        # What has lost a worker runs alone.
        for job in claimed:
            if job.lease_losses:
                metrics.TAKEN_OVER.labels(name).inc()
                lane.start(partial(self._run_together, lane, [job]))
        if fresh := [job for job in claimed if not job.lease_losses]:
            lane.start(partial(self._run_together, lane, fresh))
        return places, len(claimed)

    def _runs_suspect(self) -> bool:
        """Does a job run here that has lost more than one worker? Then no other such job is to be charged with it."""
        with self._held_lock:
            return any(job.lease_losses > 1 for job in self._held.values())

    def _run_together(self, lane: Lane, claimed: list[Job]) -> None:
        """In one of the places that were reserved; the others are filled as soon as it is known what to run."""
        try:
            runs = self._prepare(self.core, claimed)
        except Exception:
            log.exception("jobs_not_prepared", count=len(claimed))
            runs = [_nothing] * len(claimed)
        pairs = list(zip(claimed, runs, strict=True))
        for job, work in pairs[1:]:
            lane.start(partial(self._run, job, work))
        self._run(*pairs[0])

    def _run(self, job: Job, work: Callable[[], object]) -> None:
        left = False
        try:
            left = work() is False
        except Exception:
            # A mistake of ours must cost one job, not the worker; its lease runs out and brings it back.
            metrics.CRASHED.labels(job.kind).inc()
            log.exception("job_raised", job_id=job.id, kind=job.kind, attempts=job.attempts)
        finally:
            self._leave(job) if left else self._release(job)
            if job.lease_losses > 1:
                self._next_round = 0.0  # the next of those that are taken one at a time does not wait for the clock
                self._nudge.set()
            if self.lanes[job.lane].backlog:
                self._nudge.set()

    def _leave(self, job: Job) -> None:
        """Held on to until Postgres can be told: with its lease run out, we would count as dead."""
        with self._held_lock:
            self._left[job.id] = job

    def _give_back(self) -> None:
        with self._held_lock:
            left = list(self._left.values())
        jobs.give_back(self._leases, self._name, [(job.id, job.fence) for job in left])
        for job in left:
            self._release(job)
            with self._held_lock:
                if self._left.get(job.id) is job:
                    del self._left[job.id]

    def _release(self, job: Job) -> None:
        with self._held_lock:
            # After a lost lease the same job may have been claimed again, under another fence.
            if self._held.get(job.id) is job:
                del self._held[job.id]

    def _poll(self) -> None:
        while not self._stopping.is_set():
            due = time.monotonic() >= self._next_round
            if due:
                # Workers that started together drift apart.
                self._next_round = time.monotonic() + self._settings.poll_interval * random.uniform(0.9, 1.0)  # noqa: S311
            if self._guarded(partial(self._poll_lanes, due)):
                self._rest(max(0.0, self._next_round - time.monotonic()))
            else:
                self._stopping.wait(BACK_OFF)

    def _rest(self, seconds: float) -> None:
        """Until the next look: soon while a lane is warm, as soon as places are free while one has a backlog."""
        warm = [lane for lane in self.lanes.values() if lane.warm]
        if warm:
            busy = any(lane.places - lane.free > BUSY for lane in warm)
            self._stopping.wait(min(seconds, 2 * SETTLE if busy else SETTLE))
        elif self._nudge.wait(seconds):
            self._stopping.wait(SETTLE)
        self._nudge.clear()

    def _poll_lanes(self, all_of_them: bool) -> None:
        for name, lane in self.lanes.items():
            if not all_of_them and not lane.backlog and not lane.warm:
                continue
            while not self._stopping.is_set():
                lane.backlog = True
                places, taken = self._claim(name, None, expired=all_of_them and time.monotonic() >= self._deaths_from)
                if taken < places:
                    lane.backlog = False
                    break
                if not places:
                    break

    def _renew(self) -> None:
        while not self._drained.wait(self._settings.lease_renewal):
            while not self._guarded(self._renew_once):
                if self._drained.wait(BACK_OFF):
                    return

    def _renew_once(self) -> None:
        self._give_back()
        with self._held_lock:
            held = list(self._held.values())
        pairs = [(job.id, job.fence) for job in held]
        ours = jobs.renew(self._leases, self._name, pairs, self._settings.lease)
        missing = {job.id for job in held if job.id not in ours}
        for job in held:
            # Missing once may mean that it ended in this moment; twice, that another worker has it. Whatever this
            # run still writes is then refused by the fence.
            if job.id in missing & self._missing:
                metrics.LEASES_LOST.inc()
                log.warning("lease_lost", job_id=job.id, kind=job.kind, fence=job.fence)
                self._release(job)
        self._missing = missing

    def _guarded(self, step: Callable[[], None]) -> bool:
        """Do one step of an endless thread, which must survive whatever happens to it."""
        try:
            step()
        except sa.exc.SQLAlchemyError as error:
            self._outage.note(error)
            self._doubt = object()
            # Leases ran out while Postgres was away: whoever lives renews its own before it can count as dead.
            self._deaths_from = time.monotonic() + self._settings.lease_renewal + 2 * BACK_OFF
            return False
        except Exception:
            log.exception("engine_step_failed")
            return False
        self._outage.over()
        return True
