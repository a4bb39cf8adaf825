"""What a change leaves behind in its own commit: an audit record, an event with its deliveries, a sealed body."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy.engine import Connection

from core.audit import log
from core.domain.identifiers import new_id
from core.domain.outcomes import Outcome
from core.domain.redaction import redact_body
from core.orchestration import jobs
from core.orchestration.context import Caller, Cause, Core
from core.persistence import pipeline
from core.persistence.database import Scope, present
from core.persistence.queries import events
from core.persistence.queries import payments as rows
from core.persistence.tables import payments
from core.persistence.vault import Place

Row = Mapping[Any, Any]


def store_body(core: Core, connection: Connection, payment: Row, transaction: Row, outcome: Outcome) -> None:
    """Keep what the provider said, sealed, beside what we made of it."""
    facts = getattr(outcome, "facts", None)
    raw = facts.raw if facts is not None else getattr(outcome, "raw", None)
    keep_raw(core, connection, payment, transaction, raw)


def keep_raw(core: Core, connection: Connection, payment: Row, transaction: Row, raw: Mapping[str, Any] | None) -> None:
    """The same for a body alone; None is nothing to keep. Of a person who was erased it keeps no name."""
    if raw is None:
        return
    if payment["payer_erased"]:
        raw = redact_body(raw)
    scope, body_id = Scope(transaction["merchant_id"], transaction["mode"]), new_id()
    sealed = core.vault.merchant_key(connection, scope).seal_json(Place("bodies", "sealed", body_id), raw)
    rows.insert_body(connection, scope, "transaction", transaction["id"], body_id, sealed)


def emit(connection: Connection, scope: Scope, kind: str, payment_id: UUID, body: Mapping[str, Any]) -> None:
    """An event with the payment's next sequence number, and a delivery job for every endpoint that wants it."""
    pipeline.update(connection, payments, payment_id, {}, "event_sequence = event_sequence + 1")
    tell(connection, scope, kind, payment_id, body)


def tell(connection: Connection, scope: Scope, kind: str, payment_id: UUID, body: Mapping[str, Any]) -> None:
    """The same where the payment's row has counted the event already."""
    event_id = events.insert_event(connection, scope, kind, payment_id, body)
    arguments = {"event_created_at": present(connection).isoformat()}
    for endpoint_id in events.endpoints_for(connection, scope, kind):
        jobs.enqueue(
            connection,
            scope,
            "deliver_event",
            payment_id=payment_id,
            target_id=event_id,
            endpoint_id=endpoint_id,
            arguments=arguments,
        )


def audit(
    connection: Connection,
    scope: Scope,
    subject: str,
    subject_id: UUID,
    payment_id: UUID,
    source: str | None,
    target: str | None,
    cause: Cause,
    changed: Sequence[str] = (),
) -> None:
    """A step of `subject`. Without a target columns were `changed`, and the status was not."""
    step = "status_changed" if source is not None else "created" if target is not None else "changed"
    details: dict[str, Any] = {"reference": cause.reference} if cause.reference else {}
    if changed:
        details["changed"] = list(changed)
    log.record(
        connection,
        scope=scope,
        actor=cause.actor,
        action=f"{subject}.{step}",
        subject_kind=subject,
        subject_id=subject_id,
        payment_id=payment_id,
        from_status=source,
        to_status=target,
        cause=cause.kind,
        request_id=cause.request_id,
        job_id=cause.job_id,
        from_address=cause.from_address,
        details=details,
    )


def audit_request(
    connection: Connection,
    caller: Caller,
    subject: str,
    verb: str,
    subject_id: UUID,
    details: Mapping[str, Any] | None = None,
    *,
    payment_id: UUID | None = None,
    job_id: UUID | None = None,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """What a caller did that is no step of a status."""
    log.record(
        connection,
        scope=caller.scope,
        actor=caller.actor,
        action=f"{subject}.{verb}",
        subject_kind=subject,
        subject_id=subject_id,
        payment_id=payment_id,
        job_id=job_id,
        cause="request",
        request_id=caller.request_id,
        from_address=caller.from_address,
        before=before,
        after=after,
        details=details,
    )
