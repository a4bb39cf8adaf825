"""What a person decides about a job in review: asked again, or settled, with a reason, in one commit.

Nothing here writes a status. What happened at the provider goes through `status_manager.apply` like any answer, and
the job's own step through `jobs.decide`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.audit import log
from core.audit.log import Origin
from core.domain.card_numbers import holds_card_number
from core.domain.errors import NotFoundError, RequestRefused, StateConflict
from core.domain.identifiers import public_id
from core.orchestration import jobs, review_outcomes
from core.orchestration.context import Cause, Core
from core.orchestration.review_outcomes import Matter, Told
from core.persistence.database import Scope
from core.persistence.queries import payments as rows
from core.persistence.queries import review as review_rows

Row = Mapping[Any, Any]
#: What `resolve` takes: how the job ends, or what happened at the provider, from which its end follows.
Verdict = Literal["succeeded", "failed", "executed", "not_executed"]

#: What was done is the job's success, whoever found it out.
_END: Mapping[Verdict, str] = {
    "succeeded": "succeeded",
    "failed": "failed",
    "executed": "succeeded",
    "not_executed": "failed",
}

#: Long enough for a sentence and a ticket's number; a longer text belongs into the ticket.
LONGEST_REASON = 500
LONGEST_ACTOR = 100


@dataclass(frozen=True, slots=True)
class Person:
    """Who decides, and why. Both are kept for ever in the audit log, so neither holds people's data or secrets."""

    actor: str
    reason: str
    request_id: str | None = None
    from_address: str | None = None

    @property
    def origin(self) -> Origin:
        """For the audit record."""
        return {"request_id": self.request_id, "from_address": self.from_address}

    def __post_init__(self) -> None:
        """Raises RequestRefused."""
        _check_text("the reason", self.reason, LONGEST_REASON)
        _check_text("the actor", self.actor, LONGEST_ACTOR)


def _check_text(name: str, text: str, longest: int) -> None:
    if not text.strip():
        raise RequestRefused(f"{name} is empty: say it in a sentence, it is kept in the audit log")
    if len(text) > longest:
        raise RequestRefused(f"{name} may have {longest} characters")
    if not text.isprintable():
        raise RequestRefused(f"{name} holds line breaks or control characters: write it on one line")
    if holds_card_number(text):
        raise RequestRefused(f"{name} looks like it holds a card number: leave it out, it would be kept for ever")


def requeue(core: Core, job_id: UUID, person: Person, scope: Scope | None = None) -> dict[str, Any]:
    """Have a job in review tried again, with all its tries; it looks up before it sends.

    With a scope only a job of that merchant and mode is there. Raises NotFoundError, StateConflict.
    """
    try:
        with _held(core, job_id, scope) as (connection, matter):
            job = matter.job
            if job["kind"] == "sync_payment" and jobs.sync_waits(connection, job["payment_id"]):
                raise StateConflict(_OTHER_LOOK)
            review_outcomes.ask_now(connection, matter)
            return _end(connection, job, "queued", person, {"decision": "requeue"})
    except sa.exc.IntegrityError:  # `jobs_one_sync`: another look was queued since we saw none
        raise StateConflict(_OTHER_LOOK) from None


_OTHER_LOOK = "another look at this payment is queued already and does this one's work: resolve this one as succeeded"


def resolve(
    core: Core,
    job_id: UUID,
    verdict: Verdict,
    person: Person,
    told: Told | None = None,
    scope: Scope | None = None,
) -> dict[str, Any]:
    """End a job in review. `told` is what the provider shows, for `executed`. `scope` as for `requeue`.

    Raises NotFoundError, StateConflict, RequestRefused.
    """
    told = told or Told()
    if verdict != "executed" and told != Told():
        raise RequestRefused("the provider's id and amount are told with executed, and with nothing else")
    with _held(core, job_id, scope) as (connection, matter):
        job = matter.job
        cause = Cause(
            "person",
            person.actor,
            reference=f"job {public_id('job', job['id'])}",
            job_id=job["id"],
            **person.origin,
        )
        if verdict == "executed":
            review_outcomes.executed(core, connection, matter, told, cause)
        elif verdict == "not_executed":
            review_outcomes.not_executed(core, connection, matter, cause)
        else:
            review_outcomes.check_settled(matter, verdict)
            review_outcomes.keep_asking(core, connection, matter)
        status = _END[verdict]
        details: dict[str, Any] = {"decision": verdict}
        if matter.transaction is not None:
            details["transaction"] = public_id("transaction", matter.transaction["id"])
        return _end(connection, job, status, person, details)


@contextmanager
def _held(core: Core, job_id: UUID, scope: Scope | None) -> Iterator[tuple[Connection, Matter]]:
    """The job in review with what it is about, all locked, in the order in which every road locks."""
    name = public_id("job", job_id)
    with core.database.unscoped() if scope is None else core.database.scoped(scope) as connection:
        seen = review_rows.find_job(connection, job_id, scope)
    if seen is None:
        raise NotFoundError(f"there is no job {name}; `tollgate jobs list` shows those that wait for a person")
    _check_in_review(seen)
    with core.transaction(Scope(seen["merchant_id"], seen["mode"])) as connection:
        payment = None if seen["payment_id"] is None else rows.lock_payment(connection, seen["payment_id"])
        matter = review_outcomes.matter(connection, seen, payment)
        job = review_rows.lock_job(connection, job_id)
        _check_in_review(job)
        yield connection, Matter(job, matter.payment, matter.transaction, matter.refund, matter.others)


def _check_in_review(job: Row) -> None:
    """Another person may have decided since the list was printed. Raises StateConflict."""
    if job["status"] == "needs_review":
        return
    name = public_id("job", job["id"])
    if job["status"] in ("queued", "running"):
        raise StateConflict(f"job {name} is {job['status']}: it is not a person's turn; nothing was changed")
    raise StateConflict(f"job {name} is not in review: it is {job['status']}; `tollgate jobs show {name}` says why")


def _end(connection: Connection, job: Row, status: str, person: Person, details: Mapping[str, Any]) -> dict[str, Any]:
    """The job's own step, its audit record and the end of its finding."""
    code = (job["error"] or {}).get("code")
    jobs.decide(connection, job["lane"], job["id"], status)
    log.record(
        connection,
        scope=Scope(job["merchant_id"], job["mode"]),
        actor=person.actor,
        action="job.requeued" if status == "queued" else "job.resolved",
        subject_kind="job",
        subject_id=job["id"],
        payment_id=job["payment_id"],
        from_status=job["status"],
        to_status=status,
        cause="person",
        **person.origin,
        job_id=job["id"],
        details={**details, "reason": person.reason, "in_review_for": code},
    )
    transaction = details.get("transaction")
    closed = review_rows.resolve_findings(connection, job, f"{person.actor}: {person.reason}")
    findings = [public_id("finding", one) for one in closed]
    return {"id": public_id("job", job["id"]), "status": status, "transaction": transaction, "findings": findings}
