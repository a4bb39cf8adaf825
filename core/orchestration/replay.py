"""A provider's event read again because a person says so: by the same job as the first time, through the same door."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from sqlalchemy.engine import Connection

from core.audit import log
from core.domain.errors import NotFoundError, StateConflict
from core.domain.identifiers import public_id
from core.domain.representations import timestamp
from core.orchestration import jobs
from core.orchestration.context import Core
from core.orchestration.reading import listing
from core.orchestration.review import Person
from core.persistence import pipeline
from core.persistence.database import Scope
from core.persistence.queries import replays as stored
from core.persistence.queries.replays import Wanted
from core.persistence.tables import inbox_events

Row = Mapping[Any, Any]
#: Told after each event of a range: how many are done, of how many.
Progress = Callable[[int, int], None]
STATUSES = ("received", "applied", "ignored", "parked")
_KIND = "process_webhook"


@dataclass(frozen=True, slots=True)
class Replayed:
    """`left` holds (event, why) of those that were not replayed."""

    replayed: int
    left: list[tuple[str, str]]


def list_events(core: Core, wanted: Wanted, limit: int) -> list[dict[str, Any]]:
    """The newest so many, newest last. Nothing of a body is shown: it holds people's data."""
    with _reading(core, wanted.scope) as connection:
        return [_shown(row) for row in stored.list_newest(connection, wanted, limit)]


def page(core: Core, wanted: Wanted, limit: int) -> dict[str, Any]:
    """Newest first: {"data", "has_more", "next"}; `next` goes into the next `after`."""
    with _reading(core, wanted.scope) as connection:
        found = list(reversed(stored.list_newest(connection, wanted, limit + 1)))
    return listing(found, limit, "inbox_event", _shown)


def count(core: Core, wanted: Wanted) -> int:
    with _reading(core, wanted.scope) as connection:
        return stored.count(connection, wanted)


def _reading(core: Core, scope: Scope | None) -> AbstractContextManager[Connection]:
    return core.database.unscoped() if scope is None else core.database.scoped(scope)


def show(core: Core, inbox_id: UUID, scope: Scope | None = None) -> dict[str, Any]:
    """An event, whether its body is still kept, and the jobs that will read it.

    With a scope only an event of that merchant and mode is there. Raises NotFoundError.
    """
    with core.transaction(_scope(core, inbox_id, scope)) as connection:
        waiting = stored.lock_jobs(connection, inbox_id)
        event = stored.lock(connection, inbox_id)
    live = [{"id": public_id("job", row["id"]), "status": row["status"], "due": timestamp(row["run_after"])}
            for row in waiting]  # fmt: skip
    return {**_shown(event), "body_kept": event["has_body"], "jobs": live}


def _shown(row: Row) -> dict[str, Any]:
    return {
        "id": public_id("inbox_event", row["id"]),
        "provider": row["provider"],
        "kind": row["kind"],
        "status": row["status"],
        "reason": row["reason"],
        "mode": row["mode"],
        "merchant": public_id("merchant", row["merchant_id"]),
        "account": public_id("provider_account", row["provider_account_id"]),
        "provider_event_id": row["provider_event_id"],
        "payment": None if row["payment_id"] is None else public_id("payment", row["payment_id"]),
        "received_at": timestamp(row["received_at"]),
        "processed_at": timestamp(row["processed_at"]),
    }


def replay(core: Core, inbox_id: UUID, person: Person, scope: Scope | None = None) -> dict[str, Any]:
    """Have an event read again. What it says is applied once, however often it is read. `scope` as for `show`.

    Raises NotFoundError for an unknown event; StateConflict where nothing can or need be done.
    """
    with core.transaction(_scope(core, inbox_id, scope)) as connection:
        waiting = stored.lock_jobs(connection, inbox_id)
        event = stored.lock(connection, inbox_id)
        _check(event, waiting)
        job_id, how = _queue(connection, event, waiting)
        reopened = {"status": "received", "reason": None, "processed_at": None}
        pipeline.update(connection, inbox_events, inbox_id, reopened)
        _record(connection, event, person, job_id)
    return {
        "id": public_id("inbox_event", inbox_id),
        "was": event["status"],
        "job": public_id("job", job_id),
        "how": how,
    }


def replay_all(
    core: Core, wanted: Wanted, person: Person, progress: Progress | None = None, most: int | None = None
) -> Replayed:
    """Each in a commit of its own, the oldest first, so that an interruption costs nothing but the rest.

    `most` of them, where somebody waits for the answer.
    """
    with _reading(core, wanted.scope) as connection:
        chosen = stored.ids(connection, wanted, most)
    left: list[tuple[str, str]] = []
    for number, inbox_id in enumerate(chosen, 1):
        try:
            replay(core, inbox_id, person, wanted.scope)
        except StateConflict as refused:
            left.append((public_id("inbox_event", inbox_id), str(refused)))
        if progress is not None:
            progress(number, len(chosen))
    return Replayed(len(chosen) - len(left), left)


def _scope(core: Core, inbox_id: UUID, scope: Scope | None) -> Scope:
    with _reading(core, scope) as connection:
        event = stored.find(connection, inbox_id, scope)
    if event is None:
        name = public_id("inbox_event", inbox_id)
        raise NotFoundError(f"there is no stored event {name}; `tollgate inbox list` shows them")
    return Scope(event["merchant_id"], event["mode"])


def _check(event: Row, waiting: list[Row] | Any) -> None:
    """Raises StateConflict."""
    name = public_id("inbox_event", event["id"])
    if not event["has_body"]:
        raise StateConflict(
            f"{name} is older than what is kept of bodies: ask with `POST /v1/payments/ID/sync` instead"
        )
    if event["redacted"]:
        raise StateConflict(f"the person {name} is about was erased: it is kept redacted, and there is nothing to read")
    for job in waiting:
        job_name = public_id("job", job["id"])
        if job["status"] == "running":
            raise StateConflict(f"{name} is being read at this moment, by {job_name}: look again in a minute")
        if job["status"] == "needs_review":
            raise StateConflict(f"{name} waits in review: `tollgate jobs requeue {job_name} --reason '…'` has it read")


def _queue(connection: Connection, event: Row, waiting: Any) -> tuple[UUID, Literal["queued", "hurried"]]:
    """A parked event has a job already, which is made due: a second one would only park it a second time."""
    if waiting:
        job_id: UUID = waiting[0]["id"]
        jobs.hurry(connection, jobs.LANES[_KIND], job_id)
        return job_id, "hurried"
    scope = Scope(event["merchant_id"], event["mode"])
    return jobs.enqueue(connection, scope, _KIND, target_id=event["id"]), "queued"


def _record(connection: Connection, event: Row, person: Person, job_id: UUID) -> None:
    log.record(
        connection,
        scope=Scope(event["merchant_id"], event["mode"]),
        actor=person.actor,
        action="inbox.replayed",
        subject_kind="inbox_event",
        subject_id=event["id"],
        payment_id=event["payment_id"],
        from_status=event["status"],
        to_status="received",
        cause="person",
        **person.origin,
        details={"reason": person.reason, "job": public_id("job", job_id)},
    )
