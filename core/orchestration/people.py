"""What is sealed of a person and of what they pay with, opened; and how both are shown to their merchant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any
from uuid import UUID

from sqlalchemy.engine import Connection

from core.domain import redaction
from core.domain.identifiers import public_id
from core.domain.representations import timestamp
from core.orchestration.context import Core
from core.persistence.database import Scope
from core.persistence.vault import DataKey, Place
from core.providers.base import Person

Row = Mapping[Any, Any]


#: What index keys are used for; part of what is hashed.
EMAIL, TOKEN, FINGERPRINT = "customer.email", "payment_method.token", "payment_method.fingerprint"


def person_of(core: Core, connection: Connection, scope: Scope, customer: Row) -> Person:
    """Nobody, once the person is erased."""
    return _opened(customer, core.vault.customer_key(connection, scope, customer["id"]))


def persons_of(core: Core, connection: Connection, scope: Scope, customers: Sequence[Row]) -> list[Person]:
    """The same for several, in their order."""
    keys = core.vault.customer_keys(connection, scope, [row["id"] for row in customers])
    return [_opened(row, keys.get(row["id"])) for row in customers]


def _opened(customer: Row, key: DataKey | None) -> Person:
    return Person() if key is None or customer["sealed"] is None else open_person(key, customer)


def open_person(key: DataKey, customer: Row) -> Person:
    """Of a customer who is not erased; `key` is their own."""
    return Person(**key.open_json(_place(customer["id"]), customer["sealed"]))


def seal_person(key: DataKey, customer_id: UUID, person: Person) -> bytes:
    """`key` is the person's own."""
    return key.seal_json(_place(customer_id), asdict(person))


def email_columns(core: Core, email: str | None) -> dict[str, Any]:
    """By which a person is found, with the version of its key; nothing is told without that."""
    index, version = core.vault.indexed(EMAIL, email or "")
    return {"email_index": index if email else None, "index_key_version": version}


def _place(customer_id: UUID) -> Place:
    return Place("customers", "sealed", customer_id)


def customer_body(row: Row, person: Person, told: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Masked but for what the caller has `told` us in this very request, which tells them nothing."""
    details = asdict(person)
    known = {name: value for name, value in details.items() if told is not None and told.get(name) == value}
    return {
        "id": public_id("customer", row["id"]),
        "mode": row["mode"],
        **redaction.masked(**details),
        **known,
        "reference": row["reference"],
        "metadata": row["metadata"],
        "created_at": timestamp(row["created_at"]),
        "updated_at": timestamp(row["updated_at"]),
    }


def kept_of(core: Core, connection: Connection, scope: Scope, method: Row) -> dict[str, Any] | None:
    """Token and card of a saved method; None once it is being forgotten, or the person is erased."""
    if method["status"] != "active" or method["sealed"] is None:
        return None
    key = core.vault.customer_key(connection, scope, method["customer_id"])
    return None if key is None else open_kept(key, method)


def open_kept(key: DataKey, method: Row) -> dict[str, Any]:
    """Of an active method; `key` is its person's."""
    kept: dict[str, Any] = key.open_json(Place("payment_methods", "sealed", method["id"]), method["sealed"])
    return kept


def method_body(row: Row, kept: Mapping[str, Any] | None) -> dict[str, Any]:
    """Never the token. Card and bank are shown while the method can be charged."""
    shown = kept or {}
    names = ("brand", "last4", "exp_month", "exp_year")
    card = {name: shown.get(name) for name in names}
    return {
        "id": public_id("payment_method", row["id"]),
        "mode": row["mode"],
        "customer": public_id("customer", row["customer_id"]),
        "provider": row["provider"],
        "provider_account": public_id("provider_account", row["provider_account_id"]),
        "kind": row["kind"],
        "card": card if any(value is not None for value in card.values()) else None,
        "bank": shown.get("bank"),
        "status": row["status"],
        "created_at": timestamp(row["created_at"]),
    }
