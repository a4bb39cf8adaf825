"""What every accepted request has in common: its payment under lock, its job, its 202."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy.engine import Connection

from core.domain import representations
from core.domain.errors import NotFoundError
from core.domain.identifiers import public_id
from core.orchestration import jobs
from core.orchestration.context import Caller, Cause, Core
from core.orchestration.idempotency import Accepted
from core.persistence.database import Scope, present
from core.persistence.queries import payments as rows
from core.persistence.vault import Place

Row = Mapping[Any, Any]


def enqueue(
    connection: Connection,
    caller: Caller,
    kind: str,
    payment: Row,
    *,
    target_id: UUID | None = None,
    arguments: Mapping[str, Any] | None = None,
    extra: Mapping[str, Any] | None = None,
    job_id: UUID | None = None,
) -> Accepted:
    """Queue the job of an accepted request, unless one is given, and build the 202 every repeat will get."""
    job_id = job_id or jobs.enqueue(
        connection,
        caller.scope,
        kind,
        payment_id=payment["id"],
        target_id=target_id,
        arguments={**(arguments or {}), "request_id": caller.request_id, "actor": caller.actor},
    )
    body = {
        "job": job_body(job_id, kind, payment["id"], present(connection)),
        # Without next_action: it may hold a client secret, and this body is kept for every repeat of the request.
        "payment": representations.payment(payment),
        **(extra or {}),
    }
    return Accepted(202, body, body["job"]["url"], False, job_id, payment["id"])


def job_body(job_id: UUID, kind: str, payment_id: UUID | None, created_at: Any) -> dict[str, Any]:
    """A job that was queued just now."""
    row = {"id": job_id, "kind": kind, "status": "queued", "payment_id": payment_id, "attempts": 0, "error": None}
    return representations.job({**row, "run_after": created_at, "created_at": created_at, "finished_at": None})


def next_action(core: Core, connection: Connection, payment: Row) -> dict[str, Any] | None:
    """Where the customer has to go, opened; only while the payment waits for them."""
    if payment["status"] != "requires_action" or payment["next_action_sealed"] is None:
        return None
    scope = Scope(payment["merchant_id"], payment["mode"])
    place = Place("payments", "next_action_sealed", payment["id"])
    opened: dict[str, Any] = core.vault.merchant_key(connection, scope).open_json(place, payment["next_action_sealed"])
    return opened


def locked_payment(connection: Connection, payment_id: UUID) -> Row:
    """Raises NotFoundError, also for another merchant's id: row-level security hides it."""
    payment = rows.seek_payment(connection, payment_id)
    if payment is None:
        raise NotFoundError(f"there is no payment {public_id('payment', payment_id)}")
    return payment


def cause_of(caller: Caller) -> Cause:
    return Cause("request", caller.actor, caller.request_id, from_address=caller.from_address)
