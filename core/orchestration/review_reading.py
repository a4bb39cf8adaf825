"""What a person is shown of jobs: those that wait or are stuck, and one with everything needed to decide it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from core.domain.errors import NotFoundError
from core.domain.identifiers import public_id
from core.domain.money import Money
from core.domain.representations import timestamp
from core.orchestration import review_outcomes
from core.orchestration.context import Core
from core.orchestration.reading import listing
from core.persistence.database import Scope, present
from core.persistence.queries import payments as rows
from core.persistence.queries import review as review_rows
from core.persistence.tables import audit_log

Row = Mapping[Any, Any]


def list_jobs(core: Core, wanted: review_rows.Wanted) -> list[dict[str, Any]]:
    """Newest last. `waits_seconds`: since it was handed over, since it was due, or since its worker was last heard."""
    with core.database.unscoped() as connection:
        return [_listed(row) for row in review_rows.list_jobs(connection, wanted)]


def page(core: Core, scope: Scope, wanted: review_rows.Wanted) -> dict[str, Any]:
    """Of one merchant and mode, newest first: {"data", "has_more", "next"}."""
    mine = replace(wanted, merchant_id=scope.merchant_id, mode=scope.mode, limit=wanted.limit + 1)
    with core.database.scoped(scope) as connection:
        found = list(reversed(review_rows.list_jobs(connection, mine)))
    return listing(found, wanted.limit, "job", _listed)


def _listed(row: Row) -> dict[str, Any]:
    error = row["error"] or {}
    return {
        **_job(row),
        "reason": error.get("code"),
        "message": error.get("message"),
        "waits_seconds": round((row["now"] - _since(row)).total_seconds(), 1),
    }


def _since(row: Row) -> datetime:
    since: datetime = {
        "needs_review": row["review_since"],
        "queued": row["run_after"],
        "running": row["lease_until"],
    }.get(row["status"]) or row["finished_at"]
    return since


def _job(row: Row) -> dict[str, Any]:
    return {
        "id": public_id("job", row["id"]),
        "kind": row["kind"],
        "status": row["status"],
        "mode": row["mode"],
        "merchant": public_id("merchant", row["merchant_id"]),
        "payment": None if row["payment_id"] is None else public_id("payment", row["payment_id"]),
        "attempts": row["attempts"],
        "lease_losses": row["lease_losses"],
        "created_at": timestamp(row["created_at"]),
        "started_at": timestamp(row["started_at"]),
        "finished_at": timestamp(row["finished_at"]),
    }


def show(core: Core, job_id: UUID, scope: Scope | None = None) -> dict[str, Any]:
    """A job with its transaction, its open findings, what persons decided before, and what can be done now.

    With a scope only a job of that merchant and mode is there. Raises NotFoundError.
    """
    with core.database.unscoped() if scope is None else core.database.scoped(scope) as connection:
        job = review_rows.find_job(connection, job_id, scope)
    if job is None:
        raise NotFoundError(f"there is no job {public_id('job', job_id)}; `tollgate jobs list` shows them")
    with core.transaction(Scope(job["merchant_id"], job["mode"])) as connection:
        # Locked like everywhere, so that what is shown together was true together.
        payment = None if job["payment_id"] is None else rows.lock_payment(connection, job["payment_id"])
        held = review_outcomes.matter(connection, job, payment)
        findings = review_rows.findings_of(connection, job)
        decided = _decided(connection, job)
        present(connection)
    error = job["error"] or {}
    return {
        **_job(job),
        "reason": error.get("code"),
        "message": error.get("message"),
        "payment_status": None if payment is None else payment["status"],
        "transactions": [] if held.transaction is None else [_transaction(held.transaction)],
        "findings": [_finding(row) for row in findings],
        "decided": decided,
        "next_attempt_at": timestamp(job["run_after"]) if job["status"] == "queued" else None,
        "target": _target(job),
        "choices": choices(held),
        "what_to_do": _what_to_do(held),
    }


def _target(job: Row) -> str | None:
    """Public id of what the job is about, where that is neither payment nor transaction."""
    kind = _TARGETS.get(job["kind"])
    return None if kind is None or job["target_id"] is None else public_id(kind, job["target_id"])


_TARGETS = {
    "refund_payment": "refund",
    "deliver_event": "event",
    "process_webhook": "inbox_event",
    "reconcile": "reconciliation_run",
    "forget_method": "payment_method",
    "push_customer": "customer",
    "sync_dispute": "dispute",
    "send_evidence": "dispute",
    "accept_dispute": "dispute",
}


def choices(held: review_outcomes.Matter) -> dict[str, Any]:
    """What a person may decide: {"requeue", "verdicts", "asks_id", "asks_amount"}; nothing unless it is in review."""
    if held.job["status"] != "needs_review":
        return {"requeue": False, "verdicts": [], "asks_id": False, "asks_amount": False}
    told = held.transaction
    if told is None or not held.undecided or (held.job["kind"] not in review_outcomes.SENDS and not held.contradicted):
        verdicts, told = list(review_outcomes.plain_verdicts(held)), None
    else:
        verdicts = ["executed", "not_executed"]
    return {
        "requeue": True,
        "verdicts": verdicts,
        "asks_id": told is not None and told["kind"] in review_outcomes.MAKES_OBJECT,
        "asks_amount": told is not None and told["kind"] in review_outcomes.MOVES_MONEY,
    }


def _transaction(row: Row) -> dict[str, Any]:
    return {
        "id": public_id("transaction", row["id"]),
        "operation": row["kind"],
        "status": row["status"],
        "amount": f"{Money(row['amount'], row['currency']).major} {row['currency']} ({row['amount']})",
        "provider": row["provider"],
        "account": public_id("provider_account", row["provider_account_id"]),
        "provider_key": row["provider_key"],
        "provider_id": row["provider_id"],
        "sends": row["send_count"],
        "first_sent_at": timestamp(row["first_sent_at"]),
        "look_ups": row["lookup_count"],
        "evidence": row["evidence"],
    }


def _finding(row: Row) -> dict[str, Any]:
    return {
        "id": public_id("finding", row["id"]),
        "kind": row["kind"],
        "details": row["details"],
        "created_at": timestamp(row["created_at"]),
    }


def _decided(connection: sa.Connection, job: Row) -> list[dict[str, Any]]:
    columns = audit_log.c
    about = (
        (columns.payment_id == job["payment_id"]) if job["payment_id"] else (columns.created_at >= job["created_at"])
    )
    query = sa.select(audit_log).where(about, columns.subject_id == job["id"], columns.cause == "person")
    found = connection.execute(query.order_by(columns.number)).mappings().all()
    return [
        {
            "at": timestamp(row["created_at"]),
            "by": row["actor"],
            "what": f"{row['from_status']} to {row['to_status']}",
            "reason": row["details"].get("reason"),
        }
        for row in found
    ]


def _what_to_do(held: review_outcomes.Matter) -> Sequence[str]:
    """The commands that fit, with what they need."""
    job = held.job
    if job["status"] != "needs_review":
        return []
    name = public_id("job", job["id"])
    asked = [f"Have it asked again:  tollgate jobs requeue {name} --reason '…'"]
    told = held.transaction
    if told is None or not held.undecided or (job["kind"] not in review_outcomes.SENDS and not held.contradicted):
        return [*asked, f"It is settled:  tollgate jobs resolve {name} --as failed --reason '…'"]
    given = " --provider-id …" if told["kind"] in review_outcomes.MAKES_OBJECT else ""
    given += " --amount …" if told["kind"] in review_outcomes.MOVES_MONEY else ""
    resolve = f"tollgate jobs resolve {name} --as"
    return [
        *asked,
        f"{told['provider']} shows it done:  {resolve} executed{given} --reason '…'",
        f"{told['provider']} shows nothing of it:  {resolve} not-executed --reason '…'",
    ]
