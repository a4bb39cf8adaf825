"""Durable jobs: claimed in Postgres under a lease and a fence; the only writer of a job's status."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.domain.identifiers import new_id, public_id
from core.domain.statuses import check_step
from core.orchestration.backoff import spread
from core.persistence import pipeline
from core.persistence.database import Database, Scope
from core.persistence.queries.findings import open_finding
from core.persistence.tables import jobs

#: Which lane carries which kind of job. A slow merchant endpoint must never stand in money's way.
LANES: Mapping[str, str] = {
    "create_payment": "payments",
    "capture_payment": "payments",
    "cancel_payment": "payments",
    "refund_payment": "payments",
    "close_payment": "payments",
    "sync_payment": "payments",
    "expire_payment": "payments",
    "sync_dispute": "payments",
    "send_evidence": "payments",
    "accept_dispute": "payments",
    "forget_method": "payments",
    "push_customer": "payments",
    "process_webhook": "webhooks",
    "deliver_event": "deliveries",
    "reconcile": "maintenance",
}
#: A job whose worker died this often is a poison job and goes to a person.
MAX_LEASE_LOSSES = 5


class LeaseLost(Exception):
    """Another worker holds the job now; what this one found must not be written."""


@dataclass(frozen=True, slots=True)
class Job:
    """A claimed job. `fence` must still be the row's when anything is written for it.

    `attempts` is the number of this attempt, from 1. It is stored once something is announced, or when the job is
    put back or ended: a claim alone is no attempt. `lease_losses` are the deaths in a row of workers that held it.
    """

    id: UUID
    fence: int
    kind: str
    lane: str
    scope: Scope
    payment_id: UUID | None
    target_id: UUID | None
    endpoint_id: UUID | None
    arguments: Mapping[str, Any]
    attempts: int
    created_at: datetime
    lease_losses: int = 0

    @property
    def reference(self) -> str:
        """The job as the audit log names it."""
        return f"job {public_id('job', self.id)}"

    @property
    def payment(self) -> UUID:
        """The payment of a job that cannot be without one."""
        if self.payment_id is None:
            raise LookupError(f"job {self.id} of kind {self.kind} names no payment")
        return self.payment_id

    @property
    def target(self) -> UUID:
        """The refund, dispute, inbox event or event a job is about."""
        if self.target_id is None:
            raise LookupError(f"job {self.id} of kind {self.kind} names no target")
        return self.target_id


def enqueue(
    connection: Connection,
    scope: Scope,
    kind: str,
    *,
    payment_id: UUID | None = None,
    target_id: UUID | None = None,
    endpoint_id: UUID | None = None,
    arguments: Mapping[str, Any] | None = None,
    job_id: UUID | None = None,
) -> UUID:
    """Store a queued job in the caller's transaction."""
    chosen = job_id or new_id()
    values = {
        "id": chosen,
        "merchant_id": scope.merchant_id,
        "mode": scope.mode,
        "kind": kind,
        "lane": LANES[kind],
        "status": "queued",
        "payment_id": payment_id,
        "target_id": target_id,
        "endpoint_id": endpoint_id,
        "arguments": arguments or {},
    }
    pipeline.insert(connection, jobs, values)
    _hint(connection, LANES[kind], chosen)
    return chosen


#: Part of a statement whose `made` holds the inbox event's id: the job of reading it.
QUEUE_WEBHOOK = (
    "INSERT INTO jobs (id, merchant_id, mode, kind, lane, status, target_id) "
    "SELECT CAST(%(job)s AS uuid), CAST(%(merchant)s AS uuid), CAST(%(mode)s AS text), "
    "'process_webhook', 'webhooks', 'queued', made.id FROM made"
)


def _hint(connection: Connection, lane: str, job_id: UUID) -> None:
    """Remember the job until the commit; `Core.transaction` wakes a worker after it."""
    hints = connection.info.get("hints")
    if hints is not None:
        hints.append((lane, job_id))


_ENQUEUE_SYNC = sa.text(
    "INSERT INTO jobs (id, merchant_id, mode, kind, lane, status, payment_id, arguments) "
    "VALUES (:id, :merchant, :mode, 'sync_payment', 'payments', 'queued', :payment, CAST(:arguments AS jsonb)) "
    "ON CONFLICT (payment_id) WHERE kind = 'sync_payment' AND status = 'queued' "
    "DO UPDATE SET run_after = LEAST(jobs.run_after, EXCLUDED.run_after), "
    "arguments = jobs.arguments || EXCLUDED.arguments RETURNING id"
)


def enqueue_sync(connection: Connection, scope: Scope, payment_id: UUID, *, told: bool = False) -> UUID:
    """One waiting look at a payment, however many reasons there are for it.

    `told`: the provider says that something has happened to its charge, so one look that sees nothing is not enough.
    """
    values = {"id": new_id(), "merchant": scope.merchant_id, "mode": scope.mode, "payment": payment_id}
    values["arguments"] = '{"told": true}' if told else "{}"
    found: UUID = connection.execute(_ENQUEUE_SYNC, values).scalar_one()
    _hint(connection, LANES["sync_payment"], found)
    return found


_OTHER_SYNC = sa.text(
    "SELECT 1 FROM jobs WHERE payment_id = :payment AND kind = 'sync_payment' AND status = 'queued' LIMIT 1"
)


def sync_waits(connection: Connection, payment_id: UUID) -> bool:
    """Is another look at the payment queued already?"""
    return connection.execute(_OTHER_SYNC, {"payment": payment_id}).first() is not None


_RETURNING = (
    "RETURNING j.id, j.fence, j.kind, j.lane, j.merchant_id, j.mode, j.payment_id, j.target_id, j.endpoint_id, "
    "j.arguments, j.attempts + 1 AS attempts, j.created_at, j.lease_losses"
)
_TAKE = (
    "UPDATE jobs j SET status = 'running', fence = j.fence + 1, worker = %(worker)s, "
    "lease_until = (SELECT app_now()) + make_interval(secs => %(lease)s), "
    "started_at = coalesce(j.started_at, (SELECT app_now()))"
)
# Nothing is claimed while the installation is paused, whoever asks and however it was hinted.
_RUNS = "AND (SELECT paused_at IS NULL FROM installation) "
_CLAIM_QUEUED = (
    "WITH due AS (SELECT id FROM jobs WHERE lane = %(lane)s AND status = 'queued' AND run_after <= (SELECT app_now()) "
    f"{_RUNS}"
    "ORDER BY run_after LIMIT %(limit)s FOR UPDATE SKIP LOCKED) "
    f"{_TAKE} FROM due WHERE j.id = due.id {_RETURNING}"
)
# Found by their ids before anything else is asked of them: Postgres would rather walk the whole queue for the rest.
_CLAIM_NAMED = (
    "WITH named AS MATERIALIZED (SELECT id, lane, status, run_after FROM jobs WHERE id = ANY(CAST(%(ids)s AS uuid[])) "
    "FOR UPDATE SKIP LOCKED), "
    "due AS (SELECT id FROM named WHERE lane = %(lane)s AND status = 'queued' AND run_after <= (SELECT app_now()) "
    f"{_RUNS}LIMIT %(limit)s) "
    f"{_TAKE} FROM due WHERE j.id = due.id {_RETURNING}"
)
# The lease ran out: its worker is dead or asleep. The raised fence keeps what it may still write out.
# A job that has lost more than one worker may be what kills them: of those few are taken at a time, so that its deaths
# are not counted against many others.
_EXPIRED = (
    "SELECT id FROM jobs WHERE status = 'running' AND lease_until < (SELECT app_now()) AND lane = %(lane)s "
    f"{_RUNS}"
    "AND lease_losses {which} ORDER BY lease_until LIMIT {limit} FOR UPDATE SKIP LOCKED"
)
_CLAIM_EXPIRED = (
    f"WITH again AS MATERIALIZED ({_EXPIRED.format(which='> 0', limit='%(suspects)s')}), "
    f"once AS MATERIALIZED ({_EXPIRED.format(which='= 0', limit='%(limit)s - (SELECT count(*) FROM again)')}), "
    "due AS (SELECT id FROM again UNION ALL SELECT id FROM once) "
    f"{_TAKE}, lease_losses = j.lease_losses + 1 FROM due WHERE j.id = due.id {_RETURNING}"
)


def claim(
    database: Database,
    lane: str,
    limit: int,
    worker: str,
    lease: float,
    ids: Sequence[UUID] | None = None,
    *,
    expired: bool = True,
    suspects: int = 1,
) -> list[Job]:
    """Take up to `limit` due jobs of a lane in one statement; with `ids`, only those that are due among them.

    `lease` in seconds. Without `ids` and with `expired`, jobs whose lease ran out are taken over first; of those that
    have lost more than one worker at most `suspects`.
    """
    values: dict[str, Any] = {"lane": lane, "limit": limit, "worker": worker, "lease": lease, "suspects": suspects}
    if ids is not None or not expired:
        with database.glance() as connection:
            if ids is None:
                return [_job(row) for row in pipeline.fetch(connection, _CLAIM_QUEUED, values)]
            return [_job(row) for row in pipeline.fetch(connection, _CLAIM_NAMED, {**values, "ids": list(ids)})]
    taken: list[Job] = []
    with database.unscoped() as connection:
        for row in pipeline.fetch(connection, _CLAIM_EXPIRED, values):
            if row["lease_losses"] > MAX_LEASE_LOSSES:
                _give_up(connection, _job(row))
            else:
                taken.append(_job(row))
        values["limit"] = limit - len(taken)
        if values["limit"] > 0:
            taken += [_job(row) for row in pipeline.fetch(connection, _CLAIM_QUEUED, values)]
    return taken


def _job(row: pipeline.Found) -> Job:
    return Job(
        id=row["id"],
        fence=row["fence"],
        kind=row["kind"],
        lane=row["lane"],
        scope=Scope(row["merchant_id"], row["mode"]),
        payment_id=row["payment_id"],
        target_id=row["target_id"],
        endpoint_id=row["endpoint_id"],
        arguments=row["arguments"],
        attempts=row["attempts"],
        created_at=row["created_at"],
        lease_losses=row["lease_losses"],
    )


def _give_up(connection: Connection, job: Job) -> None:
    # This claim only finds that there were too many.
    job = replace(job, attempts=job.attempts - 1)
    review(connection, job, "worker_lost", "every worker that took this job died; a person must look at it")


def review(connection: Connection, job: Job, code: str, message: str) -> None:
    """Hand a job to a person, with a finding that says so. Raises LeaseLost."""
    open_finding(connection, job.scope, code, str(job.id), {"why": message}, payment_id=job.payment_id, job_id=job.id)
    finish(connection, job, "needs_review", {"code": code, "message": message})


# A row that somebody has locked keeps its lease until the next round: one locked job must not cost others theirs.
_RENEW = sa.text(
    "WITH held AS (SELECT * FROM unnest(CAST(:ids AS uuid[]), CAST(:fences AS bigint[])) AS h(id, fence)), "
    "mine AS (SELECT j.id FROM jobs j JOIN held ON held.id = j.id AND held.fence = j.fence "
    "         WHERE j.status = 'running' AND j.worker = :worker FOR UPDATE OF j SKIP LOCKED), "
    "renewed AS (UPDATE jobs SET lease_until = (SELECT app_now()) + make_interval(secs => :lease) "
    "            FROM mine WHERE jobs.id = mine.id) "
    "SELECT j.id FROM jobs j JOIN held ON held.id = j.id AND held.fence = j.fence "
    "WHERE j.status = 'running' AND j.worker = :worker"
)


def renew(database: Database, worker: str, held: Sequence[tuple[UUID, int]], lease: float) -> set[UUID]:
    """Push the lease of everything a worker holds in one statement; returns what is still its own."""
    if not held:
        return set()
    values = {"ids": [str(job) for job, _ in held], "fences": [fence for _, fence in held]}
    with database.unscoped() as connection:
        found = connection.execute(_RENEW, {**values, "worker": worker, "lease": lease})
        return set(found.scalars())


# Its lease may have run out meanwhile: while nobody has taken the job over, its holder lives and says so.
_GIVE_BACK = sa.text(
    "UPDATE jobs SET status = 'queued', run_after = app_now(), lease_until = NULL, worker = NULL, lease_losses = 0 "
    "FROM unnest(CAST(:ids AS uuid[]), CAST(:fences AS bigint[])) AS h(id, fence) "
    "WHERE jobs.id = h.id AND jobs.fence = h.fence AND jobs.status = 'running' AND jobs.worker = :worker"
)


def give_back(database: Database, worker: str, left: Sequence[tuple[UUID, int]]) -> None:
    """Queue again what a worker could write nothing for, by (id, fence): it lives, so that no death is counted."""
    if left:
        values = {"ids": [str(job) for job, _ in left], "fences": [fence for _, fence in left], "worker": worker}
        with database.unscoped() as connection:
            connection.execute(_GIVE_BACK, values)


_HOLDS = sa.text(
    "SELECT 1 FROM jobs WHERE id = :id AND fence = :fence AND status = 'running' "
    "AND lease_until > (SELECT app_now()) FOR UPDATE"
)


def check_lease(connection: Connection, job: Job) -> None:
    """Raises LeaseLost unless the job is still this worker's for the rest of the transaction."""
    if _is_locked(connection, job):
        return
    if connection.execute(_HOLDS, {"id": job.id, "fence": job.fence}).first() is None:
        raise LeaseLost(str(job.id))


def locked(connection: Connection, job: Job) -> None:
    """The caller has locked the job's row and seen its fence: it is this worker's until the transaction ends."""
    pipeline.known(connection).setdefault("locked_jobs", set()).add((job.id, job.fence))


def _is_locked(connection: Connection, job: Job) -> bool:
    return (job.id, job.fence) in pipeline.known(connection).get("locked_jobs", ())


_ATTEMPT = "UPDATE jobs SET attempts = %(attempts)s WHERE id = %(id)s AND fence = %(fence)s AND status = 'running'"
_FINISH = (
    "UPDATE jobs SET status = %(status)s, attempts = %(attempts)s, error = CAST(%(error)s AS jsonb), "
    "lease_until = NULL, worker = NULL, "
    "finished_at = CASE WHEN %(status)s = 'needs_review' THEN NULL ELSE app_now() END "
    "WHERE id = %(id)s AND fence = %(fence)s AND status = 'running'"
)
_REQUEUE = (
    "UPDATE jobs SET status = 'queued', attempts = %(attempts)s, error = CAST(%(error)s AS jsonb), "
    "lease_until = NULL, worker = NULL, "
    # Whoever puts a job back is alive: only deaths in a row make a poison job.
    "lease_losses = 0, run_after = app_now() + make_interval(secs => %(delay)s) "
    "WHERE id = %(id)s AND fence = %(fence)s AND status = 'running'"
)
_KEEP_BACK = (
    "UPDATE jobs SET status = 'queued', lease_until = NULL, worker = NULL, "
    # Nothing was tried, so that it says nothing about the deaths before it.
    "attempts = %(attempts)s - 1, lease_losses = CASE WHEN %(progressed)s THEN 0 ELSE lease_losses END, "
    "run_after = app_now() + make_interval(secs => %(delay)s) "
    "WHERE id = %(id)s AND fence = %(fence)s AND status = 'running'"
)


def count_attempt(connection: Connection, job: Job) -> None:
    """Note that the job is carried out now: with what is announced for it, so that a death on the way is counted."""
    pipeline.later(connection, _ATTEMPT, {"attempts": job.attempts, "id": job.id, "fence": job.fence})


def finish(connection: Connection, job: Job, status: str = "succeeded", error: Mapping[str, Any] | None = None) -> None:
    """End a job: succeeded, failed or needs_review. Raises LeaseLost, so that the transaction rolls back."""
    _put(connection, job, _FINISH, {"status": status, "error": pipeline.json_text(error)})


def requeue(connection: Connection, job: Job, delay: float, error: Mapping[str, Any] | None = None) -> None:
    """Put a job back, due again in `delay` seconds or up to a fifth later. Raises LeaseLost."""
    _put(connection, job, _REQUEUE, {"delay": spread(delay), "error": pipeline.json_text(error)})


def keep_back(connection: Connection, job: Job, delay: float, *, progressed: bool = False) -> None:
    """Put a job back untried, due again in `delay` seconds: this claim counts as no attempt. Raises LeaseLost.

    `progressed`: a part of it was done, and the deaths of workers before that count no more.
    """
    _put(connection, job, _KEEP_BACK, {"delay": delay, "progressed": progressed})


def _put(connection: Connection, job: Job, statement: str, values: Mapping[str, Any]) -> None:
    """Whoever holds the row's lock need not wait to hear that it was written."""
    values = {**values, "attempts": job.attempts, "id": job.id, "fence": job.fence}
    if _is_locked(connection, job):
        pipeline.later(connection, statement, values)
    elif pipeline.send(connection, pipeline.render(connection, statement, values)) != 1:
        raise LeaseLost(str(job.id))


_CLOSING = sa.text(
    "SELECT kind FROM jobs WHERE payment_id = :payment AND kind IN ('capture_payment', 'cancel_payment') "
    "AND status IN ('queued', 'running', 'needs_review') LIMIT 1"
)


def closing(connection: Connection, payment_id: UUID) -> str | None:
    """The capture or cancellation of a payment that is under way, by its kind."""
    found: str | None = connection.execute(_CLOSING, {"payment": payment_id}).scalar()
    return found


_IN_REVIEW = sa.text(
    "SELECT 1 FROM jobs WHERE payment_id = :payment AND lane = 'payments' AND status = 'needs_review' LIMIT 1"
)


def in_review(connection: Connection, payment_id: UUID) -> bool:
    """Does a person have to decide something about this payment first?"""
    return connection.execute(_IN_REVIEW, {"payment": payment_id}).first() is not None


_DECIDE = (
    "UPDATE jobs SET status = %(status)s, run_after = app_now(), lease_losses = 0, "
    "attempts = CASE WHEN %(status)s = 'queued' THEN 0 ELSE attempts END, "
    "error = CASE WHEN %(status)s = 'failed' THEN error END, "
    "finished_at = CASE WHEN %(status)s = 'queued' THEN NULL ELSE app_now() END "
    "WHERE id = %(id)s AND status = 'needs_review'"
)


def decide(connection: Connection, lane: str, job_id: UUID, status: str) -> None:
    """A person's step of a job in review, whose row the caller has locked: queued, succeeded or failed.

    A queued one gets all its tries again.
    """
    check_step("job", "needs_review", status)
    pipeline.later(connection, _DECIDE, {"status": status, "id": job_id})
    if status == "queued":
        _hint(connection, lane, job_id)


_HURRY = "UPDATE jobs SET run_after = app_now(), attempts = 0, lease_losses = 0 WHERE id = %(id)s AND status = 'queued'"


def hurry(connection: Connection, lane: str, job_id: UUID) -> None:
    """Make a queued job due now, with all its tries again. The caller has locked its row."""
    pipeline.later(connection, _HURRY, {"id": job_id})
    _hint(connection, lane, job_id)


_CANCEL = sa.text(
    "UPDATE jobs SET status = 'canceled', finished_at = app_now() "
    # After a restore a queued one may have been sent.
    "WHERE payment_id = :payment AND kind = 'create_payment' AND status = 'queued' "
    "AND arguments ->> 'restored' IS NULL RETURNING id"
)


def cancel_unsent(connection: Connection, payment_id: UUID) -> bool:
    """Cancel the payment's waiting creation. The caller has made sure that nothing was ever sent."""
    return connection.execute(_CANCEL, {"payment": payment_id}).first() is not None


_DROP = "UPDATE jobs SET status = 'canceled', finished_at = app_now() WHERE id = %(id)s AND status = 'queued'"


def drop(connection: Connection, job_id: UUID) -> None:
    """A person's word that a queued job is not wanted any more. The caller has locked its row."""
    check_step("job", "queued", "canceled")
    pipeline.later(connection, _DROP, {"id": job_id})


# Two walks of an index each of which stops at the limit: as one condition with OR all that waits would be read.
_DUE = sa.text(
    "SELECT lane, id FROM ("
    "(SELECT lane, id, run_after FROM jobs WHERE lane = ANY(CAST(:lanes AS text[])) AND status = 'queued' "
    " AND run_after <= (SELECT app_now()) - make_interval(secs => :age) ORDER BY run_after LIMIT :limit) "
    "UNION ALL "
    "(SELECT lane, id, run_after FROM jobs WHERE status = 'running' AND lease_until < (SELECT app_now()) "
    " ORDER BY lease_until LIMIT :limit)) AS found ORDER BY run_after LIMIT :limit"
)


def overdue(connection: Connection, age: float, limit: int) -> list[tuple[str, UUID]]:
    """(lane, job) of what has been due for `age` seconds without being taken."""
    values = {"lanes": sorted(set(LANES.values())), "age": age, "limit": limit}
    return [(row.lane, row.id) for row in connection.execute(_DUE, values)]
