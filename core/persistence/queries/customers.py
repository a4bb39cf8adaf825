"""Rows of people, of what providers keep of them, and of what they pay with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Connection, RowMapping

from core.persistence.database import Scope
from core.persistence.queries.reading import Page, page, within
from core.persistence.tables import customers, payment_methods, payments, provider_accounts, provider_customers

Values = Mapping[str, Any]


def insert_customer(connection: Connection, scope: Scope, values: Values) -> RowMapping:
    filled = {"merchant_id": scope.merchant_id, "mode": scope.mode, **values}
    return connection.execute(customers.insert().values(**filled).returning(customers)).mappings().one()


def find_customer(connection: Connection, scope: Scope, customer_id: UUID) -> RowMapping | None:
    """Also one that was erased."""
    query = sa.select(customers).where(within(customers, scope), customers.c.id == customer_id)
    return connection.execute(query).mappings().one_or_none()


def lock_customer(connection: Connection, scope: Scope, customer_id: UUID) -> RowMapping | None:
    """Against changes, new methods and payments that name them; rows that belong to them may still be written."""
    query = sa.select(customers).where(within(customers, scope), customers.c.id == customer_id)
    return connection.execute(query.with_for_update(key_share=True)).mappings().one_or_none()


def update_customer(connection: Connection, customer_id: UUID, values: Values) -> RowMapping:
    statement = (
        customers.update()
        .where(customers.c.id == customer_id)
        .values(**values, updated_at=sa.func.app_now())
        .returning(customers)
    )
    return connection.execute(statement).mappings().one()


def customers_page(connection: Connection, scope: Scope, wanted: Page) -> Sequence[RowMapping]:
    """One more than the limit, newest first."""
    return page(connection, customers, scope, wanted)


def destroy_key(connection: Connection, customer_id: UUID) -> bool:
    """For good: nothing that was sealed under the person's key can be opened any more."""
    statement = sa.select(sa.func.destroy_customer_key(customer_id))
    return bool(connection.execute(statement).scalar_one())


def payment_under_way(connection: Connection, scope: Scope, customer_id: UUID) -> RowMapping | None:
    """The newest payment of a person that may still need to know who they are."""
    query = (
        sa.select(payments.c.id, payments.c.status, payments.c.provider, payments.c.expires_at)
        .where(within(payments, scope), payments.c.customer_id == customer_id)
        .where(payments.c.status.in_(("processing", "requires_action")))
        .order_by(payments.c.created_at.desc(), payments.c.id.desc())
        .limit(1)
    )
    return connection.execute(query).mappings().one_or_none()


def find_provider_customer(connection: Connection, customer_id: UUID, account_id: UUID) -> RowMapping | None:
    table = provider_customers
    query = sa.select(table).where(table.c.customer_id == customer_id, table.c.provider_account_id == account_id)
    return connection.execute(query).mappings().one_or_none()


def insert_provider_customer(connection: Connection, scope: Scope, values: Values) -> None:
    """Where there is one already it stays as it is."""
    filled = {"merchant_id": scope.merchant_id, "mode": scope.mode, "first_sent_at": sa.func.app_now(), **values}
    connection.execute(insert(provider_customers).values(**filled).on_conflict_do_nothing())


def name_provider_customer(connection: Connection, customer_id: UUID, account_id: UUID, provider_id: str) -> str:
    """The id that holds: the first one that was written."""
    table = provider_customers
    statement = (
        table.update()
        .where(table.c.customer_id == customer_id, table.c.provider_account_id == account_id)
        .values(provider_id=sa.func.coalesce(table.c.provider_id, provider_id), updated_at=sa.func.app_now())
        .returning(table.c.provider_id)
    )
    return str(connection.execute(statement).scalar_one())


def unname_provider_customer(
    connection: Connection, customer_id: UUID, account_id: UUID, provider_id: str, provider_key: str
) -> None:
    """Begin again under another key; nothing where another id holds by now."""
    table = provider_customers
    statement = table.update().where(
        table.c.customer_id == customer_id,
        table.c.provider_account_id == account_id,
        table.c.provider_id == provider_id,
    )
    now = sa.func.app_now()
    connection.execute(statement.values(provider_id=None, provider_key=provider_key, first_sent_at=now, updated_at=now))


def known_at(connection: Connection, scope: Scope, customer_id: UUID) -> Sequence[UUID]:
    """Provider accounts at which the person has an object."""
    table = provider_customers
    query = (
        sa.select(table.c.provider_account_id)
        .where(within(table, scope), table.c.customer_id == customer_id, table.c.provider_id.is_not(None))
        .order_by(table.c.provider_account_id)
    )
    return connection.execute(query).scalars().all()


def insert_method(connection: Connection, scope: Scope, values: Values) -> None:
    filled = {"merchant_id": scope.merchant_id, "mode": scope.mode, **values}
    connection.execute(payment_methods.insert().values(**filled))


def find_method(connection: Connection, scope: Scope, method_id: UUID, *, lock: bool = False) -> RowMapping | None:
    table = payment_methods
    query = sa.select(table).where(within(table, scope), table.c.id == method_id)
    return connection.execute(query.with_for_update() if lock else query).mappings().one_or_none()


def update_method(connection: Connection, method_id: UUID, values: Values) -> RowMapping:
    statement = (
        payment_methods.update()
        .where(payment_methods.c.id == method_id)
        .values(**values, updated_at=sa.func.app_now())
        .returning(payment_methods)
    )
    return connection.execute(statement).mappings().one()


def methods_page(connection: Connection, scope: Scope, wanted: Page) -> Sequence[RowMapping]:
    """One more than the limit, newest first."""
    return page(connection, payment_methods, scope, wanted)


def lock_methods(connection: Connection, scope: Scope, customer_id: UUID) -> Sequence[RowMapping]:
    """Those of a person that can be charged."""
    table = payment_methods
    query = (
        sa.select(table)
        .where(within(table, scope), table.c.customer_id == customer_id, table.c.status == "active")
        .order_by(table.c.id)
    )
    return connection.execute(query.with_for_update()).mappings().all()


def same_methods(
    connection: Connection, customer_id: UUID, account_id: UUID, by_token: Sequence[bytes], by_card: Sequence[bytes]
) -> Sequence[RowMapping]:
    """A person's methods that are this one already, locked: by its card first, then by its token, then one that is
    being forgotten under the same token. Both are given under every version of the index key."""
    table = payment_methods
    same_token = table.c.token_index.in_(by_token)
    same_card = table.c.fingerprint_index.in_(by_card)
    active, forgetting = table.c.status == "active", table.c.status == "forgetting"
    query = (
        sa.select(table)
        .where(table.c.customer_id == customer_id, table.c.provider_account_id == account_id)
        .where(sa.or_(sa.and_(active, sa.or_(same_token, same_card)), sa.and_(forgetting, same_token)))
        .order_by(sa.case((sa.and_(active, same_card), 0), (active, 1), else_=2), table.c.id)
        .with_for_update()
    )
    return connection.execute(query).mappings().all()


def methods_by_token(
    connection: Connection, account_id: UUID, by_token: Sequence[bytes], *, lock: bool = False
) -> Sequence[RowMapping]:
    """Those that can be charged."""
    table = payment_methods
    query = (
        sa.select(table)
        .where(table.c.provider_account_id == account_id, table.c.token_index.in_(by_token))
        .where(table.c.status == "active")
        .order_by(table.c.id)
    )
    return connection.execute(query.with_for_update() if lock else query).mappings().all()


def account_status(connection: Connection, scope: Scope, account_id: UUID) -> str | None:
    table = provider_accounts
    query = sa.select(table.c.status).where(within(table, scope), table.c.id == account_id)
    return connection.execute(query).scalar_one_or_none()
