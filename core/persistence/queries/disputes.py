"""Rows of disputes. Nothing here writes a status: that is the status manager's alone."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from core.domain.statuses import OPEN_DISPUTE
from core.persistence.tables import disputes, jobs


def find_by_provider(connection: Connection, account_id: UUID, provider_id: str) -> RowMapping | None:
    """The dispute by the provider's own id, not locked: who changes it locks its payment first."""
    return connection.execute(_by_provider(account_id, provider_id)).mappings().one_or_none()


def lock_by_provider(connection: Connection, account_id: UUID, provider_id: str) -> RowMapping | None:
    query = _by_provider(account_id, provider_id).with_for_update()
    return connection.execute(query).mappings().one_or_none()


def _by_provider(account_id: UUID, provider_id: str) -> sa.Select[tuple[object, ...]]:
    return sa.select(disputes).where(
        disputes.c.provider_account_id == account_id, disputes.c.provider_id == provider_id
    )


def seek(connection: Connection, dispute_id: UUID) -> RowMapping | None:
    """None when this merchant and mode has none; not locked."""
    return connection.execute(sa.select(disputes).where(disputes.c.id == dispute_id)).mappings().one_or_none()


def lock(connection: Connection, dispute_id: UUID) -> RowMapping:
    """The caller has locked its payment before."""
    query = sa.select(disputes).where(disputes.c.id == dispute_id).with_for_update()
    return connection.execute(query).mappings().one()


def open_of(connection: Connection, payment_id: UUID) -> Sequence[RowMapping]:
    """The payment's disputes that are not decided."""
    query = sa.select(disputes).where(disputes.c.payment_id == payment_id, disputes.c.status.in_(OPEN_DISPUTE))
    return connection.execute(query.order_by(disputes.c.id)).mappings().all()


def keep_evidence(connection: Connection, dispute_id: UUID, sealed: bytes) -> None:
    """`sealed` is bound to (disputes, evidence_sealed, id)."""
    connection.execute(disputes.update().where(disputes.c.id == dispute_id).values(evidence_sealed=sealed))


def jobs_about(
    connection: Connection, payment_id: UUID, dispute_id: UUID, kinds: Sequence[str]
) -> Sequence[RowMapping]:
    """(kind, status) of the jobs of these kinds, in the order they were asked for."""
    query = (
        sa.select(jobs.c.kind, jobs.c.status)
        # Found by the payment, for which there is an index.
        .where(jobs.c.payment_id == payment_id, jobs.c.target_id == dispute_id, jobs.c.kind.in_(kinds))
        .order_by(jobs.c.id)
    )
    return connection.execute(query).mappings().all()


_WAITS = sa.text(
    "SELECT 1 FROM jobs WHERE payment_id = :payment AND kind = 'sync_dispute' AND status = 'queued' "
    "AND run_after <= app_now() AND arguments->>'dispute' = :dispute LIMIT 1"
)


def question_waits(connection: Connection, payment_id: UUID, provider_id: str) -> bool:
    """Is somebody about to ask about this dispute already?"""
    return connection.execute(_WAITS, {"payment": payment_id, "dispute": provider_id}).first() is not None


_DUE = sa.text(
    "SELECT d.id, d.merchant_id, d.mode, d.payment_id, d.transaction_id, d.provider_account_id, d.provider_id "
    "FROM disputes d WHERE d.status IN ('needs_response', 'under_review') AND NOT EXISTS ("
    "  SELECT 1 FROM jobs j WHERE j.payment_id = d.payment_id AND j.kind = 'sync_dispute' "
    "  AND j.arguments->>'dispute' = d.provider_id AND (j.status IN ('queued', 'running', 'needs_review') "
    "  OR j.created_at > (SELECT app_now()) - make_interval(secs => :age))) LIMIT :limit"
)


def unasked(connection: Connection, age: float, limit: int) -> Sequence[RowMapping]:
    """Open disputes that nobody has asked about for `age` seconds; across merchants."""
    return connection.execute(_DUE, {"age": age, "limit": limit}).mappings().all()
