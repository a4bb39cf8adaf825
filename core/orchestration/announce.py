"""Route and announce: decide what a money job does next, and commit it before anything leaves.

Each function runs in one transaction under the payment's lock and returns the step to take, or None when the job
was ended or put back in that same transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.domain.identifiers import new_id
from core.domain.outcomes import CANCEL_AFTER_DECLINE, Canceled, Facts, NotExecuted, NotExecutedReason
from core.domain.statuses import FINAL_PAYMENT, OPEN_TRANSACTION
from core.orchestration import (
    jobs,
    permits,
    provider_manager,
    requests,
    restored,
    status_manager,
)
from core.orchestration.context import Cause, Core
from core.orchestration.failover import CLOSES
from core.orchestration.jobs import Job
from core.orchestration.steps import Ask, Send, Step
from core.persistence.database import Scope, present
from core.persistence.queries import payments as rows
from core.persistence.tables import transactions
from core.providers.base import Capabilities, Request

Row = Mapping[Any, Any]

#: Seconds until a job looks again whether the transaction before it was resolved.
WAIT_FOR_OTHER = 2.0
LONGEST_WAIT = 60.0


def cause_of(job: Job) -> Cause:
    """Why something is sent: somebody asked for it, or its time came."""
    kind: Literal["clock", "request"] = "clock" if job.arguments.get("actor") == "clock" else "request"
    return Cause(kind, "worker", job.arguments.get("request_id"), job.reference, job_id=job.id)


def capture(core: Core, connection: Connection, job: Job, payment: Row) -> Step | None:
    sent = rows.transactions_of(connection, payment["id"])
    own = _own(sent, "capture", job)
    if own is not None:
        return _resume(core, connection, job, payment, own)
    begun = rows.latest_start(sent)
    if _closing_under_way(sent):
        return _wait(connection, job, "another capture or cancellation")
    if payment["status"] != "authorized" or begun is None:
        return _refused(connection, job, f"the payment is {payment['status']}")
    account = provider_manager.open_account(core, connection, job.scope, begun["provider_account_id"])
    transaction_id, number = new_id(), _count(sent, "capture") + 1
    amount = int(job.arguments["amount"])
    request = requests.capture_request(payment, begun, transaction_id, number, amount)
    return announce_new(core, connection, job, payment, account, "capture", number, transaction_id, request)


def cancel(core: Core, connection: Connection, job: Job, payment: Row) -> Step | None:
    sent = rows.transactions_of(connection, payment["id"])
    own = _own(sent, "void", job)
    if own is not None:
        return _resume(core, connection, job, payment, own)
    if payment["status"] == "canceled":
        return _done(connection, job)
    if payment["status"] in FINAL_PAYMENT:
        return _refused(connection, job, f"the payment is already {payment['status']}")
    begun = rows.latest_start(sent)
    if begun is None or begun["status"] in ("not_executed", "declined"):
        return _cancel_unsent(core, connection, job, payment)
    if begun["status"] in ("sent", "unknown"):
        return _wait(connection, job, "the charge")
    if _closing_under_way(sent):
        return _wait(connection, job, "another capture or cancellation")
    account = provider_manager.open_account(core, connection, job.scope, begun["provider_account_id"])
    if not permits.may_end(account.provider.capabilities, payment) or begun["provider_id"] is None:
        return _refused(connection, job, f"{begun['provider']} cannot end this payment")
    transaction_id, number = new_id(), _count(sent, "void") + 1
    request = requests.void_request(payment, begun, transaction_id, number)
    return announce_new(core, connection, job, payment, account, "void", number, transaction_id, request)


def close(core: Core, connection: Connection, job: Job, payment: Row) -> Step | None:
    """End what a declined charge left payable at the provider: its customer could still pay it there."""
    sent = rows.transactions_of(connection, payment["id"])
    own = _own(sent, "void", job)
    if own is not None:
        return _resume(core, connection, job, payment, own)
    left = [row for row in sent if row["status"] == "declined" and row["extra"].get(CANCEL_AFTER_DECLINE)]
    if not left:
        return _done(connection, job)
    if _closing_under_way(sent):
        return _wait(connection, job, "another capture or cancellation")
    account = provider_manager.open_account(core, connection, job.scope, left[-1]["provider_account_id"])
    transaction_id, number = new_id(), _count(sent, "void") + 1
    payable = {**left[-1], "provider_id": left[-1]["extra"][CANCEL_AFTER_DECLINE]}
    request = requests.void_request(payment, payable, transaction_id, number)
    return announce_new(
        core, connection, job, payment, account, "void", number, transaction_id, request, closes=left[-1]["id"]
    )


def _cancel_unsent(core: Core, connection: Connection, job: Job, payment: Row) -> Step | None:
    """Nothing ever left: payment and waiting job end together."""
    if not jobs.cancel_unsent(connection, payment["id"]):
        return _wait(connection, job, "the charge")
    status_manager.cancel_unsent(core, connection, payment, cause_of(job))
    return _done(connection, job)


def refund(core: Core, connection: Connection, job: Job, payment: Row) -> Step | None:
    wanted = rows.lock_refund(connection, job.target)
    sent = rows.transactions_of(connection, payment["id"])
    own = next((row for row in sent if row["refund_id"] == wanted["id"]), None)
    if (own is None or _surely_unsent(own)) and permits.overtaken(connection, payment, wanted["amount"]):
        return _refund_disputed(core, connection, job, payment, wanted, own)
    if own is not None:
        return _resume(core, connection, job, payment, own)
    if _refund_under_way(sent):
        if jobs.in_review(connection, payment["id"]):
            status_manager.fail_refund(connection, payment, wanted, _BEHIND_REVIEW, cause_of(job))
            return _done(connection, job)
        return _wait(connection, job, "another refund")
    charged = charge_of(sent)
    if charged is None:
        failure = {"code": "nothing_to_refund", "message": "No charge of this payment succeeded."}
        status_manager.fail_refund(connection, payment, wanted, failure, cause_of(job))
        return _done(connection, job)
    account = provider_manager.open_account(core, connection, job.scope, charged["provider_account_id"])
    transaction_id, number = new_id(), _count(sent, "refund") + 1
    request = requests.refund_request(payment, charged, captured(sent), wanted, transaction_id, number)
    return announce_new(
        core, connection, job, payment, account, "refund", number, transaction_id, request, refund_id=wanted["id"]
    )


def _surely_unsent(own: Row) -> bool:
    """Nothing of it has arrived so far, so that it can still be left alone."""
    return own["status"] == "sent" and not own["ambiguous"]


def _refund_disputed(
    core: Core, connection: Connection, job: Job, payment: Row, wanted: Row, own: Row | None
) -> Step | None:
    """A dispute came between the request and its sending: the money would go back twice."""
    if own is None:
        status_manager.fail_refund(connection, payment, wanted, _DISPUTED, cause_of(job))
    else:
        refused = NotExecuted(NotExecutedReason.INVALID_REQUEST, _DISPUTED["message"], provider_code=_DISPUTED["code"])
        status_manager.apply(core, connection, payment, own, refused, cause_of(job))
    return _done(connection, job)


_DISPUTED = {"code": "payment_disputed", "message": "The payment was disputed before the refund was sent."}
_BEHIND_REVIEW = {
    "code": "outcome_unknown",
    "message": "An earlier operation on this payment is in review; ask again when it is decided.",
}


def _wait(connection: Connection, job: Job, what: str) -> Step | None:
    """Look again soon, then less often; what waits for a person's decision does not wait for it unseen."""
    if job.payment_id is not None and jobs.in_review(connection, job.payment_id):
        jobs.finish(connection, job, "failed", _BEHIND_REVIEW)
        return None
    delay = min(WAIT_FOR_OTHER * job.attempts, LONGEST_WAIT)
    jobs.requeue(connection, job, delay, {"code": "in_progress", "message": f"waits for {what}"})
    return None


def _closing_under_way(sent: Sequence[Row]) -> bool:
    return any(row["kind"] in ("capture", "void") and row["status"] in OPEN_TRANSACTION for row in sent)


def doubt_start(connection: Connection, scope: Scope, payment: Row) -> None:
    """Have the payment's charge asked about again, though it has ended."""
    begun = rows.latest_start(rows.transactions_of(connection, payment["id"]))
    if begun is not None:
        rows.doubt(connection, [begun["id"]])
        jobs.enqueue_sync(connection, scope, payment["id"])


def _refund_under_way(sent: Sequence[Row]) -> bool:
    """An ambiguous refund is settled before the next is sent: two could not be told apart."""
    return any(row["kind"] == "refund" and row["status"] in ("sent", "unknown") for row in sent)


def charge_of(sent: Sequence[Row]) -> Row | None:
    """The transaction that took the money: the payment's own, else one that came late."""
    taken = [row for row in sent if status_manager.is_start(row) and row["status"] == "succeeded"]
    return next((row for row in taken if not row["surplus"]), taken[-1] if taken else None)


def captured(sent: Sequence[Row]) -> Row | None:
    """The capture that took a hold's money."""
    return next((row for row in sent if row["kind"] == "capture" and row["status"] == "succeeded"), None)


def close_start(core: Core, connection: Connection, payment: Row, cause: Cause) -> None:
    """After a void: the charge the customer had not finished ends with its payment."""
    begun = rows.latest_start(rows.transactions_of(connection, payment["id"]))
    if begun is not None and begun["status"] in OPEN_TRANSACTION:
        status_manager.apply(core, connection, payment, begun, Canceled(Facts(), "void"), cause)


def announce_new(
    core: Core,
    connection: Connection,
    job: Job,
    payment: Row,
    account: provider_manager.OpenedAccount,
    kind: str,
    number: int,
    transaction_id: UUID,
    request: Request,
    *,
    refund_id: UUID | None = None,
    closes: UUID | None = None,
) -> Send | Ask:
    """The row exists, with its provider key, before the call: a crash from here on leaves a trace.

    After a restore it is asked about first: it may have been sent by a database that is lost.
    """
    jobs.check_lease(connection, job)
    values = {
        "id": transaction_id,
        "kind": kind,
        "number": number,
        "refund_id": refund_id,
        "amount": request.amount,
        "provider": account.provider.name,
        "provider_account_id": account.account_id,
        "provider_key": request.provider_key,
        "request_sealed": requests.seal(core, connection, job.scope, transaction_id, request),
        "extra": {"job": str(job.id), **({CLOSES: str(closes)} if closes is not None else {})},
    }
    if restored.asks_first(job):
        row = status_manager.create_transaction(connection, payment, restored.as_if_sent(job, values), cause_of(job))
        return ask(core, connection, job.scope, row)
    status_manager.create_transaction(connection, payment, values, cause_of(job))
    return Send(account, transaction_id, request, was_ambiguous=False)


def announce_again(core: Core, connection: Connection, job: Job, transaction: Row) -> Send:
    """The stored request under the same key, once more; counted and timed before it leaves."""
    jobs.check_lease(connection, job)
    account = provider_manager.open_account(core, connection, job.scope, transaction["provider_account_id"])
    request = requests.stored(core, connection, job.scope, transaction)
    changes = {
        "send_count": transactions.c.send_count + 1,
        "last_sent_at": present(connection),
        "ambiguous": True,
        "not_found_count": 0,
        "not_found_at": None,
        "updated_at": sa.func.app_now(),
    }
    connection.execute(transactions.update().where(transactions.c.id == transaction["id"]).values(**changes))
    return Send(account, transaction["id"], request, was_ambiguous=bool(transaction["ambiguous"]))


def _resume(core: Core, connection: Connection, job: Job, payment: Row, own: Row) -> Step | None:
    """The job has begun its transaction before: it is carried on, or it has ended."""
    if own["status"] in ("sent", "unknown"):
        return go_on(core, connection, job, payment, own)
    return _done(connection, job)


def go_on(core: Core, connection: Connection, job: Job, payment: Row, transaction: Row) -> Step | None:
    """A transaction of this job is open: send again what surely never left, else ask."""
    if transaction["status"] != "sent" or transaction["ambiguous"]:
        return ask(core, connection, job.scope, transaction)
    account = provider_manager.open_account(core, connection, job.scope, transaction["provider_account_id"])
    if is_too_old(connection, account.provider.capabilities, transaction):
        if job.kind != "close_payment":
            return give_up(core, connection, job, payment, transaction, TOO_OLD, cause_of(job))
        # Closing must be done in the end, and closes no more than once however often it is asked for: under a new key.
        status_manager.apply(core, connection, payment, transaction, TOO_OLD, cause_of(job), keep_payment=True)
        return close(core, connection, job, payment)
    return announce_again(core, connection, job, transaction)


#: Proof that it never arrived, at a time when the provider may have forgotten its key: it is not sent again.
TOO_OLD = NotExecuted(NotExecutedReason.NOT_FOUND, "it never arrived, and its key is too old to be sent again")


def is_too_old(connection: Connection, capabilities: Capabilities, transaction: Row) -> bool:
    """May the provider have forgotten the transaction's key, so that a repetition would be a new operation?"""
    window = capabilities.resend_window_seconds
    return window is not None and present(connection) - transaction["first_sent_at"] >= timedelta(seconds=window)


def give_up(
    core: Core,
    connection: Connection,
    job: Job,
    payment: Row,
    transaction: Row,
    result: NotExecuted,
    cause: Cause,
) -> Step | None:
    """Proof that nothing happened, and no try left. A failed payment is an answer; a capture not made is not."""
    if job.kind == "close_payment":
        jobs.review(connection, job, "still_payable", "the declined charge could not be ended at the provider")
        return None
    applied = status_manager.apply(core, connection, payment, transaction, result, cause)
    unchanged = transaction["kind"] in ("capture", "void") and applied.payment["status"] == payment["status"]
    error = {"code": f"not_executed_{result.reason.value}", "message": result.detail, "param": result.param}
    jobs.finish(connection, job, "failed" if unchanged else "succeeded", error if unchanged else None)
    return None


def ask(core: Core, connection: Connection, scope: Scope, transaction: Row) -> Ask:
    account = provider_manager.open_account(core, connection, scope, transaction["provider_account_id"])
    return Ask(account, transaction["id"], requests.look_up_request(core, connection, scope, transaction))


def _own(sent: Sequence[Row], kind: str, job: Job) -> Row | None:
    return next((row for row in sent if row["kind"] == kind and _is_of(row, job)), None)


def _is_of(row: Row, job: Job) -> bool:
    """Begun by this job, and not left behind for a new one because its key grew old."""
    left = row["status"] == "not_executed" and (row["evidence"] or {}).get("detail") == TOO_OLD.detail
    return row["extra"].get("job") == str(job.id) and not left


def _count(sent: Sequence[Row], kind: str) -> int:
    return sum(1 for row in sent if row["kind"] == kind)


def _done(connection: Connection, job: Job) -> Step | None:
    jobs.finish(connection, job)
    return None


def _refused(connection: Connection, job: Job, why: str) -> Step | None:
    jobs.finish(connection, job, "failed", {"code": "state_conflict", "message": why})
    return None
