"""A queued job that a person does not want any more: only where nothing was sent and nothing is left in doubt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy.engine import Connection

from core.audit import log
from core.domain.errors import NotFoundError, StateConflict
from core.domain.identifiers import public_id
from core.orchestration import jobs, status_manager
from core.orchestration.context import Cause, Core
from core.orchestration.review import Person
from core.persistence.database import Scope
from core.persistence.queries import payments as rows
from core.persistence.queries import review as review_rows

Row = Mapping[Any, Any]

#: Why a job of another kind is not dropped, and what to do instead.
_INSTEAD: Mapping[str, str] = {
    "capture_payment": "the merchant was told that it is under way; give the money back when it has been taken",
    "refund_payment": "the merchant was told that it is under way; what must not be paid out is held at the provider",
    "cancel_payment": "it ends a payment already",
    "forget_method": "it is owed to the person whose method it is",
    "push_customer": "it is owed to the person it is about",
    "reconcile": "it only compares, and ends by itself; a run whose job has ended fails, and the next one begins",
    "process_webhook": "what a provider tells is read, and moves nothing twice",
}
_ASKS = "it asks a provider how things stand, and moves nothing"


def cancel(core: Core, job_id: UUID, person: Person, scope: Scope | None = None) -> dict[str, Any]:
    """End a queued job undone: the delivery of an event, or the start of a payment of which nothing was sent.

    The payment is canceled with it, and its merchant told. With a scope only a job of that merchant and mode is there.
    Raises NotFoundError, StateConflict.
    """
    with core.database.unscoped() if scope is None else core.database.scoped(scope) as connection:
        seen = review_rows.find_job(connection, job_id, scope)
    if seen is None:
        raise NotFoundError(f"there is no job {public_id('job', job_id)}; `tollgate jobs list` shows them")
    with core.transaction(Scope(seen["merchant_id"], seen["mode"])) as connection:
        payment = None if seen["payment_id"] is None else rows.lock_payment(connection, seen["payment_id"])
        job = review_rows.lock_job(connection, job_id)
        _check(job)
        if job["kind"] == "create_payment" and payment is not None:
            _cancel_payment(core, connection, job, payment, person)
        else:
            jobs.drop(connection, job_id)
        _record(connection, job, person)
    return {"id": public_id("job", job_id), "status": "canceled", "transaction": None, "findings": []}


def _check(job: Row) -> None:
    """Raises StateConflict."""
    name = public_id("job", job["id"])
    if job["status"] != "queued":
        raise StateConflict(f"job {name} is {job['status']}: only one that waits can be canceled; nothing was changed")
    if job["kind"] not in ("create_payment", "deliver_event"):
        why = _INSTEAD.get(job["kind"], _ASKS)
        raise StateConflict(f"a {job['kind']} is not canceled: {why}; nothing was changed")


def _cancel_payment(core: Core, connection: Connection, job: Row, payment: Row, person: Person) -> None:
    """Raises StateConflict where something may have been sent."""
    sent = [row for row in rows.transactions_of(connection, payment["id"]) if row["status"] != "not_executed"]
    if sent or payment["status"] != "processing" or not jobs.cancel_unsent(connection, payment["id"]):
        name = public_id("payment", payment["id"])
        raise StateConflict(
            f"something may have been sent for {name}: its merchant cancels it with `POST /v1/payments/{name}/cancel`"
        )
    cause = Cause("person", person.actor, reference=f"job {public_id('job', job['id'])}", job_id=job["id"])
    status_manager.cancel_unsent(core, connection, payment, cause)


def _record(connection: Connection, job: Row, person: Person) -> None:
    log.record(
        connection,
        scope=Scope(job["merchant_id"], job["mode"]),
        actor=person.actor,
        action="job.canceled",
        subject_kind="job",
        subject_id=job["id"],
        payment_id=job["payment_id"],
        from_status="queued",
        to_status="canceled",
        cause="person",
        **person.origin,
        job_id=job["id"],
        details={"kind": job["kind"], "reason": person.reason},
    )
