"""Customers: people under a key of their own, each with at most one object at each provider account."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.engine import Connection

from core.domain.errors import StateConflict
from core.domain.identifiers import new_id, parse_id, public_id
from core.domain.representations import timestamp
from core.orchestration import erasure, idempotency, people, permits, traces
from core.orchestration.context import Caller, Core
from core.orchestration.idempotency import Accepted, IdempotencyKey
from core.orchestration.intake import cause_of
from core.orchestration.reading import listing, missing
from core.persistence.database import Scope, present
from core.persistence.queries import customers as rows
from core.persistence.queries import erasures
from core.persistence.queries.reading import Page
from core.providers.base import CustomerRequest, Person
from core.providers.registry import PROVIDERS

Row = Mapping[Any, Any]

#: What is people's data of a customer, and sealed.
_DETAILS = ("email", "name", "phone")


@dataclass(frozen=True, slots=True)
class Filters:
    """`limit` 1 to 100; `after` is the last id of the page before; times are UTC and exclusive."""

    limit: int = 20
    after: UUID | None = None
    email: str | None = field(default=None, repr=False)
    reference: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None


def create(core: Core, caller: Caller, key: IdempotencyKey, values: Mapping[str, Any]) -> Accepted:
    """201. `values` holds any of email, name, phone, reference, metadata. Raises IdempotencyMismatch and the like."""

    def act(connection: Connection) -> Accepted:
        customer_id = new_id()
        person = Person(**{name: values.get(name) for name in _DETAILS})
        own = core.vault.make_customer_key(connection, caller.scope, customer_id)
        stored = {
            "id": customer_id,
            "sealed": people.seal_person(own, customer_id, person),
            **people.email_columns(core, person.email),
            "reference": values.get("reference"),
            "metadata": dict(values.get("metadata") or {}),
        }
        row = rows.insert_customer(connection, caller.scope, stored)
        traces.audit_request(connection, caller, "customer", "created", customer_id)
        body = people.customer_body(row, person, values)
        return Accepted(201, body, f"/v1/customers/{body['id']}", False)

    return _once(core, caller, key, act, values)


def list_customers(core: Core, scope: Scope, filters: Filters) -> dict[str, Any]:
    """{"data", "has_more", "next"}, newest first; nobody who was erased."""
    equals: dict[str, Any] = {"erased_at": None}
    if filters.email is not None:
        equals["email_index"] = core.vault.blind_indexes(people.EMAIL, filters.email)
    if filters.reference is not None:
        equals["reference"] = filters.reference
    page = Page(filters.limit, filters.after, equals, filters.created_after, filters.created_before)
    with core.database.scoped(scope) as connection:
        found = rows.customers_page(connection, scope, page)
        known = dict(zip((row["id"] for row in found), people.persons_of(core, connection, scope, found), strict=True))
        return listing(found, filters.limit, "customer", lambda row: people.customer_body(row, known[row["id"]]))


def get_customer(core: Core, scope: Scope, customer_id: UUID) -> dict[str, Any]:
    """Raises NotFoundError, also for one who was erased."""
    with core.database.scoped(scope) as connection:
        return _body(core, connection, scope, _present(rows.find_customer(connection, scope, customer_id)))


def reveal(core: Core, caller: Caller, customer_id: UUID, why: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """In clear, and the audit log knows who looked. Raises NotFoundError, also for one who was erased."""
    with core.transaction(caller.scope) as connection:
        row = _present(rows.find_customer(connection, caller.scope, customer_id))
        person = people.person_of(core, connection, caller.scope, row)
        traces.audit_request(connection, caller, "customer", "revealed", customer_id, why)
        return people.customer_body(row, person, asdict(person))


def update(
    core: Core, caller: Caller, customer_id: UUID, changes: Mapping[str, Any], key: IdempotencyKey | None = None
) -> Accepted:
    """`changes` as `values` of `create`; None clears, what it does not hold stays. Raises NotFoundError.

    Providers that know the customer are told of new details by a job each.
    """

    def act(connection: Connection) -> Accepted:
        row = _present(rows.lock_customer(connection, caller.scope, customer_id))
        person = people.person_of(core, connection, caller.scope, row)
        new = replace(person, **{name: changes[name] for name in _DETAILS if name in changes})
        values = _changed(core, connection, caller.scope, row, person, new, changes)
        if not values:
            return Accepted(200, people.customer_body(row, person, changes), None, False)
        row = rows.update_customer(connection, customer_id, values)
        # Only the names of what changed are kept: the values are people's data.
        names = sorted(name for name in changes if name in values or getattr(new, name, 0) != getattr(person, name, 0))
        traces.audit_request(connection, caller, "customer", "updated", customer_id, {"changed": names})
        if new != person:
            erasure.push(connection, caller.scope, customer_id, caller.actor, caller.request_id)
        return Accepted(200, people.customer_body(row, new, changes), None, False)

    return _once(core, caller, key, act, changes)


def _changed(
    core: Core, connection: Connection, scope: Scope, row: Row, person: Person, new: Person, changes: Mapping[str, Any]
) -> dict[str, Any]:
    """Columns to write."""
    wanted: dict[str, Any] = {}
    if "reference" in changes:
        wanted["reference"] = changes["reference"]
    if "metadata" in changes:
        wanted["metadata"] = dict(changes["metadata"] or {})
    values = {name: value for name, value in wanted.items() if row[name] != value}
    if new != person:
        own = core.vault.customer_key(connection, scope, row["id"])
        if own is None:
            raise missing("customer")
        values["sealed"] = people.seal_person(own, row["id"], new)
        values |= people.email_columns(core, new.email)
    return values


def erase(
    core: Core,
    caller: Caller,
    customer_id: UUID,
    key: IdempotencyKey | None = None,
    why: Mapping[str, Any] | None = None,
) -> Accepted:
    """Destroy the person's key and redact what names them: nobody can read who they were, or charge them.

    The row stays for the payments that name it. Raises NotFoundError; StateConflict while a payment still needs to
    know who pays; Unavailable when it is done and could not be written down outside Postgres: asked again, it is.
    """
    scope = caller.scope
    body = {"id": public_id("customer", customer_id), "deleted": True}

    def act(connection: Connection) -> Accepted:
        found = rows.lock_customer(connection, scope, customer_id)
        if found is not None and found["erased_at"] is not None and not erasure.is_remembered(core, scope, customer_id):
            return Accepted(200, body, None, False)
        row = _present(found)
        _refuse_under_way(rows.payment_under_way(connection, scope, customer_id))
        _refuse_answered(erasures.answer_under_way(connection, scope, customer_id))
        counted = erasure.destroy(core, connection, scope, row, cause_of(caller))
        traces.audit_request(connection, caller, "customer", "erased", customer_id, {**counted, **(why or {})})
        return Accepted(200, body, None, False)

    answer = _once(core, caller, key, act)
    with core.database.scoped(scope) as connection:
        row = rows.find_customer(connection, scope, customer_id)
        now = present(connection)
    if row is not None and row["erased_at"] is not None:
        erasure.remember(core, scope, customer_id, row["erased_at"], now)
    return answer


def _refuse_under_way(payment: Row | None) -> None:
    if payment is None:
        return
    name = public_id("payment", payment["id"])
    raise StateConflict(
        f"payment {name} of this customer is {payment['status']}: {_way_out(payment)}, then delete the customer",
        code="customer_in_use",
    )


def _refuse_answered(dispute_id: UUID | None) -> None:
    if dispute_id is not None:
        raise StateConflict(
            f"evidence about this customer is being sent for dispute {public_id('dispute', dispute_id)}: wait until "
            "its job has ended, then delete the customer",
            code="customer_in_use",
        )


def _way_out(payment: Row) -> str:
    """What the merchant can do about a payment under way: nothing is proposed that would be refused."""
    if payment["status"] == "processing":
        return "wait until it has ended"
    until = "wait until it has ended"
    if payment["expires_at"] is not None:
        until += f", which it has soon after its expires_at ({timestamp(payment['expires_at'])})"
    can_be_canceled = permits.may_end(PROVIDERS[payment["provider"]].capabilities, payment)
    return f"cancel it, or {until}" if can_be_canceled else until


def provider_customer(connection: Connection, customer_id: UUID, account_id: UUID) -> Row | None:
    """What is known of a customer's object at one provider account; `provider_id` is None until it was answered."""
    return rows.find_provider_customer(connection, customer_id, account_id)


def begin_provider_customer(connection: Connection, scope: Scope, customer_id: UUID, account_id: UUID) -> Row:
    """The row under whose key the object is made; whoever comes second gets the first one's.

    Commit it before the provider is asked: its key and time let everybody find what a lost answer has made.
    """
    key = _provider_key(customer_id, account_id)
    values = {"customer_id": customer_id, "provider_account_id": account_id, "provider_key": key}
    rows.insert_provider_customer(connection, scope, values)
    row = rows.find_provider_customer(connection, customer_id, account_id)
    if row is None:
        raise LookupError(f"no provider customer for {public_id('customer', customer_id)}")
    return row


def keep_provider_customer(connection: Connection, customer_id: UUID, account_id: UUID, provider_id: str) -> str:
    """The id that holds: the first one to be written."""
    return rows.name_provider_customer(connection, customer_id, account_id, provider_id)


def forget_provider_customer(connection: Connection, customer_id: UUID, account_id: UUID, provider_id: str) -> None:
    """The object is gone at the provider: the next one is made under a numbered key.

    Under the old key the provider would go on answering with the object that is gone.
    """
    row = rows.find_provider_customer(connection, customer_id, account_id)
    if row is None:
        return
    first = _provider_key(customer_id, account_id)
    number = int(row["provider_key"].removeprefix(first).removeprefix("-") or 1)
    rows.unname_provider_customer(connection, customer_id, account_id, provider_id, f"{first}-{number + 1}")


def _provider_key(customer_id: UUID, account_id: UUID) -> str:
    return f"{public_id('customer', customer_id)}-{public_id('provider_account', account_id)}"


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


def _present(row: Row | None) -> Row:
    if row is None or row["erased_at"] is not None:
        raise missing("customer")
    return row


def _body(core: Core, connection: Connection, scope: Scope, row: Row) -> dict[str, Any]:
    return people.customer_body(row, people.person_of(core, connection, scope, row))


def _once(
    core: Core,
    caller: Caller,
    key: IdempotencyKey | None,
    act: Callable[[Connection], Accepted],
    told: Mapping[str, Any] | None = None,
) -> Accepted:
    """Act under the idempotency key, of which nothing may tell who the person was.

    So the id alone is kept, a repeat shows the customer as it is now, and the fingerprint, which could be guessed
    from a known e-mail address, goes through the merchant's key, which lasts as long as the idempotency key does.
    """
    with idempotency.short_waits(), core.transaction(caller.scope, core.settings.idempotency_wait) as connection:
        if key is None:
            return act(connection)
        own = core.vault.merchant_key(connection, caller.scope)
        earlier = tuple(core.vault.blind_indexes("customer.request", key.fingerprint.hex()))
        hidden = replace(key, fingerprint=own.digest("customer.request", key.fingerprint), earlier=earlier)
        known = idempotency.reserve(connection, caller.scope, hidden)
        if known is not None:
            return _shown_again(core, connection, caller.scope, known, told)
        answer = act(connection)
        kept = {name: answer.body[name] for name in ("id", "deleted") if name in answer.body}
        idempotency.fill(connection, caller.scope, hidden, replace(answer, body=kept))
        return answer


def _shown_again(
    core: Core, connection: Connection, scope: Scope, known: Accepted, told: Mapping[str, Any] | None
) -> Accepted:
    """Raises StateConflict when the person was erased since: a key can never make them a second time."""
    if "deleted" in known.body:
        return known
    row = rows.find_customer(connection, scope, parse_id("customer", known.body["id"]))
    if row is None or row["erased_at"] is not None:
        raise StateConflict(
            "the customer of this Idempotency-Key was deleted since; use a new key to make another",
            code="customer_erased",
        )
    person = people.person_of(core, connection, scope, row)
    return replace(known, body=people.customer_body(row, person, told))
