"""What a merchant answers to a dispute: evidence, or giving in. Accepted once, sent until the provider has it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal
from uuid import UUID

from sqlalchemy.engine import Connection

from core import points
from core.domain import representations
from core.domain.errors import CapabilityUnsupported, FieldError, NotFoundError, RequestRefused, StateConflict
from core.domain.identifiers import public_id
from core.domain.outcomes import DisputeAnswer, DisputeFacts, NotExecuted, NotExecutedReason
from core.domain.statuses import FINAL_JOB
from core.orchestration import asking, disputes, idempotency, jobs, provider_manager, status_manager, traces
from core.orchestration.context import Caller, Cause, Core
from core.orchestration.disputes import KeptBack
from core.orchestration.idempotency import Accepted, IdempotencyKey
from core.orchestration.intake import enqueue
from core.orchestration.jobs import Job
from core.orchestration.provider_manager import OpenedAccount
from core.persistence.database import Scope
from core.persistence.queries import disputes as dispute_rows
from core.persistence.queries import payments as rows
from core.persistence.vault import Place
from core.providers.base import AcceptRequest, EvidenceRequest, PaymentProvider
from core.providers.registry import PROVIDERS

Row = Mapping[Any, Any]
Kind = Literal["send_evidence", "accept_dispute"]

#: Job kind -> what the provider must be able to do, and how its key ends.
_CAPABILITY: Mapping[str, str] = {"send_evidence": "evidence", "accept_dispute": "accept"}
_KEY: Mapping[str, str] = {"send_evidence": "evidence", "accept_dispute": "accept"}
_CANNOT: Mapping[str, str] = {
    "send_evidence": "takes no evidence through its API; answer in its dashboard",
    "accept_dispute": "cannot be told that a dispute is accepted; let it run out",
}
_WHY_NOT: Mapping[str, str] = {
    "under_review": "the dispute was answered already; the bank looks at it",
    "won": "the dispute is already won",
    "lost": "the dispute is already lost",
    "closed": "the dispute is already closed",
}
#: Refusals that another try may not meet.
_PASSING = frozenset(
    {
        NotExecutedReason.CONNECTION,
        NotExecutedReason.BREAKER_OPEN,
        NotExecutedReason.RATE_LIMITED,
        NotExecutedReason.LOCK_TIMEOUT,
    }
)


def send_evidence(
    core: Core, caller: Caller, dispute_id: UUID, evidence: Mapping[str, str], key: IdempotencyKey
) -> Accepted:
    """Keep the evidence sealed and queue its sending. `evidence` by the names of EVIDENCE_FIELDS: people's data.

    Raises NotFoundError, StateConflict, CapabilityUnsupported, IdempotencyMismatch, IdempotencyInUse, and
    RequestRefused for a part of what the provider takes together.
    """

    def keep(connection: Connection, dispute: Row) -> None:
        _refuse_part(dispute["provider"], evidence)
        place = Place("disputes", "evidence_sealed", dispute["id"])
        sealed = core.vault.merchant_key(connection, caller.scope).seal_json(place, dict(evidence))
        dispute_rows.keep_evidence(connection, dispute["id"], sealed)

    return _accepted(core, caller, "send_evidence", dispute_id, key, keep)


def accept_dispute(core: Core, caller: Caller, dispute_id: UUID, key: IdempotencyKey) -> Accepted:
    """Queue giving in. Raises what `send_evidence` raises."""
    return _accepted(core, caller, "accept_dispute", dispute_id, key, lambda connection, dispute: None)


def _accepted(
    core: Core,
    caller: Caller,
    kind: Kind,
    dispute_id: UUID,
    key: IdempotencyKey,
    keep: Callable[[Connection, Row], None],
) -> Accepted:
    wait, commit = core.settings.idempotency_wait, points.accepting(kind)
    with idempotency.short_waits(), core.transaction(caller.scope, wait, commit) as connection:
        known = idempotency.reserve(connection, caller.scope, key)
        if known is not None:
            return known
        found = dispute_rows.seek(connection, dispute_id)
        if found is None:
            raise NotFoundError("there is no such dispute")
        payment = rows.lock_payment(connection, found["payment_id"])
        dispute = dispute_rows.lock(connection, dispute_id)
        number = _permit(connection, dispute, kind)
        keep(connection, dispute)
        extra = {"dispute": representations.dispute(dispute)}
        answered = dispute["evidence_sent_at"] is not None
        arguments = {"number": number, "dispute": dispute["provider_id"], "answered": answered}
        answer = enqueue(connection, caller, kind, payment, target_id=dispute_id, arguments=arguments, extra=extra)
        # Who gave the evidence, or gave in; the provider is told by a worker.
        verb = "evidence_given" if kind == "send_evidence" else "acceptance_requested"
        about = {"payment_id": payment["id"], "job_id": answer.job_id}
        traces.audit_request(connection, caller, "dispute", verb, dispute_id, {"number": number}, **about)
        idempotency.fill(connection, caller.scope, key, answer)
        return answer


def _permit(connection: Connection, dispute: Row, kind: Kind) -> int:
    """How many jobs of this kind the dispute then has had. Raises StateConflict, CapabilityUnsupported."""
    if dispute["status"] != "needs_response":
        raise StateConflict(_WHY_NOT[dispute["status"]])
    if _CAPABILITY[kind] not in PROVIDERS[dispute["provider"]].capabilities.disputes:
        raise CapabilityUnsupported(f"{dispute['provider']} {_CANNOT[kind]}")
    asked = dispute_rows.jobs_about(connection, dispute["payment_id"], dispute["id"], sorted(_KEY))
    if any(row["status"] not in FINAL_JOB for row in asked):
        raise StateConflict("an answer to this dispute is under way; wait for its job", code="operation_in_progress")
    return 1 + len([row for row in asked if row["kind"] == kind])


def _refuse_part(provider: str, evidence: Mapping[str, str]) -> None:
    together = PROVIDERS[provider].capabilities.evidence_together
    missing = sorted(name for name in together if not evidence.get(name))
    if missing and len(missing) < len(together):
        what = f"{provider} takes {', '.join(sorted(together))} together or none of them"
        raise RequestRefused(what, errors=[FieldError(name, "must be given, too, or none of them") for name in missing])


@dataclass(frozen=True, slots=True)
class _Turn:
    """What a job is to do, read before its first call."""

    account: OpenedAccount
    dispute: Row
    request: EvidenceRequest | AcceptRequest


def send(core: Core, job: Job) -> None:
    """Carry an accepted answer to the provider: the handler of both kinds of job."""
    announced = asking.moment()
    turn = _begin(core, job)
    if turn is None:
        return
    provider_id = turn.dispute["provider_id"]
    if job.fence > 1:
        # An earlier send may have arrived: how the dispute stands tells, and the same key is sent again if it did not.
        seen = disputes.read(core, job, turn.account, provider_id, turn.dispute)
        announced = asking.moment()
        if not _still_to_do(core, job, turn, seen):
            return
    said = disputes.call(core, job, turn.account, job.kind, lambda provider: _say(provider, turn.request), announced)
    answer = disputes.believable(said, provider_id, turn.dispute)
    with core.transaction(job.scope, commit=points.settling(job.kind)) as connection:
        payment = rows.lock_payment(connection, job.payment)
        jobs.check_lease(connection, job)
        if isinstance(answer, DisputeFacts):
            # The provider took it, also where its facts do not show that yet.
            shown = replace(answer, evidence_sent=True) if job.kind == "send_evidence" else answer
            _apply(core, connection, job, payment, turn, shown, "answer")
            jobs.finish(connection, job)
        elif isinstance(answer, NotExecuted):
            _refused(core, connection, job, turn, answer)
        else:
            disputes.not_learned(core, connection, job, turn.account, answer, "dispute_answer_unknown")


def _say(provider: PaymentProvider, request: EvidenceRequest | AcceptRequest) -> DisputeAnswer:
    if isinstance(request, EvidenceRequest):
        return provider.send_evidence(request)
    return provider.accept_dispute(request)


def _begin(core: Core, job: Job) -> _Turn | None:
    with core.transaction(job.scope, commit=points.announcing(job.kind)) as connection:
        rows.lock_payment(connection, job.payment)
        jobs.check_lease(connection, job)
        dispute = dispute_rows.lock(connection, job.target)
        if dispute["status"] != "needs_response":
            _end_late(connection, job, dispute)
            return None
        account = provider_manager.open_account(core, connection, job.scope, dispute["provider_account_id"])
        return _Turn(account, dispute, _request(core, connection, job.scope, job, dispute))


def _end_late(connection: Connection, job: Job, dispute: Row) -> None:
    """The dispute went on: by what this job has sent, if it has sent anything, or in spite of it."""
    # An inquiry that was given in to is closed: no money was taken that could be lost.
    given_in = job.kind == "accept_dispute" and dispute["status"] in ("lost", "closed")
    answered = job.kind == "send_evidence" and job.fence > 1
    if given_in or answered:
        jobs.finish(connection, job)
        return
    jobs.finish(connection, job, "failed", {"code": "state_conflict", "message": _WHY_NOT[dispute["status"]]})


def _request(
    core: Core, connection: Connection, scope: Scope, job: Job, dispute: Row
) -> EvidenceRequest | AcceptRequest:
    """The same at every attempt: the key belongs to what was accepted, not to the send."""
    dispute_id, number = public_id("dispute", dispute["id"]), int(job.arguments["number"])
    key = f"{dispute_id}-{_KEY[job.kind]}" + (f"-{number}" if number > 1 else "")
    if job.kind == "accept_dispute":
        return AcceptRequest(dispute_id, dispute["provider_id"], key, dispute["amount"], dispute["currency"])
    place = Place("disputes", "evidence_sealed", dispute["id"])
    evidence = core.vault.merchant_key(connection, scope).open_json(place, dispute["evidence_sealed"])
    return EvidenceRequest(dispute_id, dispute["provider_id"], key, dispute["amount"], dispute["currency"], evidence)


def _still_to_do(core: Core, job: Job, turn: _Turn, seen: DisputeAnswer | KeptBack) -> bool:
    """Write what was read; False where the job ended or was put back with it."""
    with core.transaction(job.scope, commit=points.settling(job.kind)) as connection:
        payment = rows.lock_payment(connection, job.payment)
        jobs.check_lease(connection, job)
        if not isinstance(seen, DisputeFacts):
            disputes.not_learned(core, connection, job, turn.account, seen, "dispute_answer_unknown")
            return False
        dispute = _apply(core, connection, job, payment, turn, seen, "look_up")
        if dispute["status"] != "needs_response":
            _end_late(connection, job, dispute)
            return False
        # Where evidence was sent before this was asked for, it says nothing about ours.
        if job.kind == "send_evidence" and seen.evidence_sent and not job.arguments["answered"]:
            jobs.finish(connection, job)
            return False
        return True


def _apply(
    core: Core,
    connection: Connection,
    job: Job,
    payment: Row,
    turn: _Turn,
    facts: DisputeFacts,
    kind: Literal["answer", "look_up"],
) -> Row:
    transaction = rows.lock_transaction(connection, turn.dispute["transaction_id"])
    cause = Cause(kind, "worker", job.arguments.get("request_id"), job.reference, job_id=job.id)
    return status_manager.apply_dispute(core, connection, payment, transaction, facts, cause).dispute


def _refused(core: Core, connection: Connection, job: Job, turn: _Turn, answer: NotExecuted) -> None:
    """Nothing happened: tried again where that may help, else the job tells why."""
    if answer.reason is NotExecutedReason.MISCONFIGURED:
        provider_manager.suspend(core, connection, job.scope, turn.account, answer.detail, disputes.cause_of(job))
    delays = core.settings.retry_delays
    error = {"code": f"not_executed_{answer.reason.value}", "message": answer.detail, "param": answer.param}
    if answer.reason in _PASSING and job.attempts <= len(delays):
        jobs.requeue(connection, job, max(delays[job.attempts - 1], answer.retry_after or 0.0), error)
        return
    if answer.reason is NotExecutedReason.INVALID_REQUEST:
        # Mostly since the dispute stands otherwise than we think.
        about, account_id = turn.dispute, turn.account.account_id
        disputes.ask(connection, job.scope, job.payment, about["transaction_id"], account_id, about["provider_id"])
    jobs.finish(connection, job, "failed", error)
