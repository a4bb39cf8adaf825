"""What names a person, found by their payments: rows to lock, open and write anew when they are erased."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from core.domain.statuses import FINAL_JOB
from core.persistence.database import Scope
from core.persistence.queries.reading import within
from core.persistence.tables import (
    bodies,
    customers,
    disputes,
    erasures,
    events,
    idempotency_keys,
    inbox_events,
    jobs,
    payments,
    refunds,
    transactions,
)  # fmt: skip

#: Bodies opened and sealed anew in one statement.
BATCH = 500

#: A person of many payments is worth more than a request's usual patience.
_PATIENT = sa.text("SET LOCAL statement_timeout = '60s'")


def note(connection: Connection, scope: Scope, customer_id: UUID, erased_at: datetime) -> None:
    """The person is erased, and what names them redacted; nothing new where that is known."""
    values = {"customer_id": customer_id, "merchant_id": scope.merchant_id, "mode": scope.mode}
    made = sa.dialects.postgresql.insert(erasures).values(**values, erased_at=erased_at, redacted_at=erased_at)
    finished = {"redacted_at": sa.func.coalesce(erasures.c.redacted_at, made.excluded.redacted_at)}
    connection.execute(made.on_conflict_do_update(index_elements=["customer_id"], set_=finished))


def since(connection: Connection, moment: datetime | None, limit: int = 100_000) -> Sequence[RowMapping]:
    """The oldest first, across merchants: a worker's or the owner's."""
    query = sa.select(erasures).order_by(erasures.c.erased_at).limit(limit)
    if moment is not None:
        query = query.where(erasures.c.erased_at >= moment)
    return connection.execute(query).mappings().all()


def unfinished(connection: Connection, limit: int) -> Sequence[RowMapping]:
    """Those whose payments were not redacted yet: erased by a version that did not."""
    query = sa.select(erasures).where(erasures.c.redacted_at.is_(None)).order_by(erasures.c.customer_id).limit(limit)
    return connection.execute(query).mappings().all()


def alive(connection: Connection, scope: Scope, customer_ids: Sequence[UUID]) -> Sequence[UUID]:
    """Which of them this database still knows."""
    ids = sa.cast(sa.bindparam("ids"), sa.ARRAY(sa.Uuid))
    query = sa.select(customers.c.id).where(within(customers, scope), customers.c.id == sa.any_(ids))
    found = connection.execute(query.where(customers.c.erased_at.is_(None)), {"ids": list(customer_ids)})
    return found.scalars().all()


def lock_payments(connection: Connection, scope: Scope, customer_id: UUID) -> Sequence[RowMapping]:
    """In the order of all roads; waits for what is being settled."""
    connection.execute(_PATIENT)
    columns = payments.c
    query = (
        sa.select(columns.id, columns.reference, columns.description, columns.metadata, columns.return_url)
        .where(within(payments, scope), columns.customer_id == customer_id)
        .order_by(columns.id)
        .with_for_update()
    )
    return connection.execute(query).mappings().all()


def answer_under_way(connection: Connection, scope: Scope, customer_id: UUID) -> UUID | None:
    """A dispute of the person whose answer is being sent."""
    query = (
        sa.select(jobs.c.target_id)
        .join(payments, payments.c.id == jobs.c.payment_id)
        .where(within(payments, scope), payments.c.customer_id == customer_id)
        .where(jobs.c.kind == "send_evidence", jobs.c.status.not_in(FINAL_JOB))
        .limit(1)
    )
    return connection.execute(query).scalar_one_or_none()


def lock_requests(connection: Connection, payment_ids: Sequence[UUID]) -> Sequence[RowMapping]:
    columns = transactions.c
    query = sa.select(columns.id, columns.kind, columns.request_sealed).where(columns.payment_id.in_(payment_ids))
    return connection.execute(query.order_by(columns.id).with_for_update()).mappings().all()


def keep_request(connection: Connection, transaction_id: UUID, sealed: bytes) -> None:
    """`sealed` is bound to (transactions, request_sealed, id)."""
    connection.execute(transactions.update().where(transactions.c.id == transaction_id).values(request_sealed=sealed))


def inbox_of(connection: Connection, payment_ids: Sequence[UUID]) -> Sequence[UUID]:
    query = sa.select(inbox_events.c.id).where(inbox_events.c.payment_id.in_(payment_ids))
    return connection.execute(query.order_by(inbox_events.c.id)).scalars().all()


def bodies_of(connection: Connection, owner_ids: Sequence[UUID]) -> Iterator[Sequence[RowMapping]]:
    """(id, owner_kind, sealed), so many owners at a time."""
    for first in range(0, len(owner_ids), BATCH):
        some = owner_ids[first : first + BATCH]
        query = sa.select(bodies.c.id, bodies.c.owner_kind, bodies.c.sealed).where(bodies.c.owner_id.in_(some))
        yield connection.execute(query).mappings().all()


_KEEP_BODIES = sa.text(
    "UPDATE bodies b SET sealed = v.sealed "
    "FROM unnest(CAST(:ids AS uuid[]), CAST(:sealed AS bytea[])) AS v(id, sealed) WHERE b.id = v.id"
)


def keep_bodies(connection: Connection, sealed: Mapping[UUID, bytes]) -> None:
    """Each is bound to (bodies, sealed, id)."""
    if sealed:
        connection.execute(_KEEP_BODIES, {"ids": [str(one) for one in sealed], "sealed": list(sealed.values())})


def clear_payments(connection: Connection, payment_ids: Sequence[UUID]) -> None:
    """What is sealed of them and not needed after their end; from now on what comes in is redacted."""
    statement = payments.update().where(payments.c.id.in_(payment_ids))
    connection.execute(statement.values(payer_erased=True, next_action_sealed=None, method_sealed=None))
    connection.execute(disputes.update().where(disputes.c.payment_id.in_(payment_ids)).values(evidence_sealed=None))


def keep_texts(connection: Connection, payment_id: UUID, values: Mapping[str, Any]) -> None:
    connection.execute(payments.update().where(payments.c.id == payment_id).values(**values))


def refunds_of(connection: Connection, payment_ids: Sequence[UUID]) -> Sequence[RowMapping]:
    """Those with a reason, which is the merchant's text."""
    query = sa.select(refunds.c.id, refunds.c.payment_id, refunds.c.reason)
    query = query.where(refunds.c.payment_id.in_(payment_ids), refunds.c.reason.is_not(None))
    return connection.execute(query).mappings().all()


def keep_reason(connection: Connection, refund_id: UUID, reason: str) -> None:
    connection.execute(refunds.update().where(refunds.c.id == refund_id).values(reason=reason))


def told_of(connection: Connection, payment_ids: Sequence[UUID]) -> Sequence[RowMapping]:
    query = sa.select(events.c.id, events.c.data).where(events.c.payment_id.in_(payment_ids))
    return connection.execute(query).mappings().all()


def keep_told(connection: Connection, event_id: UUID, data: Mapping[str, Any]) -> None:
    connection.execute(events.update().where(events.c.id == event_id).values(data=dict(data)))


def answered_of(connection: Connection, scope: Scope, payment_ids: Sequence[UUID]) -> Sequence[RowMapping]:
    """(key, response): there is no index by payment, and so rarely a reason to ask that none is worth its writes."""
    columns = idempotency_keys.c
    query = sa.select(columns.key, columns.response).where(within(idempotency_keys, scope))
    return connection.execute(query.where(columns.payment_id.in_(payment_ids))).mappings().all()


def keep_answered(connection: Connection, scope: Scope, key: str, response: Mapping[str, Any]) -> None:
    statement = idempotency_keys.update().where(within(idempotency_keys, scope), idempotency_keys.c.key == key)
    connection.execute(statement.values(response=dict(response)))
