"""Rows of provider events for a person: listed, counted, and locked with the jobs that will still read them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from core.persistence.database import Scope
from core.persistence.queries.reading import within
from core.persistence.tables import inbox_events, jobs


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events; None asks for any. `since` and `until` in seconds before now, by when they were received.

    `received_after` and `received_before` are the same as times, exclusive.

    `after` is the last id of the page before, of a list whose newest come first.
    """

    provider: str | None = None
    status: str | None = None
    kind: str | None = None
    since: float | None = None
    until: float | None = None
    scope: Scope | None = None
    after: UUID | None = None
    received_after: datetime | None = None
    received_before: datetime | None = None


def _where(wanted: Wanted) -> list[sa.ColumnElement[bool]]:
    columns = inbox_events.c
    given = ((columns.provider, wanted.provider), (columns.status, wanted.status), (columns.kind, wanted.kind))
    asked: list[sa.ColumnElement[bool]] = [column == value for column, value in given if value is not None]
    if wanted.scope is not None:
        asked.append(within(inbox_events, wanted.scope))
    if wanted.after is not None:
        asked.append(columns.id < wanted.after)
    if wanted.received_after is not None:
        asked.append(columns.received_at > wanted.received_after)
    if wanted.received_before is not None:
        asked.append(columns.received_at < wanted.received_before)
    if wanted.since is not None:
        asked.append(columns.received_at >= _ago(wanted.since))
    if wanted.until is not None:
        asked.append(columns.received_at < _ago(wanted.until))
    return asked


def _ago(seconds: float) -> sa.ColumnElement[object]:
    return sa.text("(SELECT app_now()) - make_interval(secs => :ago)").bindparams(  # type: ignore[return-value]
        sa.bindparam("ago", seconds, unique=True)
    )


def find(connection: Connection, inbox_id: UUID, scope: Scope | None = None) -> RowMapping | None:
    """Without a scope: of any merchant."""
    query = sa.select(inbox_events).where(inbox_events.c.id == inbox_id)
    if scope is not None:
        query = query.where(within(inbox_events, scope))
    return connection.execute(query).mappings().one_or_none()


def list_newest(connection: Connection, wanted: Wanted, limit: int) -> list[RowMapping]:
    """The newest `limit` of them, newest last."""
    query = sa.select(inbox_events).where(*_where(wanted)).order_by(inbox_events.c.id.desc()).limit(limit)
    return list(reversed(connection.execute(query).mappings().all()))


def count(connection: Connection, wanted: Wanted) -> int:
    found: int = connection.execute(
        sa.select(sa.func.count()).select_from(inbox_events).where(*_where(wanted))
    ).scalar_one()
    return found


def ids(connection: Connection, wanted: Wanted, most: int | None = None) -> Sequence[UUID]:
    """All of them or the first so many, the oldest first, as they came."""
    query = sa.select(inbox_events.c.id).where(*_where(wanted)).order_by(inbox_events.c.id).limit(most)
    return connection.execute(query).scalars().all()


# By status, so that the few that are alive are walked, and not all there ever were.
_LIVE = " UNION ALL ".join(
    f"SELECT id FROM jobs WHERE status = '{status}' AND lane = 'webhooks' AND kind = 'process_webhook' "
    "AND target_id = :inbox"
    for status in ("queued", "running", "needs_review")
)


def lock_jobs(connection: Connection, inbox_id: UUID) -> Sequence[RowMapping]:
    """Before the event: whoever reads it locks in this order."""
    found = connection.execute(sa.text(_LIVE), {"inbox": inbox_id}).scalars().all()
    query = sa.select(jobs).where(jobs.c.id.in_(found)).order_by(jobs.c.id).with_for_update()
    return connection.execute(query).mappings().all() if found else []


# The body lies in the partition of its event's time.
_LOCK = sa.text(
    "SELECT e.*, EXISTS (SELECT FROM bodies b WHERE b.owner_id = e.id AND b.created_at >= e.received_at - "
    "interval '1 day' AND b.created_at < e.received_at + interval '1 day') AS has_body, "
    "EXISTS (SELECT FROM payments p WHERE p.id = e.payment_id AND p.payer_erased) AS redacted "
    "FROM inbox_events e WHERE e.id = :inbox FOR UPDATE OF e"
)


def lock(connection: Connection, inbox_id: UUID) -> RowMapping:
    """The event, with `has_body` and `redacted`: is what was received still kept, and as it came?"""
    return connection.execute(_LOCK, {"inbox": inbox_id}).mappings().one()
