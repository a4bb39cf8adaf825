"""Who pays and with what: the customer and saved method that a request names, held while it is stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy.engine import Connection

from core.domain.commands import CreatePayment, SavedPaymentMethod
from core.domain.errors import FieldError, RequestRefused
from core.domain.identifiers import public_id
from core.orchestration import payment_methods
from core.persistence.database import Scope
from core.persistence.queries import payments as rows


@dataclass(frozen=True, slots=True)
class Payer:
    """What the request names of what we keep; nothing of it for a payer who is only described."""

    customer_id: UUID | None = None
    has_email: bool = False
    method_id: UUID | None = None
    account_id: UUID | None = None  # the one account that can charge the saved method
    customer_metadata: Mapping[str, str] = field(default_factory=dict)


def payer_of(connection: Connection, scope: Scope, command: CreatePayment) -> Payer:
    """Raises RequestRefused for a customer or method that is not there, or is another's."""
    if isinstance(command.method, SavedPaymentMethod):
        return _by_method(connection, scope, command, command.method)
    if command.customer_id is not None:
        customer = _held(connection, command.customer_id)
        return Payer(command.customer_id, _has_email(customer), customer_metadata=customer["metadata"])
    return Payer(None, command.person is not None and command.person.email is not None)


def _by_method(connection: Connection, scope: Scope, command: CreatePayment, method: SavedPaymentMethod) -> Payer:
    row = payment_methods.load_for_payment(connection, scope, method.id)
    if row is None:
        raise _refused("payment_method.id", "there is no such saved payment method; it may have been deleted")
    if command.customer_id not in (None, row["customer_id"]):
        owner = public_id("customer", row["customer_id"])
        raise _refused("customer", f"the saved payment method belongs to {owner}; name that customer or none")
    customer = _held(connection, row["customer_id"])
    account_id = row["provider_account_id"]
    return Payer(row["customer_id"], _has_email(customer), row["id"], account_id, customer["metadata"])


def _held(connection: Connection, customer_id: UUID) -> Mapping[Any, Any]:
    """Shared lock: whoever erases the customer waits for this payment, or this payment is refused."""
    customer = rows.hold_customer(connection, customer_id)
    if customer is None or customer["erased_at"] is not None:
        raise _refused("customer", "there is no such customer; make one with POST /v1/customers")
    return customer


def _has_email(customer: Mapping[Any, Any]) -> bool:
    return customer["email_index"] is not None


def _refused(field: str, message: str) -> RequestRefused:
    return RequestRefused("the request names what is not there", errors=[FieldError(field, message)])
