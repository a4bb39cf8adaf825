"""Kills a process at every crash point of every operation, and looks whether anything was lost or done twice."""

from __future__ import annotations

import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from core.domain.identifiers import parse_id
from tests.chaos.crossing import OPERATIONS
from tests.chaos.operations import Case, Operation
from tests.chaos.report import Options, Report, Row, Verdict
from tests.chaos.settings import OWN_LEASES
from tests.chaos.stage import Stage, Stuck
from tests.support.waiting import wait_until

#: Processes that may die in one wave: five lost workers in a row make a job a poison job, which none of these is.
MOST_DEATHS = 4
#: Cases prepared at the same time.
PREPARED = 12
#: Seconds: until a point is met, until an operation is answered, until all is quiet, until an event has arrived.
MET, ANSWERED, QUIET, DELIVERED = 30.0, 60.0, 90.0, 30.0
#: Seconds without a death or a recovery after which the rest of a wave is not waited for: another's death may have
#: ended what it was to die in, and it is run again alone.
BESIDE = 8.0
#: The issue's bound, in seconds, for the jobs of a process that was killed.
CLAIMED_AGAIN = 10.0
EVERY = 0.05
#: Seconds in which a provider says what it has to say "later".
LATE = 10.0
OWN = ", lease of 6 s"
UNMET = "nothing died: the point was never reached"

_WAITING = (
    "SELECT id::text AS id, fence FROM jobs WHERE status = 'running' OR (status = 'queued' AND run_after <= app_now())"
)
_STILL = (
    "SELECT id::text AS id, fence FROM jobs WHERE id = ANY(%s::uuid[]) "
    "AND (status = 'running' OR (status = 'queued' AND run_after <= app_now()))"
)
_JOBS = "SELECT kind, status, error FROM jobs WHERE payment_id = %s::uuid"


@dataclass
class Run:
    """A pair of operation and point, and what came of it."""

    operation: Operation
    point: str
    case: Case = field(default_factory=Case)
    order: str = ""
    died_at: float | None = None
    answered_at: float | None = None
    waiting: dict[str, int] | None = None
    recovered: float | None = None
    jobs: int = 0
    wrong: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"{self.point} x {self.operation.name}"

    def attempt(self, what: str, step: Callable[[], object]) -> None:
        """A step that fails is the case's failure, and no other case's."""
        try:
            step()
        except Exception as error:  # noqa: BLE001 - told in the case's row
            where = traceback.extract_tb(error.__traceback__)[-1]
            self.wrong.append(f"{what}: {type(error).__name__}: {error} ({Path(where.filename).name}:{where.lineno})")


def run(options: Options) -> Report:
    report = Report("crash", options.seed)
    runs = [one for one in every_pair() if options.only is None or options.only in one.name]
    if runs:
        with Stage(options.scratch / "crash", seed=options.seed) as stage:
            _together(stage, runs, report, complete=options.only is None)
    _with_own_leases(options, report)
    return report


def every_pair() -> list[Run]:
    return [Run(operation, point) for operation in OPERATIONS for point in operation.points]


def waves(runs: Sequence[Run]) -> Iterator[list[Run]]:
    """Each kind at most once in a wave: a point that is armed for a kind is met by that case alone."""
    queues: dict[str, deque[Run]] = {}
    for one in runs:
        queues.setdefault("" if one.operation.alone else one.operation.kind, deque()).append(one)
    alone = queues.pop("", deque())
    while queues:
        longest = sorted(queues, key=lambda kind: -len(queues[kind]))[:MOST_DEATHS]
        yield [queues[kind].popleft() for kind in longest]
        queues = {kind: queue for kind, queue in queues.items() if queue}
    # Those that move time come last: pages and holds of the others would end.
    for one in sorted(alone, key=lambda one: one.operation.moves_time):
        yield [one]


def _together(stage: Stage, runs: Sequence[Run], report: Report, *, complete: bool) -> None:
    _prepare(stage, [one for one in runs if not one.operation.moves_time])
    again: list[Run] = []
    for wave in waves(runs):
        if wave[0].operation.moves_time:
            _prepare(stage, wave)
        _wave(stage, [one for one in wave if not one.wrong])
        # Another's death may have ended its call, and a webhook its job, before it came to its own point.
        unmet = [one for one in wave if one.wrong == [UNMET] and len(wave) > 1]
        again += [Run(one.operation, one.point) for one in unmet]
        _end(stage, report, [one for one in wave if one not in unmet])
    for one in again:
        _prepare(stage, [one])
        _wave(stage, [one])
        _end(stage, report, [one])
    if complete:
        _told_of_all(stage, report)


def _prepare(stage: Stage, runs: Sequence[Run]) -> None:
    def prepare(one: Run) -> None:
        one.attempt("prepare", lambda: one.operation.prepare(stage, one.case))

    with ThreadPoolExecutor(PREPARED) as pool:
        list(pool.map(prepare, runs))
    stage.quiet(QUIET, advance=True)


def _wave(stage: Stage, wave: Sequence[Run]) -> None:
    for one in wave:
        one.order = stage.arm(one.point, one.operation.kind, one.operation.nth)
    threads = [threading.Thread(target=_act, args=(stage, one), daemon=True) for one in wave]
    for thread in threads:
        thread.start()
    _watch(stage, wave)
    for thread in threads:
        thread.join(ANSWERED)
    for one in wave:
        if stage.disarm(one.order) or one.died_at is None:
            one.wrong.append(UNMET)
        if one.answered_at is None and not one.wrong:
            one.wrong.append(f"not answered within {ANSWERED} s")
    _settle(stage, wave)
    for one in wave:
        one.attempt("follow", partial(one.operation.follow, stage, one.case))
    _settle(stage, wave)
    for one in wave:
        one.attempt("check", partial(_check, stage, one))


def _act(stage: Stage, one: Run) -> None:
    one.attempt("act", lambda: one.operation.act(stage, one.case))
    one.answered_at = time.time()


def _settle(stage: Stage, wave: Sequence[Run]) -> None:
    try:
        stage.quiet(QUIET, advance=True)
    except Stuck as stuck:
        for one in wave:
            one.wrong.append(str(stuck))


def _watch(stage: Stage, wave: Sequence[Run]) -> None:
    """Until every process that was to die has died, and what it left was claimed again."""
    now = last = time.monotonic()
    end = now + MET
    while now < end and any(one.recovered is None for one in wave):
        if len(wave) > 1 and now > last + BESIDE and not any(one.died_at and not one.recovered for one in wave):
            break
        deaths = {one["name"]: one["at"] for one in stage.fired()}
        for one in wave:
            if one.died_at is None and one.order in deaths:
                one.died_at, last = deaths[one.order], now
                one.waiting = {row["id"]: row["fence"] for row in stage.query(_WAITING)}
            elif one.waiting is not None and one.recovered is None and _moved(stage, one.waiting):
                one.recovered, last = time.time() - (one.died_at or 0), now
        stage.pause(EVERY)
        now = time.monotonic()
    for one in wave:
        if one.died_at is not None and (one.recovered is None or one.recovered > CLAIMED_AGAIN):
            shown = f"after {one.recovered:.1f} s" if one.recovered else f"not after {MET} s"
            one.wrong.append(f"due jobs were claimed again {shown}")


def _moved(stage: Stage, waiting: dict[str, int]) -> bool:
    """Has every job that waited or ran at the death been claimed since, or ended?"""
    rows = stage.query(_STILL, list(waiting))
    return all(row["fence"] > waiting[row["id"]] for row in rows)


def _check(stage: Stage, one: Run) -> None:
    one.wrong += one.operation.check(stage, one.case)
    payment = str(parse_id("payment", one.case.payment))

    def ended() -> list[dict[str, Any]]:
        rows = stage.query(_JOBS, payment)
        return rows if all(row["status"] not in ("queued", "running") for row in rows) else []

    jobs = wait_until(ended, f"the jobs of {one.case.payment} to end", DELIVERED, every=0.1)
    one.jobs = len(jobs)
    for job in jobs:
        reviewed = one.operation.review if job["kind"] == one.operation.kind else ""
        ended = ("needs_review", reviewed) if reviewed else ("succeeded", "")
        if (job["status"], (job["error"] or {}).get("code", "") if reviewed else "") != ended:
            one.wrong.append(f"{job['kind']} is {job['status']}: {job['error']}")
    events = stage.query("SELECT id FROM events WHERE payment_id = %s::uuid", payment)
    expected = {str(row["id"]) for row in events}

    def missing() -> set[str]:
        return expected - {str(parse_id("event", event["id"])) for event in stage.events()}

    wait_until(lambda: not missing(), f"{len(expected)} events of {one.case.payment} to arrive", DELIVERED, every=0.1)
    unlike = [event["id"] for event in stage.events() if event["webhook_id"] != event["id"]]
    one.wrong += [f"an event came under another id: {unlike}"] if unlike else []


def _end(stage: Stage, report: Report, wave: Sequence[Run], mark: str = "") -> None:
    """The invariants over everything, then the rows. What is still broken when all is quiet is one of the wave's."""
    end = time.monotonic() + LATE
    while (broken := stage.invariants()) and time.monotonic() < end:
        # A provider may have more to say a moment later: a refund that is done, a dispute that is decided.
        _settle(stage, wave)
    told = {line for row in report.rows for line in row.note.splitlines()}
    for one in wave:
        one.wrong += [text for found in broken if (text := str(found)) not in told]
        _tell(report, one, one.name + mark)


def _tell(report: Report, one: Run, name: str) -> None:
    verdict: Verdict = "FAILED" if one.wrong else "ok"
    faults = int(one.died_at is not None)
    report.add(Row(name, faults, one.jobs, one.recovered, verdict, "\n".join(dict.fromkeys(one.wrong))))


def _told_of_all(stage: Stage, report: Report) -> None:
    """A pair that a process met and no row has is a gap of the table."""
    listed = {(point, operation.kind) for operation in OPERATIONS for point in operation.points}
    missing = sorted(stage.crashes.seen() - listed)
    note = ", ".join(f"{point} x {kind}" for point, kind in missing)
    report.add(Row("every pair that was met has a row", 0, 0, None, "FAILED" if missing else "ok", note))


def _with_own_leases(options: Options, report: Report) -> None:
    """The bound as an installation would see it: the product's own lease of six seconds."""
    chosen = [
        Run(operation, point)
        for operation in OPERATIONS
        if operation.name == "create by token, Stripe"
        for point in ("job.claimed", "job.announced", "call.answered")
    ]
    chosen = [one for one in chosen if options.only is None or options.only in one.name + OWN]
    if not chosen:
        return
    with Stage(options.scratch / "own", seed=options.seed, settings=OWN_LEASES) as stage:
        _prepare(stage, chosen)
        for one in chosen:
            _wave(stage, [one])
            _end(stage, report, [one], OWN)
