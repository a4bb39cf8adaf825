"""Rows of what providers told us: stored in one statement, found again with what reading them needs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.engine import Connection

from core.persistence import pipeline
from core.persistence.database import Scope
from core.persistence.queries import opening
from core.persistence.tables import inbox_events

_NAMES = (
    "id merchant_id mode provider provider_account_id dedupe_key kind provider_event_id provider_created_at status"
).split()
_STORE = (
    f"WITH made AS (INSERT INTO inbox_events ({', '.join(_NAMES)}) "
    f"VALUES ({', '.join(f'%({name})s' for name in _NAMES)}) "
    "ON CONFLICT (provider_account_id, dedupe_key) DO NOTHING RETURNING id), "
    "kept AS (INSERT INTO bodies (id, merchant_id, mode, owner_kind, owner_id, sealed) "
    "SELECT CAST(%(body)s AS uuid), CAST(%(merchant)s AS uuid), CAST(%(mode)s AS text), 'inbox_event', made.id, "
    "CAST(%(sealed)s AS bytea) FROM made), "
    "queued AS ({queue}) SELECT count(*) AS made FROM made"
)


def store(
    connection: Connection, values: Mapping[str, Any], queue: str, job_id: UUID, body: tuple[UUID, bytes]
) -> bool:
    """An event, its sealed body and its job, all or nothing; False when the event was stored before.

    `queue` is the statement that makes the job; `body` its id and what is sealed.
    """
    more = {"job": job_id, "merchant": values["merchant_id"], "body": body[0], "sealed": body[1]}
    found = pipeline.fetch(connection, _STORE.replace("{queue}", queue), {**values, **more})
    return bool(found[0]["made"])


#: A body is written in the commit of its event; nobody counts on clocks that agree better than this.
_SLACK = timedelta(days=1)
_FIND = (
    "WITH j AS MATERIALIZED (SELECT id FROM jobs WHERE id = %(job)s AND fence = %(fence)s AND status = 'running' "
    "AND lease_until > (SELECT app_now()) FOR UPDATE) "
    f"SELECT {opening.COLUMNS}, EXISTS (SELECT FROM j) AS held, b.id AS body_id, b.sealed, "
    f"{pipeline.columns_of(inbox_events, 'e')} FROM inbox_events e JOIN bodies b "
    "ON b.owner_id = e.id AND b.created_at >= %(since)s AND b.created_at < %(until)s "
    "WHERE e.id = %(inbox)s FOR UPDATE OF e"
)


def lock_with_body(
    connection: Connection, scope: Scope, inbox_id: UUID, written_at: datetime, job_id: UUID, fence: int
) -> pipeline.Found | None:
    """The event, locked, with `body_id` and `sealed`, and with `held`: does the job still have this fence?

    `written_at` leads to the partition of the body; None where there is none near it.
    """
    near = {"since": written_at - _SLACK, "until": written_at + _SLACK}
    values = {**opening.values(scope), **near, "inbox": inbox_id, "job": job_id, "fence": fence}
    found = pipeline.fetch(connection, _FIND, values)
    if not found:
        return None
    opening.keep(connection, found[0])
    # Chosen here: asked for the newest, Postgres would rather walk all bodies backwards.
    return max(found, key=lambda row: row["body_id"])
