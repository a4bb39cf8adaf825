"""Rows of the money road. Nothing here writes a status: that is the status manager's alone."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from core.domain.statuses import CHARGE_KINDS
from core.persistence import pipeline
from core.persistence.database import Scope
from core.persistence.queries import opening
from core.persistence.tables import bodies, customers, payments, refunds, transactions

Values = Mapping[str, Any]

#: Kinds of transactions whose ids at a provider are of one family.
REFUND = frozenset({"refund"})
TAKES = CHARGE_KINDS | {"capture"}
NOT_REFUNDS = TAKES | {"void"}


def seek_payment(connection: Connection, payment_id: UUID) -> RowMapping | None:
    """The payment, locked until the transaction ends; None when this merchant and mode has none."""
    query = sa.select(payments).where(payments.c.id == payment_id).with_for_update()
    return connection.execute(query).mappings().one_or_none()


def lock_payment(connection: Connection, payment_id: UUID) -> RowMapping:
    """The payment, locked until the transaction ends: every road takes this lock first."""
    query = sa.select(payments).where(payments.c.id == payment_id).with_for_update()
    return connection.execute(query).mappings().one()


_START = (
    f"SELECT {opening.COLUMNS}, j.id AS held_by, {pipeline.columns_of(payments, 'p')} "
    "FROM unnest(CAST(%(jobs)s AS uuid[]), CAST(%(fences)s AS bigint[])) AS h(id, fence) "
    "JOIN jobs j ON j.id = h.id AND j.fence = h.fence AND j.status = 'running' AND j.lease_until > (SELECT app_now()) "
    "JOIN payments p ON p.id = j.payment_id ORDER BY p.id FOR UPDATE OF p, j"
)


def lock_to_start(connection: Connection, scope: Scope, held: Mapping[UUID, int]) -> dict[UUID, pipeline.Found]:
    """The payments of several claimed jobs by job, both locked, with what routing needs, in one trip.

    `held` maps jobs to fences; a job that is not this worker's any more is left out.
    """
    values = {**opening.values(scope), "jobs": list(held), "fences": list(held.values())}
    found = {}
    for row in pipeline.fetch(connection, _START, values):
        opening.keep(connection, row, row["updated_at"])
        found[row.pop("held_by")] = row
    return found


# Counted, so that every payment is locked before the first transaction is: all roads lock in this order.
_SETTLE = (
    "WITH h AS MATERIALIZED (SELECT * FROM unnest(CAST(%(payments)s AS uuid[]), CAST(%(transactions)s AS uuid[]), "
    "CAST(%(jobs)s AS uuid[]), CAST(%(fences)s AS bigint[])) AS h(payment, transaction, job, fence)), "
    "p AS MATERIALIZED (SELECT * FROM payments WHERE id = ANY(CAST(%(payments)s AS uuid[])) ORDER BY id FOR UPDATE), "
    "t AS MATERIALIZED (SELECT * FROM transactions WHERE id = ANY(CAST(%(transactions)s AS uuid[])) "
    "AND (SELECT count(*) FROM p) > 0 ORDER BY id FOR UPDATE), "
    "j AS MATERIALIZED (SELECT id, fence FROM jobs WHERE id = ANY(CAST(%(jobs)s AS uuid[])) AND status = 'running' "
    "AND lease_until > (SELECT app_now()) AND (SELECT count(*) FROM t) > 0 ORDER BY id FOR UPDATE) "
    f"SELECT {opening.COLUMNS}, h.job, j.id IS NOT NULL AS held, "
    f"{pipeline.columns_of(payments, 'p')}, {pipeline.columns_of(transactions, 't')} "
    "FROM h JOIN p ON p.id = h.payment JOIN t ON t.id = h.transaction "
    "LEFT JOIN j ON j.id = h.job AND j.fence = h.fence"
)
_WITH_BOTH = ("now", "accounts", "endpoints", "job", "held")


@dataclass(frozen=True, slots=True)
class Locked:
    """A payment with one of its transactions, both locked. `held`: the job that cares for them has its fence still."""

    payment: pipeline.Found
    transaction: pipeline.Found
    held: bool


def lock_to_settle(
    connection: Connection, scope: Scope, wanted: Sequence[tuple[UUID, UUID, UUID, int]]
) -> dict[UUID, Locked]:
    """By job, for each (payment, transaction, job, fence): locked in this order, in one trip."""
    names = ("payments", "transactions", "jobs", "fences")
    values = {name: list(column) for name, column in zip(names, zip(*wanted, strict=True), strict=True)}
    _, rows = pipeline.fetch_tuples(connection, _SETTLE, {**opening.values(scope), **values})
    first = len(_WITH_BOTH)
    found = {}
    for row in rows:
        known = dict(zip(_WITH_BOTH, row[:first], strict=True))
        payment, transaction = pipeline.split(row[first:], payments, transactions)
        opening.keep(connection, known, payment["updated_at"], transaction["updated_at"])
        found[known["job"]] = Locked(payment, transaction, bool(known["held"]))
    return found


_MARKED = (
    "WITH f AS (SELECT id, payment_id FROM transactions "
    "WHERE id = %(transaction)s AND provider_account_id = %(account)s), "
    "p AS MATERIALIZED (SELECT * FROM payments WHERE id = (SELECT payment_id FROM f) FOR UPDATE), "
    "t AS MATERIALIZED (SELECT * FROM transactions WHERE id = (SELECT id FROM f) "
    "AND EXISTS (SELECT FROM p) FOR UPDATE) "
    f"SELECT {pipeline.columns_of(payments, 'p')}, {pipeline.columns_of(transactions, 't')} FROM p CROSS JOIN t"
)


def lock_marked(
    connection: Connection, transaction_id: UUID, account_id: UUID
) -> tuple[pipeline.Found, pipeline.Found] | None:
    """A transaction of one account with its payment, both locked, in one trip; None when there is none."""
    values = {"transaction": transaction_id, "account": account_id}
    _, found = pipeline.fetch_tuples(connection, _MARKED, values)
    if not found:
        return None
    payment, transaction = pipeline.split(found[0], payments, transactions)
    return payment, transaction


def find_payment(connection: Connection, payment_id: UUID) -> RowMapping:
    return connection.execute(sa.select(payments).where(payments.c.id == payment_id)).mappings().one()


def lock_refund(connection: Connection, refund_id: UUID) -> RowMapping:
    query = sa.select(refunds).where(refunds.c.id == refund_id).with_for_update()
    return connection.execute(query).mappings().one()


def lock_transaction(connection: Connection, transaction_id: UUID) -> RowMapping:
    query = sa.select(transactions).where(transactions.c.id == transaction_id).with_for_update()
    return connection.execute(query).mappings().one()


def transactions_of(connection: Connection, payment_id: UUID) -> Sequence[RowMapping]:
    """Every attempt of a payment in the order of sending."""
    query = sa.select(transactions).where(transactions.c.payment_id == payment_id).order_by(transactions.c.id)
    return connection.execute(query).mappings().all()


def latest_start(rows: Sequence[RowMapping]) -> RowMapping | None:
    """The newest charge or authorization that is not surplus."""
    starts = [row for row in rows if row["kind"] in CHARGE_KINDS and not row["surplus"]]
    return starts[-1] if starts else None


def refunds_of(connection: Connection, payment_id: UUID) -> Sequence[RowMapping]:
    query = sa.select(refunds).where(refunds.c.payment_id == payment_id).order_by(refunds.c.id)
    return connection.execute(query).mappings().all()


def find_refund_by_provider(connection: Connection, payment_id: UUID, provider_id: str) -> RowMapping | None:
    query = sa.select(refunds).where(refunds.c.payment_id == payment_id, refunds.c.provider_id == provider_id)
    return connection.execute(query.with_for_update()).mappings().one_or_none()


def doubt(connection: Connection, transaction_ids: Sequence[UUID]) -> None:
    """Have ended transactions asked about again; the next look-up that learns something ends the doubt."""
    statement = transactions.update().where(transactions.c.id.in_(transaction_ids))
    connection.execute(statement.values(recheck_at=sa.func.app_now()))


def trust(connection: Connection, transaction_id: UUID) -> None:
    """A look-up has answered the doubt."""
    statement = transactions.update().where(transactions.c.id == transaction_id, transactions.c.recheck_at.is_not(None))
    connection.execute(statement.values(recheck_at=None))


def find_by_provider(
    connection: Connection, account_id: UUID, provider_id: str, kinds: Collection[str]
) -> Sequence[RowMapping]:
    """Transactions of these kinds that name a provider's object, as their own id or as the charge behind it.

    Some providers number charges and refunds each from one: a number alone does not tell which of them it is.
    """
    query = (
        sa.select(transactions)
        .where(
            transactions.c.provider_account_id == account_id,
            transactions.c.kind.in_(kinds),
            sa.or_(transactions.c.provider_id == provider_id, transactions.c.provider_charge_id == provider_id),
        )
        .order_by(transactions.c.id)
    )
    return connection.execute(query).mappings().all()


def insert_customer(connection: Connection, scope: Scope, values: Values) -> None:
    pipeline.insert(connection, customers, {"merchant_id": scope.merchant_id, "mode": scope.mode, **values})


def hold_customer(connection: Connection, customer_id: UUID) -> RowMapping | None:
    """The customer, who cannot be erased until the transaction ends."""
    query = sa.select(customers).where(customers.c.id == customer_id).with_for_update(read=True)
    return connection.execute(query).mappings().one_or_none()


def find_customer(connection: Connection, customer_id: UUID) -> RowMapping | None:
    """Read once a transaction."""
    seen = pipeline.known(connection).setdefault("customers", {})
    if customer_id not in seen:
        query = sa.select(customers).where(customers.c.id == customer_id)
        seen[customer_id] = connection.execute(query).mappings().one_or_none()
    found: RowMapping | None = seen[customer_id]
    return found


def insert_body(
    connection: Connection, scope: Scope, owner_kind: str, owner_id: UUID, body_id: UUID, sealed: bytes
) -> None:
    """`sealed` is bound to (bodies, sealed, body_id)."""
    values = {
        "id": body_id,
        "merchant_id": scope.merchant_id,
        "mode": scope.mode,
        "owner_kind": owner_kind,
        "owner_id": owner_id,
        "sealed": sealed,
    }
    pipeline.insert(connection, bodies, values)
