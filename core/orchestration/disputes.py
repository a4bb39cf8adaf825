"""Disputes: what a provider tells of one makes us ask, and only its answer is believed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy.engine import Connection

from core import points
from core.domain.outcomes import DisputeAnswer, DisputeFacts, NotExecuted, NotExecutedReason, Unknown
from core.orchestration import asking, jobs, provider_manager, status_manager
from core.orchestration.context import Cause, Core
from core.orchestration.jobs import Job
from core.orchestration.provider_manager import OpenedAccount
from core.persistence.database import Scope
from core.persistence.queries import disputes as dispute_rows
from core.persistence.queries import payments as rows
from core.persistence.queries.findings import open_finding
from core.providers.base import DisputeNews, PaymentProvider

Row = Mapping[Any, Any]

#: Seconds after which an open dispute is asked about unasked: reminders and verdicts may be lost on their way, and
#: the shortest time to answer is counted in days.
ASKED_EVERY = 86400.0


@dataclass(frozen=True, slots=True)
class KeptBack:
    """The call did not leave, for want of a place or by our own pacing; due again in `pause` seconds."""

    pause: float


def take_notice(connection: Connection, scope: Scope, account_id: UUID, news: DisputeNews) -> UUID | None:
    """Have the provider asked about a dispute; returns the payment it is about, None when it is none of ours yet."""
    known = dispute_rows.find_by_provider(connection, account_id, news.provider_id)
    if known is not None:
        payment_id, transaction_id = known["payment_id"], known["transaction_id"]
    else:
        named = (rows.find_by_provider(connection, account_id, one, rows.TAKES) for one in news.charge_ids)
        found = [row for these in named for row in these]
        charges = [row for row in found if status_manager.is_start(row)] or found
        if not charges:
            return None
        payment_id, transaction_id = charges[0]["payment_id"], charges[0]["id"]
    rows.lock_payment(connection, payment_id)
    if not dispute_rows.question_waits(connection, payment_id, news.provider_id):
        ask(connection, scope, payment_id, transaction_id, account_id, news.provider_id)
    return UUID(str(payment_id))


def ask(
    connection: Connection, scope: Scope, payment_id: UUID, transaction_id: UUID, account_id: UUID, provider_id: str
) -> UUID:
    """Queue the question; the dispute itself may have no row of ours yet."""
    arguments = {"dispute": provider_id, "account": str(account_id), "transaction": str(transaction_id)}
    return jobs.enqueue(connection, scope, "sync_dispute", payment_id=payment_id, arguments=arguments)


def sync_dispute(core: Core, job: Job) -> None:
    """Read a dispute at its provider and carry what it says into our rows."""
    account_id, provider_id = UUID(job.arguments["account"]), str(job.arguments["dispute"])
    with core.transaction(job.scope, commit=points.announcing(job.kind)) as connection:
        account = provider_manager.open_account(core, connection, job.scope, account_id)
        known = dispute_rows.find_by_provider(connection, account_id, provider_id)
    answer = read(core, job, account, provider_id, known)
    with core.transaction(job.scope, commit=points.settling(job.kind)) as connection:
        payment = rows.lock_payment(connection, job.payment)
        jobs.check_lease(connection, job)
        if not isinstance(answer, DisputeFacts):
            not_learned(core, connection, job, account, answer, "dispute_unread")
        elif _changed_since(connection, account_id, provider_id, known):
            # Somebody else has learned something since we asked, and may have learned it later.
            jobs.requeue(connection, job, 0.0)
        else:
            transaction = rows.lock_transaction(connection, UUID(job.arguments["transaction"]))
            status_manager.apply_dispute(core, connection, payment, transaction, answer, cause_of(job))
            jobs.finish(connection, job)


def _changed_since(connection: Connection, account_id: UUID, provider_id: str, known: Row | None) -> bool:
    found = dispute_rows.find_by_provider(connection, account_id, provider_id)
    if found is None or known is None:
        return found is not known
    return bool(found["updated_at"] != known["updated_at"])


def cause_of(job: Job) -> Cause:
    return Cause("look_up", "worker", job.arguments.get("request_id"), job.reference, job_id=job.id)


def read(core: Core, job: Job, account: OpenedAccount, provider_id: str, known: Row | None) -> DisputeAnswer | KeptBack:
    """How the dispute stands at the provider; `known` is our row of it. No transaction is open here."""
    answer = call(core, job, account, "read_dispute", lambda provider: provider.read_dispute(provider_id))
    return believable(answer, provider_id, known)


def call(
    core: Core,
    job: Job,
    account: OpenedAccount,
    operation: str,
    act: Callable[[PaymentProvider], DisputeAnswer],
    announced: float | None = None,
) -> DisputeAnswer | KeptBack:
    """One provider call about a dispute, if its account has a place for it. Raises LeaseLost after a long sleep since
    `announced`, the `asking.moment` before the commit that allowed it."""
    answer = asking.ask(core, job, account, operation, asking.guarded(partial(act, account.provider)), announced)
    return KeptBack(answer) if isinstance(answer, float) else answer


def believable(answer: DisputeAnswer | KeptBack, provider_id: str, known: Row | None) -> DisputeAnswer | KeptBack:
    """What names another dispute, or no money, has answered nothing."""
    if not isinstance(answer, DisputeFacts):
        return answer
    if answer.amount <= 0 and known is not None:
        # A dispute that was contested or won may be shown with nothing to give back: it is about what it was about.
        answer = replace(answer, amount=known["amount"])
    if answer.provider_id != provider_id or answer.amount <= 0 or len(answer.currency) != 3:
        return Unknown({"answer": "about another dispute, or without amount or currency"}, answer.raw)
    return answer


def not_learned(
    core: Core,
    connection: Connection,
    job: Job,
    account: OpenedAccount,
    answer: DisputeAnswer | KeptBack,
    kind: str,
) -> None:
    """Ask again less and less often; then a person looks at it. `kind` is that of the finding."""
    if isinstance(answer, KeptBack):
        jobs.keep_back(connection, job, answer.pause)
        return
    if isinstance(answer, NotExecuted) and answer.reason is NotExecutedReason.MISCONFIGURED:
        provider_manager.suspend(core, connection, job.scope, account, answer.detail, cause_of(job))
    delays = core.settings.lookup_delays
    if job.attempts <= len(delays):
        error = {"code": "outcome_unknown", "message": "the provider did not say how the dispute stands"}
        wait = answer.retry_after if isinstance(answer, NotExecuted) else None
        jobs.requeue(connection, job, max(delays[job.attempts - 1], wait or 0.0), error)
    elif kind == "dispute_unread":
        _review(connection, job, answer, "dispute_unread", "the provider does not tell how the dispute stands")
    else:
        _review(connection, job, answer, "dispute_answer_unknown", "it is not known whether the answer was taken")


def _review(connection: Connection, job: Job, answer: DisputeAnswer, kind: str, why: str) -> None:
    """A person decides; what the provider said last is on the finding."""
    said: dict[str, Any] = {"answer": type(answer).__name__}
    if isinstance(answer, NotExecuted):
        said |= {"reason": answer.reason.value, "detail": answer.detail}
    elif not isinstance(answer, DisputeFacts):
        said["evidence"] = dict(answer.evidence)
    details = {"why": why, "dispute": job.arguments.get("dispute"), **said}
    open_finding(connection, job.scope, kind, str(job.id), details, payment_id=job.payment_id, job_id=job.id)
    jobs.finish(connection, job, "needs_review", {"code": kind, "message": why})
