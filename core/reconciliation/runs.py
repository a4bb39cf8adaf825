"""A run: one comparison of one account over one window, slice by slice, so that it goes on where a crash ended it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

import sqlalchemy as sa
import structlog
from sqlalchemy.engine import Connection

from core import points
from core.audit import log as audit
from core.domain.errors import FieldError, NotFoundError, RequestRefused, StateConflict
from core.domain.identifiers import new_id, public_id
from core.domain.outcomes import NotExecuted
from core.domain.representations import timestamp
from core.orchestration import execute, jobs, provider_manager
from core.orchestration.context import Core
from core.orchestration.jobs import Job
from core.orchestration.provider_manager import OpenedAccount
from core.persistence.database import Scope, present
from core.persistence.queries.reading import Page, page
from core.persistence.tables import provider_accounts, reconciliation_runs
from core.providers.base import ListingBroken
from core.reconciliation import run_ends
from core.reconciliation.pages import NotNow
from core.reconciliation.slices import SliceResult

log = structlog.get_logger()

Row = Mapping[Any, Any]
Kind = Literal["missed_events", "two_way", "statement"]
#: Reads one slice: (core, scope, account, run, since, until). No transaction is open while the provider is asked.
#: Raises ListingBroken, and NotNow where the provider is not to be asked for a while.
Comparison = Callable[[Core, Scope, OpenedAccount, UUID, datetime, datetime], SliceResult]

#: How much of a window is read at a time: what a crash makes us read again, and what is held in memory.
SLICES: Mapping[str, timedelta] = {
    "missed_events": timedelta(hours=6),
    "two_way": timedelta(hours=4),
    "statement": timedelta(days=1),
}
#: No provider tells more than a year back without effort; a longer wish is most likely a slip.
LONGEST = timedelta(days=400)
#: Seconds of work before others in the lane have their turn.
TURN = 60.0
#: Seconds before a list that broke off is read again, unless the provider names more; then the run has failed.
RETRIES = (10.0, 60.0, 300.0, 1800.0, 3600.0)
#: Tries of one slice that may end before the provider's turn came: at its longest pause of an hour, half a day.
MOST_WAITS = 12

_DONE = sa.text("SELECT coalesce((progress ->> 'done')::int, 0) FROM reconciliation_runs WHERE id = :run")


@dataclass(frozen=True, slots=True)
class Window:
    """UTC; `since` belongs to it, `until` does not."""

    since: datetime
    until: datetime

    def slices(self, length: timedelta) -> Iterator[tuple[datetime, datetime]]:
        at = self.since
        while at < self.until:
            yield at, min(at + length, self.until)
            at += length


def start(
    core: Core, scope: Scope, account_id: UUID, kind: Kind, window: Window, by: str, origin: audit.Origin | None = None
) -> UUID:
    """Queue a run. Raises NotFoundError; RequestRefused for a window that cannot be; StateConflict while one of the
    kind is under way for the account."""
    run_id = new_id()
    try:
        with core.transaction(scope) as connection:
            _check(connection, scope, account_id, window)
            run_ends.end_left(connection, scope, account_id, kind)
            job_id = jobs.enqueue(connection, scope, "reconcile", target_id=run_id, arguments={"actor": by})
            values = {
                "id": run_id,
                "merchant_id": scope.merchant_id,
                "mode": scope.mode,
                "provider_account_id": account_id,
                "kind": kind,
                "status": "queued",
                "window_from": window.since,
                "window_until": window.until,
                "job_id": job_id,
                "started_by": by,
                "progress": {},
                "counts": {},
                "sums": {},
                "findings": 0,
            }
            connection.execute(reconciliation_runs.insert().values(values))
            run_ends.record(connection, scope, run_id, by, "reconciliation.started", {"kind": kind}, job_id, origin)
    except sa.exc.IntegrityError as error:
        if "reconciliation_runs_one" not in str(error.orig):
            raise
        raise StateConflict(
            f"a run of kind {kind} is under way for this account: wait for it, `tollgate reconcile list` shows it",
            code="run_in_progress",
        ) from None
    return run_id


def _check(connection: Connection, scope: Scope, account_id: UUID, window: Window) -> None:
    columns = provider_accounts.c
    query = sa.select(columns.id).where(
        columns.id == account_id, columns.merchant_id == scope.merchant_id, columns.mode == scope.mode
    )
    if connection.execute(query).first() is None:
        raise NotFoundError("there is no such provider account; `tollgate accounts list` shows them")
    now, errors = present(connection), []
    if window.until > now:
        errors.append(FieldError("until", f"must not be in the future: it is {timestamp(now)}"))
    if window.since >= window.until:
        errors.append(FieldError("since", "must be before `until`"))
    if window.until - window.since > LONGEST:
        errors.append(FieldError("since", f"must be at most {LONGEST.days} days before `until`"))
    if errors:
        raise RequestRefused("the window cannot be compared", errors=errors)


def carry_out(core: Core, job: Job, comparisons: Mapping[str, Comparison]) -> None:
    """A run's job: the slices that are not read yet, until its turn is over or all are read."""
    run = _begin(core, job)
    if run is None:
        return
    try:
        if not _read_on(core, job, run, comparisons[run["kind"]]):
            with core.transaction(job.scope) as connection:
                jobs.keep_back(connection, job, 0.0, progressed=True)
            return
    except ListingBroken as broken:
        _broke_off(core, job, run, broken)
        return
    except NotNow as kept_back:
        _wait_for_turn(core, job, run, kept_back.seconds)
        return
    except jobs.LeaseLost:
        raise
    except Exception as error:  # a fault of ours must not keep the account from being compared ever again
        if execute.is_trouble(error) or job.attempts <= len(RETRIES):
            raise
        log.exception("run_failed")
        _end(core, job, run, "failed", {"code": "internal_error", "message": type(error).__name__})
        return
    _end(core, job, run, "succeeded", None)


def _begin(core: Core, job: Job) -> Row | None:
    """None for a run that has ended: its job ends with it."""
    with core.transaction(job.scope, commit=points.announcing(job.kind)) as connection:
        query = sa.select(reconciliation_runs).where(reconciliation_runs.c.id == job.target)
        run = connection.execute(query.with_for_update()).mappings().one()
        if run["status"] not in run_ends.OPEN:
            jobs.finish(connection, job)
            return None
        jobs.check_lease(connection, job)
        jobs.count_attempt(connection, job)
        run_ends.write(connection, run, {"status": "running"})
        return run


def _read_on(core: Core, job: Job, run: Row, compare: Comparison) -> bool:
    """False where the turn was over before the window was."""
    with core.transaction(job.scope) as connection:
        account = provider_manager.open_account(core, connection, job.scope, run["provider_account_id"])
    until = time.monotonic() + TURN
    window = Window(run["window_from"], run["window_until"])
    done = dict(run["progress"].get("slices", {}))
    for since, end in window.slices(SLICES[run["kind"]]):
        if since.isoformat() in done:
            continue
        result = compare(core, job.scope, account, run["id"], since, end)
        done[since.isoformat()] = [dict(result.counts), dict(result.sums), result.findings]
        _keep(core, job, run, done)
        if time.monotonic() > until and end < window.until:
            return False
    return True


def _wait_for_turn(core: Core, job: Job, run: Row, seconds: float) -> None:
    """What was read is kept. A turn that brought a slice counts as no try; one that brought none does, and a list that
    is longer than the provider's limit lets us read would otherwise be begun for ever."""
    error = {"code": "provider_busy", "message": "the provider is asked too much to be asked for this list now"}
    with core.transaction(job.scope) as connection:
        done = connection.execute(_DONE, {"run": run["id"]}).scalar_one()
        if done > run["progress"].get("done", 0):
            jobs.keep_back(connection, job, seconds, progressed=True)
            return
        if job.attempts <= MOST_WAITS:
            jobs.requeue(connection, job, seconds, error)
            return
    _end(core, job, run, "failed", error)


def _keep(core: Core, job: Job, run: Row, done: Mapping[str, list[Any]]) -> None:
    """A slice's figures replace what an earlier reading of it left, so that repeating doubles nothing."""
    counts, sums, findings = Counter[str](), Counter[str](), 0
    for slice_counts, slice_sums, slice_findings in done.values():
        counts.update(slice_counts)
        sums.update(slice_sums)
        findings += slice_findings
    total = len(list(Window(run["window_from"], run["window_until"]).slices(SLICES[run["kind"]])))
    progress = {"slices": dict(done), "done": len(done), "total": total}
    with core.transaction(job.scope, commit=points.settling(job.kind)) as connection:
        jobs.check_lease(connection, job)
        values = {"progress": progress, "counts": dict(counts), "sums": dict(sums), "findings": findings}
        run_ends.write(connection, run, values)


def _broke_off(core: Core, job: Job, run: Row, broken: ListingBroken) -> None:
    """The provider's list ended in the middle: what was read is kept, the rest is read later."""
    outcome = broken.outcome
    why = outcome.detail if isinstance(outcome, NotExecuted) else str(dict(outcome.evidence))[:300]
    error = {"code": "list_broken", "message": f"the provider's list broke off: {why}"}
    if job.attempts > len(RETRIES):
        _end(core, job, run, "failed", error)
        return
    named = (outcome.retry_after or 0.0) if isinstance(outcome, NotExecuted) else 0.0
    with core.transaction(job.scope) as connection:
        run_ends.write(connection, run, {"error": error})
        jobs.requeue(connection, job, max(RETRIES[job.attempts - 1], named), error)


def _end(core: Core, job: Job, run: Row, status: str, error: Mapping[str, Any] | None) -> None:
    with core.transaction(job.scope, commit=points.settling(job.kind)) as connection:
        jobs.check_lease(connection, job)
        run_ends.write(connection, run, {"status": status, "error": error, "finished_at": sa.func.app_now()})
        query = sa.select(reconciliation_runs).where(reconciliation_runs.c.id == run["id"])
        ended = connection.execute(query).mappings().one()
        told = {"kind": run["kind"], "counts": ended["counts"], "findings": ended["findings"]}
        run_ends.record(connection, job.scope, run["id"], "worker", f"reconciliation.{status}", told, job.id)
        jobs.finish(connection, job, "succeeded" if status == "succeeded" else "failed", error)
    log.info("reconciled", kind=run["kind"], outcome=status, count=ended["findings"])


def find(core: Core, scope: Scope | None, run_id: UUID) -> Row:
    """Without a scope: of any merchant. Raises NotFoundError."""
    columns = reconciliation_runs.c
    query = sa.select(reconciliation_runs).where(columns.id == run_id)
    if scope is not None:
        query = query.where(columns.merchant_id == scope.merchant_id, columns.mode == scope.mode)
    with core.database.unscoped() if scope is None else core.database.scoped(scope) as connection:
        row = connection.execute(query).mappings().one_or_none()
    if row is None:
        raise NotFoundError("there is no such run; `tollgate reconcile list` shows them")
    return row


def list_runs(core: Core, scope: Scope, limit: int, after: UUID | None, **equals: Any) -> list[Row]:
    """Newest first, one more than the limit where there are more."""
    wanted = Page(limit, after, {name: value for name, value in equals.items() if value is not None})
    with core.database.scoped(scope) as connection:
        return list(page(connection, reconciliation_runs, scope, wanted))


def shown(row: Row) -> dict[str, Any]:
    """The public form of a run."""
    progress = row["progress"]
    return {
        "id": public_id("reconciliation_run", row["id"]),
        "kind": row["kind"],
        "status": row["status"],
        "provider_account": public_id("provider_account", row["provider_account_id"]),
        "since": timestamp(row["window_from"]),
        "until": timestamp(row["window_until"]),
        "slices_done": progress.get("done", 0),
        "slices": progress.get("total"),
        "counts": row["counts"],
        "sums": row["sums"],
        "findings": row["findings"],
        "error": row["error"],
        "started_by": row["started_by"],
        "created_at": timestamp(row["created_at"]),
        "updated_at": timestamp(row["updated_at"]),
        "finished_at": timestamp(row["finished_at"]),
    }
