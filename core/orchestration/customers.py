"""Customers: people under a key of their own, each with at most one object at each provider account."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy.engine import Connection

from core.domain.identifiers import public_id
from core.orchestration import people
from core.orchestration.context import Core
from core.persistence.database import Scope
from core.persistence.queries import customers as rows
from core.providers.base import CustomerRequest, Person

Row = Mapping[Any, Any]


def provider_customer(connection: Connection, customer_id: UUID, account_id: UUID) -> Row | None:
    """What is known of a customer's object at one provider account; `provider_id` is None until it was answered."""
    return rows.find_provider_customer(connection, customer_id, account_id)


def begin_provider_customer(connection: Connection, scope: Scope, customer_id: UUID, account_id: UUID) -> Row:
    """The row under whose key the object is made; whoever comes second gets the first one's.

    Commit it before the provider is asked: its key and time let everybody find what a lost answer has made.
    """
    key = f"{public_id('customer', customer_id)}-{public_id('provider_account', account_id)}"
    values = {"customer_id": customer_id, "provider_account_id": account_id, "provider_key": key}
    rows.insert_provider_customer(connection, scope, values)
    row = rows.find_provider_customer(connection, customer_id, account_id)
    if row is None:
        raise LookupError(f"no provider customer for {public_id('customer', customer_id)}")
    return row


def keep_provider_customer(connection: Connection, customer_id: UUID, account_id: UUID, provider_id: str) -> str:
    """The id that holds: the first one to be written."""
    return rows.name_provider_customer(connection, customer_id, account_id, provider_id)


def customer_request(core: Core, connection: Connection, scope: Scope, row: Row) -> CustomerRequest:
    """From a row of `provider_customers` to what the provider is asked; an erased person has no details."""
    customer = rows.find_customer(connection, scope, row["customer_id"])
    person = Person() if customer is None else people.person_of(core, connection, scope, customer)
    return CustomerRequest(
        customer_id=public_id("customer", row["customer_id"]),
        provider_key=row["provider_key"],
        person=person,
        provider_id=row["provider_id"],
        first_sent_at=row["first_sent_at"],
    )
