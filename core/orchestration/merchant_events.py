"""The events a merchant was told of, or should have been: listed, read with their attempts, sent again."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy.engine import Connection, RowMapping

from core.audit import log
from core.domain import representations
from core.domain.errors import NotFoundError, StateConflict
from core.domain.identifiers import public_id
from core.orchestration import idempotency, jobs
from core.orchestration.context import Caller, Core
from core.orchestration.idempotency import Accepted, IdempotencyKey
from core.orchestration.outbox import Row, body_of
from core.orchestration.reading import listing
from core.persistence.database import Scope
from core.persistence.queries import outbox as rows
from core.persistence.queries.events import endpoints_for
from core.persistence.queries.reading import Page, find, page
from core.persistence.tables import events
from core.persistence.tables import jobs as job_rows


def representation(row: Row) -> dict[str, Any]:
    """The body that is delivered, and which payment it is about."""
    payment_id = row["payment_id"]
    return {**body_of(row), "payment": None if payment_id is None else public_id("payment", payment_id)}


def _attempt(row: Row) -> dict[str, Any]:
    return {
        "id": public_id("delivery", row["id"]),
        "webhook_endpoint": public_id("webhook_endpoint", row["endpoint_id"]),
        "job": public_id("job", row["job_id"]),
        "attempt": row["attempt"],
        "outcome": row["outcome"],
        "http_status": row["http_status"],
        "error": row["error"],
        "duration_ms": row["duration_ms"],
        "created_at": representations.timestamp(row["created_at"]),
    }


def list_events(
    core: Core,
    scope: Scope,
    limit: int = 20,
    after: UUID | None = None,
    *,
    kind: str | None = None,
    payment_id: UUID | None = None,
) -> dict[str, Any]:
    """{"data", "has_more", "next"}, newest first. Order one payment's events by `sequence`."""
    wanted = {"type": kind, "payment_id": payment_id}
    equals = {name: value for name, value in wanted.items() if value is not None}
    with core.database.scoped(scope) as connection:
        found = page(connection, events, scope, Page(limit, after, equals))
        return listing(found, limit, "event", representation)


def get_event(core: Core, scope: Scope, event_id: UUID) -> dict[str, Any]:
    """With every attempt to deliver it. Raises NotFoundError."""
    with core.database.scoped(scope) as connection:
        row = _find(connection, scope, event_id)
        attempts = rows.deliveries_of(connection, scope, event_id, row["created_at"])
        return {**representation(row), "deliveries": [_attempt(one) for one in attempts]}


def redeliver(core: Core, caller: Caller, event_id: UUID, key: IdempotencyKey | None = None) -> Accepted:
    """202 with one new job for each enabled endpoint that asked for this kind of event.

    Raises NotFoundError, StateConflict when there is no such endpoint, IdempotencyMismatch, IdempotencyInUse.
    """
    scope = caller.scope
    with core.transaction(scope, core.settings.idempotency_wait) as connection, idempotency.short_waits():
        known = None if key is None else idempotency.reserve(connection, scope, key)
        if known is not None:
            return known
        event = _find(connection, scope, event_id)
        answer = _enqueue(connection, caller, event)
        _audit(connection, caller, event, len(answer.body["jobs"]))
        if key is not None:
            idempotency.fill(connection, scope, key, answer)
        return answer


def _enqueue(connection: Connection, caller: Caller, event: RowMapping) -> Accepted:
    scope = caller.scope
    endpoints = endpoints_for(connection, scope, event["type"])
    if not endpoints:
        raise StateConflict("no enabled webhook endpoint asks for this kind of event", code="no_endpoint")
    made = [
        jobs.enqueue(
            connection,
            scope,
            "deliver_event",
            payment_id=event["payment_id"],
            target_id=event["id"],
            endpoint_id=endpoint,
            # Who asked: such a job is kept, since the caller's key is led to it (migration 0006).
            arguments={"event_created_at": event["created_at"].isoformat(), "actor": caller.actor},
        )
        for endpoint in endpoints
    ]
    stored = [find(connection, job_rows, scope, job) for job in made]
    bodies = [representations.job(row) for row in stored if row is not None]
    return Accepted(202, {"event": representation(event), "jobs": bodies}, bodies[0]["url"], False, made[0])


def _find(connection: Connection, scope: Scope, event_id: UUID) -> RowMapping:
    row = rows.find_event(connection, scope, event_id)
    if row is None:
        raise NotFoundError("there is no such event")
    return row


def _audit(connection: Connection, caller: Caller, event: RowMapping, count: int) -> None:
    log.record(
        connection,
        scope=caller.scope,
        actor=caller.actor,
        action="event.redelivered",
        subject_kind="event",
        subject_id=event["id"],
        payment_id=event["payment_id"],
        cause="request",
        request_id=caller.request_id,
        from_address=caller.from_address,
        details={"jobs": count},
    )
