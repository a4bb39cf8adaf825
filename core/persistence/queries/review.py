"""Rows that wait for a person: jobs in review or stuck, and the findings that belong to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from core.persistence.database import Scope
from core.persistence.queries.reading import within
from core.persistence.tables import findings, jobs, payments

#: The reason of jobs whose finding was opened for their transaction.
_CONTRADICTION = "contradiction"


def find_job(connection: Connection, job_id: UUID, scope: Scope | None = None) -> RowMapping | None:
    """Without a scope: of any merchant."""
    query = sa.select(jobs).where(jobs.c.id == job_id)
    if scope is not None:
        query = query.where(within(jobs, scope))
    return connection.execute(query).mappings().one_or_none()


def lock_job(connection: Connection, job_id: UUID) -> RowMapping:
    """After the payment and its transactions: every road locks in this order."""
    return connection.execute(sa.select(jobs).where(jobs.c.id == job_id).with_for_update()).mappings().one()


def findings_of(connection: Connection, job: RowMapping | Any) -> Sequence[RowMapping]:
    """Open findings that are about the job itself."""
    query = sa.select(findings).where(*_belonging(job)).order_by(findings.c.id)
    return connection.execute(query).mappings().all()


def resolve_findings(connection: Connection, job: RowMapping | Any, resolution: str) -> Sequence[UUID]:
    """Close them; what was opened for another matter of the payment stays open."""
    values = {"status": "resolved", "resolved_at": sa.func.app_now(), "resolution": resolution}
    statement = findings.update().where(*_belonging(job)).values(values).returning(findings.c.id)
    return connection.execute(statement).scalars().all()


def _belonging(job: RowMapping | Any) -> list[sa.ColumnElement[bool]]:
    own = findings.c.job_id == job["id"]
    if (job["error"] or {}).get("code") == _CONTRADICTION:
        of_payment = sa.and_(findings.c.kind == "amount_mismatch", findings.c.payment_id == job["payment_id"])
        own = sa.or_(own, of_payment)
    same = [findings.c.merchant_id == job["merchant_id"], findings.c.mode == job["mode"], findings.c.status == "open"]
    return [*same, own]


def ask_at(connection: Connection, payment_id: UUID, due: datetime) -> None:
    """Have the schedule ask about a payment from `due` on."""
    connection.execute(payments.update().where(payments.c.id == payment_id).values(next_sync_at=due))


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which jobs: those in `status`, and with `stuck` (seconds) those overdue or left by a dead worker, too.

    `after` is the last id of the page before.
    """

    status: str | None = "needs_review"
    kind: str | None = None
    merchant_id: UUID | None = None
    stuck: float | None = None
    limit: int = 100
    lane: str | None = None
    mode: str | None = None
    after: UUID | None = None


_LIST = (
    "SELECT j.*, app_now() AS now, coalesce(f.opened_at, j.started_at, j.created_at) AS review_since FROM jobs j "
    "LEFT JOIN LATERAL (SELECT max(created_at) AS opened_at FROM findings f WHERE j.status = 'needs_review' "
    "  AND f.merchant_id = j.merchant_id AND f.mode = j.mode AND f.kind = j.error ->> 'code' AND f.status = 'open' "
    "  AND f.job_id = j.id) f ON true WHERE ({which}) "
    "AND (CAST(:kind AS text) IS NULL OR j.kind = :kind) "
    "AND (CAST(:lane AS text) IS NULL OR j.lane = :lane) "
    "AND (CAST(:merchant AS uuid) IS NULL OR j.merchant_id = :merchant) "
    "AND (CAST(:mode AS text) IS NULL OR j.mode = :mode) "
    "AND (CAST(:after AS uuid) IS NULL OR j.id < :after) ORDER BY j.id DESC LIMIT :limit"
)
_IN_STATUS = "j.status = :status"
_STUCK = (
    "(j.status = 'queued' AND j.run_after < (SELECT app_now()) - make_interval(secs => :stuck)) "
    "OR (j.status = 'running' AND j.lease_until < (SELECT app_now()))"
)


def list_jobs(connection: Connection, wanted: Wanted) -> list[RowMapping]:
    """The newest `limit` of them, newest last; `now` and `review_since` beside the job's own columns."""
    which = [part for part, asked in ((_IN_STATUS, wanted.status), (_STUCK, wanted.stuck)) if asked is not None]
    which = which or ["true"]
    values: dict[str, object] = {
        "kind": wanted.kind,
        "lane": wanted.lane,
        "merchant": wanted.merchant_id,
        "mode": wanted.mode,
        "after": wanted.after,
        "limit": wanted.limit,
    }
    given = {"status": wanted.status, "stuck": wanted.stuck}
    values |= {name: value for name, value in given.items() if value is not None}
    found = connection.execute(sa.text(_LIST.format(which=" OR ".join(which))), values).mappings().all()
    return list(reversed(found))
