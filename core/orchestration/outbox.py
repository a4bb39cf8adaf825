"""Outbox: tells a merchant of one event, signed, on Standard Webhooks' schedule, one row an attempt."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy.engine import Connection

from core import metrics, points
from core.audit import log as audit
from core.domain.errors import RequestRefused
from core.domain.identifiers import public_id
from core.domain.representations import timestamp
from core.orchestration import egress, in_flight, jobs, webhook_secrets
from core.orchestration.context import Core
from core.orchestration.egress import Answer, Target
from core.orchestration.jobs import Job
from core.orchestration.webhook_urls import read_url
from core.persistence.queries import outbox as rows
from core.persistence.queries.findings import open_finding

log = structlog.get_logger(__name__)

#: A receiver may ask for more patience than the schedule has, up to its longest pause.
MAX_RETRY_AFTER = 86_400.0
#: The receiver says that it wants no more, ever (Standard Webhooks).
GONE = 410

Row = Mapping[Any, Any]


@dataclass(frozen=True, slots=True)
class Parcel:
    """One attempt, ready to be sent: no row is needed any more."""

    target: Target
    headers: Mapping[str, str]
    body: bytes
    attempt: int


def deliver_event(core: Core, job: Job) -> None:
    """Carry one `deliver_event` job through one attempt, if its endpoint has a place for it. Raises LeaseLost."""
    with in_flight.delivery(core, job) as pause:
        if not pause:
            _attempt(core, job)
            return
    with core.transaction(job.scope) as connection:
        jobs.keep_back(connection, job, pause)


def _attempt(core: Core, job: Job) -> None:
    with core.transaction(job.scope) as connection:
        parcel = _prepare(core, connection, job)
    if parcel is None:
        return
    points.reached("delivery.prepared", job.kind)
    # No transaction is open here: the receiver may take all the time it is given.
    answer = egress.post(
        parcel.target,
        parcel.headers,
        parcel.body,
        core.settings.delivery_timeout,
        core.settings.allow_private_webhook_targets,
    )
    points.reached("delivery.posted", job.kind)
    with core.transaction(job.scope, commit=points.RECORDING) as connection:
        _record(connection, job, parcel, answer)
        _conclude(core, connection, job, parcel, answer)
    metrics.DELIVERIES.labels(_outcome(answer)).inc()
    log.info(
        "delivery",
        event_id=public_id("event", job.target),
        endpoint_id=_endpoint_name(job),
        attempt=parcel.attempt,
        outcome=_outcome(answer),
        http_status=answer.status,
        duration_ms=round(answer.duration * 1000),
    )


def body_of(event: Row) -> dict[str, Any]:
    """What is sent: the same on each attempt, since it is made from the stored row alone."""
    return {
        "id": public_id("event", event["id"]),
        "type": event["type"],
        "created_at": timestamp(event["created_at"]),
        "sequence": event["sequence"],
        "data": event["data"],
    }


def _prepare(core: Core, connection: Connection, job: Job) -> Parcel | None:
    """None when there is nothing to send any more; the job is ended then."""
    wanted = rows.find_wanted(connection, job.scope, job.id, datetime.fromisoformat(job.arguments["event_created_at"]))
    endpoint, event = wanted.endpoint, wanted.event
    if endpoint is None or not endpoint["enabled"]:
        note = "endpoint_deleted" if endpoint is None else "endpoint_disabled"
        jobs.finish(connection, job, "succeeded", {"code": note, "message": "not delivered: nobody wants it any more"})
        return None
    if event is None:
        jobs.finish(connection, job, "failed", {"code": "event_missing", "message": "the event is no longer kept"})
        return None
    try:
        target = read_url(endpoint["url"], core.settings.allow_private_webhook_targets)
    except RequestRefused as error:
        # Stored when the development setting was on, or by rules that have become stricter since.
        jobs.finish(connection, job, "failed", {"code": "url_refused", "message": error.detail})
        return None
    return _parcel(core, connection, job, endpoint, event, target, wanted.attempt)


def _parcel(
    core: Core, connection: Connection, job: Job, endpoint: Row, event: Row, target: Target, attempt: int
) -> Parcel:
    body = json.dumps(body_of(event), separators=(",", ":"), ensure_ascii=False)
    secrets = webhook_secrets.open_secrets(core.vault, connection, job.scope, endpoint)
    # The receiver compares with its own clock, so this is the real time and not the database's.
    signed = webhook_secrets.signature_headers(secrets, public_id("event", event["id"]), body, datetime.now(UTC))
    headers = {"Content-Type": "application/json", "User-Agent": "Tollgate-Webhooks/1", **signed}
    return Parcel(target, headers, body.encode(), attempt)


def _record(connection: Connection, job: Job, parcel: Parcel, answer: Answer) -> None:
    rows.insert_delivery(
        connection,
        job.scope,
        {
            "event_id": job.target,
            "endpoint_id": _endpoint_id(job),
            "job_id": job.id,
            "payment_id": job.payment_id,
            "attempt": parcel.attempt,
            "outcome": _outcome(answer),
            "http_status": answer.status,
            "error": _error(answer),
            "duration_ms": round(answer.duration * 1000),
        },
    )


def _conclude(core: Core, connection: Connection, job: Job, parcel: Parcel, answer: Answer) -> None:
    outcome = _outcome(answer)
    if outcome == "delivered":
        jobs.finish(connection, job)
        return
    error = {"code": f"delivery_{outcome}", "message": _error(answer), "http_status": answer.status}
    if answer.status == GONE:
        _disable(connection, job)
        jobs.finish(connection, job, "failed", error)
        return
    delays = core.settings.delivery_delays
    if parcel.attempt <= len(delays):
        jobs.requeue(connection, job, next_delay(delays[parcel.attempt - 1], answer.retry_after), error)
        return
    jobs.finish(connection, job, "failed", error)
    details = {"event": public_id("event", job.target), "endpoint": _endpoint_name(job), "attempts": parcel.attempt}
    key = f"{job.target}:{job.endpoint_id}"
    open_finding(connection, job.scope, "event_undelivered", key, details, payment_id=job.payment_id, job_id=job.id)


def _disable(connection: Connection, job: Job) -> None:
    endpoint_id = _endpoint_id(job)
    endpoint = rows.find_endpoint(connection, job.scope, endpoint_id, lock=True)
    if endpoint is None or not endpoint["enabled"]:
        return
    rows.update_endpoint(connection, endpoint_id, {"enabled": False, "disabled_reason": "it answered 410 Gone"})
    audit.record(
        connection,
        scope=job.scope,
        actor="worker",
        action="webhook_endpoint.disabled",
        subject_kind="webhook_endpoint",
        subject_id=endpoint_id,
        cause="answer",
        details={"http_status": GONE, "job": public_id("job", job.id)},
    )
    open_finding(
        connection,
        job.scope,
        "webhook_endpoint_gone",
        str(endpoint_id),
        {"endpoint": _endpoint_name(job)},
        job_id=job.id,
    )


def _outcome(answer: Answer) -> str:
    if answer.refused:
        return "refused"
    # Redirects are not followed: a 3xx is a receiver that moved without telling us.
    return "delivered" if answer.status is not None and 200 <= answer.status < 300 else "failed"


def _error(answer: Answer) -> str | None:
    if answer.error is not None:
        return answer.error
    return None if _outcome(answer) == "delivered" else f"the endpoint answered {answer.status}"


def next_delay(delay: float, retry_after: str | None) -> float:
    """Seconds to the next attempt: the schedule's, or what the receiver asks for if that is longer."""
    return max(delay, min(read_retry_after(retry_after), MAX_RETRY_AFTER))


def read_retry_after(text: str | None) -> float:
    """Seconds, from a number or an HTTP date (RFC 9110 section 10.2.3); 0 for anything else."""
    if text is None:
        return 0.0
    if text.strip().isdecimal() and text.isascii():
        return float(text.strip()[:9])
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return 0.0
    return max(0.0, (at.astimezone(UTC) - datetime.now(UTC)).total_seconds())


def _endpoint_id(job: Job) -> UUID:
    if job.endpoint_id is None:
        raise LookupError(f"job {job.id} names no endpoint")
    return job.endpoint_id


def _endpoint_name(job: Job) -> str:
    return public_id("webhook_endpoint", _endpoint_id(job))
