"""Settle: join an outcome with all sends of its transaction, and end, repeat or hand over the job.

One transaction, under the payment's lock; what is written holds only if the job's fence still does.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy.engine import Connection

from core.domain.outcomes import (
    FAILOVER,
    ActionRequired,
    Declined,
    Elsewhere,
    LookUp,
    NotExecuted,
    NotExecutedReason,
    NotFound,
    Outcome,
    Retry,
    Unknown,
    failover_key,
)
from core.domain.statuses import may_step
from core.orchestration import (
    announce,
    jobs,
    provider_manager,
    restored,
    retries,
    router,
    routing,
    stakes,
    starting,
    status_manager,
)
from core.orchestration.context import Cause, Core
from core.orchestration.failover import CROSSES, KEPT_BACK, Decision
from core.orchestration.jobs import Job, LeaseLost
from core.orchestration.pacing import PACED
from core.orchestration.steps import Ask, Send, Step
from core.persistence.database import present
from core.persistence.queries import payments as rows
from core.persistence.queries.findings import open_finding
from core.persistence.tables import transactions
from core.providers.base import Capabilities

Row = Mapping[Any, Any]


def paced_look_up(pause: float) -> Unknown:
    """A look-up that was kept back says nothing about the transaction; it is due again in `pause` seconds."""
    return Unknown({"look_up": PACED, "pause": pause})


def settle(core: Core, connection: Connection, job: Job, step: Send | Ask, result: LookUp) -> Step | None:
    """Write what came of a step. Returns the next step when the job goes on at once. Raises LeaseLost."""
    found = rows.lock_to_settle(connection, job.scope, [(job.payment, step.transaction_id, job.id, job.fence)])
    return settle_locked(core, connection, job, step, result, found[job.id])


def settle_locked(
    core: Core, connection: Connection, job: Job, step: Send | Ask, result: LookUp, found: rows.Locked
) -> Step | None:
    """The same for rows that are locked already."""
    if not found.held:
        raise LeaseLost(str(job.id))
    jobs.locked(connection, job)
    payment, transaction = found.payment, found.transaction
    if isinstance(result, Unknown) and result.evidence.get("look_up") == PACED:
        jobs.keep_back(connection, job, result.evidence["pause"])
        return None
    if isinstance(result, NotFound) and isinstance(step, Ask):
        return _not_found(core, connection, job, step, payment, transaction)
    if isinstance(step, Send) and isinstance(result, NotExecuted):
        return _not_executed(core, connection, job, step, payment, transaction, result)
    if isinstance(result, Unknown | NotExecuted | NotFound):
        return _unknown(core, connection, job, step, payment, transaction, result)
    if _never_delivered(payment, transaction, result):
        return _deliver_anew(core, connection, job, payment, transaction)
    return _answered(core, connection, job, step, payment, transaction, result)


def _answered(
    core: Core, connection: Connection, job: Job, step: Step, payment: Row, transaction: Row, result: Outcome
) -> Step | None:
    """The provider said what is; the job's work is done."""
    cause = _cause(step, job)
    applied = status_manager.apply(core, connection, payment, transaction, result, cause)
    if applied.review is not None:
        jobs.finish(connection, job, "needs_review", {"code": "contradiction", "message": applied.review})
        return None
    if isinstance(result, Declined) and job.kind == "create_payment" and applied.payment["status"] == "processing":
        _try_again(core, connection, job, applied, result, cause)
        return None
    if transaction["kind"] == "void" and applied.payment["status"] == "canceled":
        announce.close_start(core, connection, applied.payment, cause)
    refused = transaction["kind"] == "void" and isinstance(result, Declined)
    if refused and isinstance(result, Declined):
        # Then something else happened to the money: whoever began it is asked about, whatever we call it.
        announce.doubt_start(connection, job.scope, applied.payment)
        jobs.finish(connection, job, "failed", {"code": result.decline.code, "message": result.decline.message})
    else:
        jobs.finish(connection, job)
    return None


def _try_again(
    core: Core, connection: Connection, job: Job, applied: status_manager.Applied, result: Declined, cause: Cause
) -> None:
    """A soft decline that the status manager has left the payment open after: later anew, or at another account."""
    payment, transaction = applied.payment, applied.transaction
    error = {"code": result.decline.code, "message": retries.LATER}
    decision = retries.decide(connection, payment, transaction, result)
    if decision is Decision.ELSEWHERE and _another(
        core, connection, job, payment, transaction, Elsewhere.IF_ROUTE_SAYS
    ):
        jobs.requeue(connection, job, 0.0, error)
        return
    starts = retries.starts_of(rows.transactions_of(connection, payment["id"]))
    when = retries.due(starts)
    if decision is Decision.RETRY_NEW and when is not None:
        jobs.requeue(connection, job, max(0.0, (when - present(connection)).total_seconds()), error)
        return
    status_manager.fail_unsent(core, connection, payment, result.decline.as_dict(), cause)
    jobs.finish(connection, job)


def _cause(step: Step, job: Job) -> Cause:
    """What taught us: the answer to a send, or a look-up."""
    kind: Literal["answer", "look_up"] = "look_up" if isinstance(step, Ask) else "answer"
    took_ms = step.took_ms if isinstance(step, Send) else None
    return Cause(kind, "worker", job.arguments.get("request_id"), job.reference, took_ms, job_id=job.id)


def _not_executed(
    core: Core,
    connection: Connection,
    job: Job,
    step: Send,
    payment: Row,
    transaction: Row,
    result: NotExecuted,
) -> Step | None:
    if step.was_ambiguous:
        if result.detail in _NEVER_LEFT:
            _kept_back(connection, transaction)
            jobs.keep_back(connection, job, result.retry_after or 1.0)
            return None
        # This send never arrived; an earlier one may have. Only a look-up can prove it did not.
        evidence = {"reason": result.reason.value, "detail": "an earlier send may have arrived"}
        return _unknown(core, connection, job, step, payment, transaction, Unknown(evidence))
    if result.reason is NotExecutedReason.MISCONFIGURED:
        cause = _cause(step, job)
        provider_manager.suspend(core, connection, job.scope, step.account, result.detail, cause)
    if result.detail == PACED:
        _keep(connection, transaction, result)
        _kept_back(connection, transaction)
        jobs.keep_back(connection, job, result.retry_after or 1.0)
        return None
    delays = core.settings.retry_delays
    match _what_follows(core, connection, job, payment, transaction, result):
        case Decision.ELSEWHERE:
            cause = _cause(step, job)
            status_manager.apply(core, connection, payment, transaction, result, cause, keep_payment=True)
            jobs.requeue(connection, job, 0.0, _error(result))
        case Decision.SAME_KEY:
            _keep(connection, transaction, result)
            delay = max(delays[transaction["send_count"] - 1], result.retry_after or 0.0)
            jobs.requeue(connection, job, delay, _error(result))
        case Decision.REVIEW:
            _review(connection, job, transaction, "outcome_unknown", "another charge of the payment is open as well")
        case _ if job.kind == "close_payment":
            return _close_later(core, connection, job, step, transaction, result)
        case _:
            return announce.give_up(core, connection, job, payment, transaction, result, _cause(step, job))
    return None


#: Kept back by us, on our own account or for the breaker's or the provider's sake: nothing was sent.
_NEVER_LEFT = frozenset({PACED, *KEPT_BACK.values()})


def _what_follows(
    core: Core, connection: Connection, job: Job, payment: Row, transaction: Row, result: NotExecuted
) -> Decision:
    """By the one table, with what only rows and router know: whether tries are left, and another account."""
    sends_left = transaction["send_count"] <= len(core.settings.retry_delays)
    sends_left = sends_left and not (job.kind == "close_payment" and transaction["number"] > 1)
    permitted = FAILOVER[failover_key(result)]
    if not status_manager.is_start(transaction):
        again = permitted.retry is Retry.SAME_KEY and sends_left
        return Decision.SAME_KEY if again else Decision.GIVE_UP
    decision = retries.decide(connection, payment, transaction, result, sends_left=sends_left)
    if decision is Decision.ELSEWHERE and not _another(
        core, connection, job, payment, transaction, permitted.elsewhere
    ):
        return retries.decide(connection, payment, transaction, result, sends_left=sends_left, others=False)
    return decision


def _close_later(
    core: Core, connection: Connection, job: Job, step: Send, transaction: Row, result: NotExecuted
) -> Step | None:
    """What a decline left payable is not given up on silently: tried for a day, then a person is told."""
    delays = core.settings.lookup_delays
    open_for = present(connection) - job.created_at  # its transactions are younger: an old key makes a new one
    if open_for > timedelta(seconds=step.account.provider.capabilities.unknown_review_seconds):
        _review(connection, job, transaction, "still_payable", "the declined charge could not be ended at the provider")
        return None
    _keep(connection, transaction, result)
    jobs.requeue(connection, job, delays[min(transaction["send_count"] // 3, len(delays) - 1)], _error(result))
    return None


def _another(
    core: Core, connection: Connection, job: Job, payment: Row, transaction: Row, elsewhere: Elsewhere
) -> bool:
    """Is there another account that could carry the payment?"""
    if payment["method"] not in CROSSES or not status_manager.is_start(transaction):
        return False
    starts = retries.starts_of(rows.transactions_of(connection, payment["id"]))
    used = starting.used_accounts(starts) | retries.left_behind(payment, starts) | {transaction["provider_account_id"]}
    wish = starting.wish_of(connection, payment)
    order = routing.order_of(payment["route"])
    found = router.candidates(connection, job.scope.merchant_id, job.scope.mode, wish, order)
    return bool(router.eligible(found, used))


def _keep(connection: Connection, transaction: Row, result: NotExecuted) -> None:
    """The transaction stays open between sends, unambiguous: everything sent so far provably never arrived."""
    values = {"ambiguous": False, "evidence": {"reason": result.reason.value, "detail": result.detail}}
    connection.execute(transactions.update().where(transactions.c.id == transaction["id"]).values(**values))


def _kept_back(connection: Connection, transaction: Row) -> None:
    """What our own pacing held did not leave: it is no send, and uses up no try."""
    values = {"send_count": transactions.c.send_count - 1}
    connection.execute(transactions.update().where(transactions.c.id == transaction["id"]).values(**values))


def _unknown(
    core: Core,
    connection: Connection,
    job: Job,
    step: Step,
    payment: Row,
    transaction: Row,
    result: Unknown | NotExecuted | NotFound,
) -> Step | None:
    """Neither yes nor no: look up later, and hand it to a person when that goes on too long."""
    provider_manager.heed(core, connection, job.scope, step.account, result, _cause(step, job))
    evidence = result if isinstance(result, Unknown) else Unknown({"look_up": type(result).__name__})
    if may_step("transaction", transaction["status"], "unknown") or transaction["status"] == "unknown":
        status_manager.apply(core, connection, payment, transaction, evidence, _cause(step, job))
    if evidence.key_taken:
        restored.doubt_key(connection, job, transaction)
    _look_later(core, connection, job, step.account.provider.capabilities, transaction, counted=isinstance(step, Ask))
    return None


def _count_look_up(connection: Connection, transaction: Row) -> None:
    statement = transactions.update().where(transactions.c.id == transaction["id"])
    connection.execute(statement.values(lookup_count=transactions.c.lookup_count + 1))


def _look_later(
    core: Core, connection: Connection, job: Job, capabilities: Capabilities, transaction: Row, *, counted: bool
) -> None:
    count = transaction["lookup_count"] + (1 if counted else 0)
    connection.execute(transactions.update().where(transactions.c.id == transaction["id"]).values(lookup_count=count))
    # A restore may come long after the first send: then the asking has only begun.
    since = transaction["last_sent_at" if restored.is_marked(transaction) else "first_sent_at"]
    open_for = present(connection) - since
    if open_for > timedelta(seconds=capabilities.unknown_review_seconds):
        _review(connection, job, transaction, "outcome_unknown", "no look-up has found out what happened")
        return
    delays = core.settings.lookup_delays
    error = {"code": "outcome_unknown", "message": "the provider's answer is not known yet; it is being looked up"}
    jobs.requeue(connection, job, delays[min(count, len(delays) - 1)], error)


def _not_found(core: Core, connection: Connection, job: Job, step: Ask, payment: Row, transaction: Row) -> Step | None:
    """Promise 4: "not found" counts only late enough, and for some providers only the second time."""
    capabilities = step.account.provider.capabilities
    now = present(connection)
    window = capabilities.resend_window_seconds
    _count_look_up(connection, transaction)
    too_old = announce.is_too_old(connection, capabilities, transaction)
    if window is not None and transaction["send_count"] == 1 and not too_old and restored.may_replay(transaction):
        # The same key replays if the first send did arrive, so sending again is itself the look-up. Once: a provider
        # that goes on failing is left to the schedule and to the proof below.
        return announce.announce_again(core, connection, job, transaction)
    spacing = _spacing(core, transaction)
    if not _counts(core, transaction, now, spacing):
        delays = core.settings.lookup_delays
        scheduled = delays[min(transaction["lookup_count"], len(delays) - 1)] if window is not None else 0.0
        jobs.requeue(connection, job, max(_wait(core, transaction, now, spacing), scheduled), _LOOKING)
        return None
    count = transaction["not_found_count"] + 1
    values: dict[str, Any] = {"not_found_count": count, "not_found_at": now}
    proven = count >= capabilities.not_found_lookups
    resendable = not (transaction["kind"] == "refund" and window is None)
    values["ambiguous"] = not (proven and resendable)
    connection.execute(transactions.update().where(transactions.c.id == transaction["id"]).values(**values))
    if not proven:
        jobs.requeue(connection, job, spacing, _LOOKING)
        return None
    if not resendable:
        _review(
            connection, job, transaction, "refund_unconfirmed", "absent from the provider's list twice; not sent again"
        )
        return None
    if restored.is_marked(transaction) and _another(core, connection, job, payment, transaction, Elsewhere.YES):
        return _ask_elsewhere(core, connection, job, step, payment, transaction)
    if too_old:
        cause = _cause(step, job)
        return announce.give_up(core, connection, job, payment, transaction, announce.TOO_OLD, cause)
    return announce.announce_again(core, connection, job, {**transaction, "ambiguous": False})


def _ask_elsewhere(
    core: Core, connection: Connection, job: Job, step: Ask, payment: Row, transaction: Row
) -> Step | None:
    """A database that was lost may have gone on to the next account: it is asked, too, before anything is sent."""
    absent = NotExecuted(NotExecutedReason.NOT_FOUND, "restored: nothing with the payment's mark was found there")
    status_manager.apply(core, connection, payment, transaction, absent, _cause(step, job), keep_payment=True)
    jobs.requeue(connection, job, 0.0, _LOOKING)
    return None


_LOOKING = {"code": "outcome_unknown", "message": "not found at the provider yet; it is asked again"}


def _spacing(core: Core, transaction: Row) -> float:
    settings = core.settings
    return settings.refund_absent_spacing if transaction["kind"] == "refund" else settings.not_found_spacing


def _counts(core: Core, transaction: Row, now: datetime, spacing: float) -> bool:
    if now < transaction["last_sent_at"] + timedelta(seconds=core.settings.not_found_after):
        return False
    last: datetime | None = transaction["not_found_at"]
    return last is None or now >= last + timedelta(seconds=spacing)


def _wait(core: Core, transaction: Row, now: datetime, spacing: float) -> float:
    due = [transaction["last_sent_at"] + timedelta(seconds=core.settings.not_found_after)]
    if transaction["not_found_at"] is not None:
        due.append(transaction["not_found_at"] + timedelta(seconds=spacing))
    seconds: float = (max(due) - now).total_seconds()
    return max(0.1, seconds)


def _never_delivered(payment: Row, transaction: Row, result: LookUp) -> bool:
    """A page exists at the provider whose address was lost with the answer: nobody can ever pay on it.

    True of pages alone: a saved card may be charged by the provider whatever its answer was to be. Not after a restore:
    the customer may have been given the address that we have lost.
    """
    return (
        payment["method"] == "redirect"
        and isinstance(result, ActionRequired)
        and result.next_action is None
        and status_manager.is_start(transaction)
        and transaction["status"] in ("sent", "unknown")
        and payment["next_action_sealed"] is None
        and not restored.is_marked(transaction)
    )


def _deliver_anew(core: Core, connection: Connection, job: Job, payment: Row, transaction: Row) -> Step | None:
    lost = NotExecuted(NotExecutedReason.NOT_FOUND, starting.NEVER_DELIVERED)
    cause = Cause("look_up", "worker", job.arguments.get("request_id"), job.reference, job_id=job.id)
    status_manager.apply(core, connection, payment, transaction, lost, cause, keep_payment=True)
    jobs.requeue(connection, job, 0.0)
    return None


def _review(connection: Connection, job: Job, transaction: Row, kind: str, why: str) -> None:
    """A person decides; the evidence is on the transaction."""
    details = {"why": why, "provider": transaction["provider"], "evidence": transaction["evidence"]}
    payment = rows.find_payment(connection, transaction["payment_id"])
    open_finding(
        connection,
        job.scope,
        kind,
        str(transaction["id"]),
        details,
        payment_id=transaction["payment_id"],
        transaction_id=transaction["id"],
        job_id=job.id,
        **stakes.of_transaction(payment, transaction, {}),
    )
    jobs.finish(connection, job, "needs_review", {"code": kind, "message": why})


def _error(result: NotExecuted) -> dict[str, Any]:
    return {"code": f"not_executed_{result.reason.value}", "message": result.detail, "param": result.param}
