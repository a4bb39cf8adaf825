"""Execute: one claimed job from its announcement through the provider call to its settled outcome."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from uuid import UUID

import sqlalchemy as sa
import structlog
from sqlalchemy.engine import Connection

from core import metrics, points
from core.domain.identifiers import public_id
from core.domain.outcomes import LookUp, NotExecuted, NotExecutedReason, Outcome
from core.orchestration import (
    announce,
    asking,
    dispute_answers,
    disputes,
    enrol,
    errands,
    inbox,
    jobs,
    outbox,
    pacing,
    resolve,
    settle,
    starting,
)
from core.orchestration.breaker import KeptBack
from core.orchestration.context import Core
from core.orchestration.failover import KEPT_BACK
from core.orchestration.jobs import Job, LeaseLost
from core.orchestration.steps import Ask, Enrol, Send, Step
from core.orchestration.together import Alone
from core.persistence.database import Scope, is_read_only
from core.persistence.queries import payments as rows
from core.providers.base import (
    CaptureRequest,
    PaymentProvider,
    RefundRequest,
    Request,
    StartRequest,
    VoidRequest,
    operation_of,
)

log = structlog.get_logger()

Row = Mapping[Any, Any]
Announcer = Callable[[Core, Connection, Job, Row], Step | None]

#: Steps of one run; a job that wants more is put back and claimed anew.
_MAX_STEPS = 4
#: Pauses before an outcome that could not be committed is committed again; then it is left to the lease.
_COMMIT_PAUSES = (0.2, 1.0)
#: Postgres away, locked or out of connections. Any other refusal of a statement is a fault of ours, and counted,
#: but for that of a server which may not be written to: it is being failed over.
_TROUBLE = (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.TimeoutError)
#: New payments are nobody else's; where one is locked all the same, it is not waited for together.
_LOCK_TOGETHER = 1.0
#: Seconds until a job that met trouble with Postgres is due again.
_AFTER_TROUBLE = 2.0

MONEY: Mapping[str, Announcer] = {
    "create_payment": starting.start,
    "capture_payment": announce.capture,
    "cancel_payment": announce.cancel,
    "refund_payment": announce.refund,
    "close_payment": announce.close,
}

OTHER: Mapping[str, Callable[[Core, Job], None]] = {
    "sync_payment": resolve.sync_payment,
    "expire_payment": resolve.expire_payment,
    "forget_method": errands.forget_method,
    "push_customer": errands.push_customer,
    "sync_dispute": disputes.sync_dispute,
    "send_evidence": dispute_answers.send,
    "accept_dispute": dispute_answers.send,
    "process_webhook": inbox.process,
    "deliver_event": outbox.deliver_event,
}


@dataclass(frozen=True, slots=True)
class Begun:
    """A job whose first step is announced and committed. `at` is the `asking.moment` before that."""

    step: Step | None
    at: float


def prepare(core: Core, claimed: Sequence[Job]) -> list[Callable[[], bool]]:
    """What there is to run for jobs that were claimed together, one callable each, to be run in any thread.

    New payments are announced here, those of one merchant in one commit. Never raises.
    """
    fresh: dict[Scope, list[Job]] = {}
    for job in claimed:
        points.reached("job.claimed", job.kind)
        if job.kind == "create_payment" and job.fence == 1:
            fresh.setdefault(job.scope, []).append(job)
    begun: dict[UUID, Begun] = {}
    until = time.monotonic() + core.settings.lease / 3
    for scope, together in fresh.items():
        if time.monotonic() < until:  # what was announced first must not grow old while others are
            begun.update(_announce_together(core, scope, together))
    return [partial(run, core, job, begun.get(job.id)) for job in claimed]


def _announce_together(core: Core, scope: Scope, together: Sequence[Job]) -> dict[UUID, Begun]:
    """Empty when anything goes wrong: then nothing is written, and each job meets its trouble alone."""
    by_id = {job.id: job for job in together}
    at = asking.moment()
    try:
        commit = points.announcing(*(job.kind for job in together))
        with core.transaction(scope, _LOCK_TOGETHER, commit) as connection:
            found = rows.lock_to_start(connection, scope, {job.id: job.fence for job in together})
            steps = {}
            for job_id, payment in found.items():
                jobs.locked(connection, by_id[job_id])
                steps[job_id] = starting.start_new(core, connection, by_id[job_id], payment)
                if steps[job_id] is not None:
                    jobs.count_attempt(connection, by_id[job_id])
    except Exception as error:  # noqa: BLE001 - each job is run by itself, where its own trouble is told
        log.warning("announced_alone", count=len(together), error_type=type(error).__name__)
        return {}
    return {job_id: Begun(step, at) for job_id, step in steps.items()}


def run(core: Core, job: Job, begun: Begun | None = None) -> bool:
    """Carry a claimed job out. Never raises; False if nothing could be written, and the job is left to its lease."""
    structlog.contextvars.bind_contextvars(
        job_id=public_id("job", job.id),
        payment_id=public_id("payment", job.payment_id) if job.payment_id else None,
        request_id=job.arguments.get("request_id"),
        kind=job.kind,
    )
    try:
        if job.kind in MONEY:
            _run_money(core, job, begun)
        else:
            (OTHER.get(job.kind) or core.handlers[job.kind])(core, job)
    except LeaseLost:
        log.warning("lease_lost")
    except Exception as error:  # a fault in one job must not end the worker's thread
        if is_trouble(error):
            log.warning("database_trouble", error_type=type(error).__name__)
            return _try_again(core, job)
        metrics.CRASHED.labels(job.kind).inc()
        log.exception("job_crashed")
        return _put_back(core, job, type(error).__name__)
    finally:
        structlog.contextvars.clear_contextvars()
    return True


def is_trouble(error: Exception) -> bool:
    """Postgres away, locked or out of connections, or failed over: no fault of what was being done."""
    return isinstance(error, _TROUBLE) or is_read_only(error)


def _try_again(core: Core, job: Job) -> bool:
    """Trouble with Postgres is no fault of the job: it waits a moment, and its worker does not count as dead."""
    error = {"code": "database_trouble", "message": "the database did not serve; it is tried again"}
    try:
        with core.transaction(job.scope, lock_timeout=1.0) as connection:
            jobs.requeue(connection, job, _AFTER_TROUBLE, error)
    except sa.exc.IntegrityError:
        return _leave_to_the_waiting_one(core, job)
    except (LeaseLost, sa.exc.SQLAlchemyError):
        log.warning("left_to_the_lease")
        return False
    return True


def _leave_to_the_waiting_one(core: Core, job: Job) -> bool:
    """Another look at the same payment is queued already (`jobs_one_sync`): it does this one's work."""
    try:
        with core.transaction(job.scope) as connection:
            jobs.finish(connection, job)
    except (LeaseLost, sa.exc.SQLAlchemyError):
        log.warning("left_to_the_lease")
        return False
    return True


def _put_back(core: Core, job: Job, name: str) -> bool:
    """A job that crashes its handler is tried again a few times, then a person looks at it."""
    message = f"the worker failed with {name}"
    try:
        with core.transaction(job.scope) as connection:
            if job.attempts >= core.settings.max_job_attempts:
                jobs.review(connection, job, "internal_error", message)
            else:
                error = {"code": "internal_error", "message": message}
                jobs.requeue(connection, job, min(5.0 * job.attempts, 300.0), error)
    except sa.exc.IntegrityError:
        return _leave_to_the_waiting_one(core, job)
    except (LeaseLost, sa.exc.SQLAlchemyError):
        log.warning("left_to_the_lease")
        return False
    return True


def _run_money(core: Core, job: Job, begun: Begun | None) -> None:
    begun = begun or _begin(core, job)
    step, announced = begun.step, begun.at
    for _ in range(_MAX_STEPS):
        if step is None:
            return
        took = asking.Took()
        result = take(core, job, step, announced, took)
        if isinstance(step, Send) and took.ms is not None:
            step = replace(step, took_ms=took.ms)
        announced = asking.moment()  # before the commit that allows the next call: the worker may sleep in it
        step = _settle(core, job, step, result)
    log.warning("too_many_steps")


def _begin(core: Core, job: Job) -> Begun:
    with core.transaction(job.scope, commit=points.announcing(job.kind)) as connection:
        payment = rows.lock_payment(connection, job.payment)
        step = MONEY[job.kind](core, connection, job, payment)
        if step is not None:
            jobs.count_attempt(connection, job)
        at = asking.moment()
    return Begun(step, at)


def take(core: Core, job: Job, step: Step, announced: float | None = None, took: asking.Took | None = None) -> LookUp:
    """Make the provider call of a step, if its account has a place for it. No transaction is open here.

    `announced` is the `asking.moment` before the step was committed; now unless it is given.
    """
    call = asking.guarded(partial(_perform, step))
    answer: LookUp | float = asking.ask(core, job, step.account, _operation(step), call, announced, took)
    return _kept_back(step, answer) if isinstance(answer, float) else answer


def _operation(step: Step) -> str:
    """By the name that pacing and the log know it under."""
    match step:
        case Ask():
            return "look_up"
        case Enrol():
            return "upsert_customer"
        case Send():
            return operation_of(step.request)


def _perform(step: Step) -> LookUp:
    match step:
        case Ask():
            return step.account.provider.look_up(step.look_up)
        case Enrol():
            return step.account.provider.upsert_customer(step.request)
        case Send():
            return _send(step.account.provider, step.request)


def _kept_back(step: Step, pause: float) -> LookUp:
    """It did not leave, and comes back after `pause` seconds."""
    if isinstance(step, Ask):
        return settle.paced_look_up(pause)
    if isinstance(step, Send) and isinstance(pause, KeptBack):
        return NotExecuted(pause.reason, KEPT_BACK[pause.reason], retry_after=pause)
    return NotExecuted(NotExecutedReason.RATE_LIMITED, pacing.PACED, retry_after=pause)


def _send(provider: PaymentProvider, request: Request) -> Outcome:
    match request:
        case StartRequest():
            return provider.start(request)
        case CaptureRequest():
            return provider.capture(request)
        case VoidRequest():
            return provider.void(request)
        case RefundRequest():
            return provider.refund(request)


def _settle(core: Core, job: Job, step: Step, result: LookUp) -> Step | None:
    lost = enrol.lost_customer(step, result)
    if core.together is not None and lost is None and not isinstance(step, Enrol):
        try:
            following: Step | None = core.together.settle(core, job, step, result)
            return following
        except Alone:
            pass
    for pause in (*_COMMIT_PAUSES, None):
        try:
            with core.transaction(job.scope, commit=points.settling(job.kind)) as connection:
                if isinstance(step, Enrol):
                    return enrol.settle(core, connection, job, step, result, starting.start)
                if lost is not None and enrol.begin_again(core, connection, job, lost):
                    return None
                return settle.settle(core, connection, job, step, result)
        except sa.exc.SQLAlchemyError as error:
            if pause is None or not is_trouble(error):
                raise
            time.sleep(pause)
    raise AssertionError("unreachable")
