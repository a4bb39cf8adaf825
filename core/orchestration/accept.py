"""Accept: one commit with idempotency key, payment, job and audit record; then 202.

The doors the Payment API calls. Each refuses what cannot be before anything is stored; a refusal consumes no key.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core import points
from core.domain import representations
from core.domain.commands import (
    CancelPayment,
    CapturePayment,
    CreatePayment,
    PersonDetails,
    RedirectMethod,
    RefundPayment,
    SavedPaymentMethod,
    SyncPayment,
    TokenMethod,
)
from core.domain.identifiers import new_id, public_id
from core.domain.routes import Facts
from core.orchestration import idempotency, jobs, people, permits, router, routing, status_manager, traces
from core.orchestration.context import Caller, Core
from core.orchestration.idempotency import Accepted, IdempotencyKey
from core.orchestration.intake import Row, cause_of, enqueue, locked_payment
from core.orchestration.payer import Payer, payer_of
from core.persistence.database import Scope, present
from core.persistence.queries import payments as rows
from core.persistence.vault import Place
from core.providers.base import Person

__all__ = [
    "Accepted",
    "IdempotencyKey",
    "cancel_payment",
    "capture_payment",
    "create_payment",
    "refund_payment",
    "sync_payment",
]


def create_payment(core: Core, caller: Caller, command: CreatePayment, key: IdempotencyKey) -> Accepted:
    """Store a payment and its job.

    Raises CapabilityUnsupported or RequestRefused when no account could carry it, IdempotencyMismatch,
    IdempotencyInUse.
    """

    def act(connection: Connection) -> Accepted:
        payer = payer_of(connection, caller.scope, command)
        payment_id, wish = new_id(), wish_of(command, payer)
        route = routing.decide(connection, caller.scope, payment_id, facts_of(command, payer))
        order = routing.order_of(route)
        found = router.candidates(connection, caller.scope.merchant_id, caller.scope.mode, wish, order)
        router.require_eligible(found, wish)
        payment = _store_payment(core, connection, caller, command, payer, payment_id, route)
        answer = enqueue(connection, caller, "create_payment", payment)
        idempotency.keep(connection, caller.scope, key, answer)
        return answer

    try:
        return _unless_known(core, caller, key, act)
    except sa.exc.IntegrityError as error:
        if not idempotency.taken(error):
            raise
    # A parallel request with this key was first; nothing of this one is left.
    return _unless_known(core, caller, key, act)


def capture_payment(core: Core, caller: Caller, command: CapturePayment, key: IdempotencyKey) -> Accepted:
    """Queue a capture. Raises NotFoundError, StateConflict, RequestRefused for more than is authorized."""

    def act(connection: Connection) -> Accepted:
        payment = locked_payment(connection, command.payment_id)
        amount = permits.capture(connection, payment, command.amount)
        return _answer(connection, caller, key, "capture_payment", payment, arguments={"amount": amount})

    return _once(core, caller, key, "capture_payment", act)


def cancel_payment(core: Core, caller: Caller, command: CancelPayment, key: IdempotencyKey) -> Accepted:
    """Queue a cancellation. Raises NotFoundError, StateConflict, CapabilityUnsupported."""

    def act(connection: Connection) -> Accepted:
        payment = locked_payment(connection, command.payment_id)
        permits.cancel(connection, payment)
        return _answer(connection, caller, key, "cancel_payment", payment)

    return _once(core, caller, key, "cancel_payment", act)


def refund_payment(core: Core, caller: Caller, command: RefundPayment, key: IdempotencyKey) -> Accepted:
    """Store a refund, reserve its sum and queue it.

    Raises NotFoundError, StateConflict, RequestRefused for more than is left.
    """

    def act(connection: Connection) -> Accepted:
        payment = locked_payment(connection, command.payment_id)
        amount = permits.refund(connection, payment, command.amount)
        values = {"amount": amount, "reason": command.reason, "origin": "api"}
        refund = status_manager.create_refund(connection, payment, values, cause_of(caller))
        payment = locked_payment(connection, command.payment_id)
        extra = {"refund": representations.refund(refund)}
        return _answer(connection, caller, key, "refund_payment", payment, target_id=refund["id"], extra=extra)

    return _once(core, caller, key, "refund_payment", act)


def sync_payment(
    core: Core, caller: Caller, command: SyncPayment, key: IdempotencyKey, *, recorded: bool = False
) -> Accepted:
    """Queue a question to the provider; one that already waits serves several callers.

    It changes nothing, and is `recorded` only where it is an administrator's act.
    """

    def act(connection: Connection) -> Accepted:
        payment = locked_payment(connection, command.payment_id)
        job_id = jobs.enqueue_sync(connection, caller.scope, payment["id"])
        if recorded:
            traces.audit_request(connection, caller, "payment", "asked_about", payment["id"])
        return _answer(connection, caller, key, "sync_payment", payment, job_id=job_id)

    return _once(core, caller, key, "sync_payment", act)


#: What a request asks for that changes no row yet: the worker does, and the log has to say who wanted it.
_REQUESTED: Mapping[str, str] = {
    "capture_payment": "capture_requested",
    "cancel_payment": "cancel_requested",
    "sync_payment": "sync_requested",
}


def _once(
    core: Core, caller: Caller, key: IdempotencyKey, kind: str, act: Callable[[Connection], Accepted]
) -> Accepted:
    """What the key has answered already, or what `act` does under it, in one commit."""
    wait, commit = core.settings.idempotency_wait, points.accepting(kind)
    with idempotency.short_waits(), core.transaction(caller.scope, wait, commit) as connection:
        return idempotency.reserve(connection, caller.scope, key) or act(connection)


def _unless_known(core: Core, caller: Caller, key: IdempotencyKey, act: Callable[[Connection], Accepted]) -> Accepted:
    """The same for what locks no row before it writes: the key is taken with everything else, on one trip."""
    wait, commit = core.settings.idempotency_wait, points.accepting("create_payment")
    with idempotency.short_waits(), core.transaction(caller.scope, wait, commit) as connection:
        known = routing.known_id(caller.scope)
        return idempotency.find(connection, caller.scope, key, known) or act(connection)


def _answer(
    connection: Connection, caller: Caller, key: IdempotencyKey, kind: str, payment: Row, **details: Any
) -> Accepted:
    answer = enqueue(connection, caller, kind, payment, **details)
    verb = _REQUESTED.get(kind)
    if verb is not None:
        told = {"amount": details["arguments"]["amount"]} if kind == "capture_payment" else None
        about = {"payment_id": payment["id"], "job_id": answer.job_id}
        traces.audit_request(connection, caller, "payment", verb, payment["id"], told, **about)
    idempotency.fill(connection, caller.scope, key, answer)
    return answer


def wish_of(command: CreatePayment, payer: Payer) -> router.Wish:
    return router.Wish(
        command.amount,
        command.currency,
        _method_name(command),
        command.capture,
        command.provider,
        payer.has_email,
        command.return_url is not None,
        command.save_method,
        command.off_session,
        payer.account_id,
    )


def facts_of(command: CreatePayment, payer: Payer) -> Facts:
    """What the rules of a route may ask about it."""
    return Facts(
        command.amount,
        command.currency,
        _method_name(command),
        command.country,
        None if payer.customer_id is None else public_id("customer", payer.customer_id),
        command.metadata,
        payer.customer_metadata,
    )


_METHODS: Mapping[type, str] = {TokenMethod: "token", RedirectMethod: "redirect", SavedPaymentMethod: "saved"}


def _method_name(command: CreatePayment) -> str:
    return _METHODS[type(command.method)]


def _store_payment(
    core: Core,
    connection: Connection,
    caller: Caller,
    command: CreatePayment,
    payer: Payer,
    payment_id: UUID,
    route: Mapping[str, Any] | None,
) -> Row:
    customer_id = payer.customer_id or _store_customer(core, connection, caller.scope, command.person)
    values = {
        "id": payment_id,
        "customer_id": customer_id,
        "payment_method_id": payer.method_id,
        "save_method": command.save_method,
        "off_session": command.off_session,
        "amount": command.amount,
        "currency": command.currency,
        "capture": command.capture,
        "method": _method_name(command),
        "method_sealed": _seal_method(core, connection, caller.scope, payment_id, command),
        "provider_pin": command.provider,
        "reference": command.reference,
        "description": command.description,
        "metadata": dict(command.metadata),
        "return_url": command.return_url,
        "country": command.country,
        "route": route,
    }
    return status_manager.create_payment(connection, caller.scope, values, cause_of(caller))


def _seal_method(
    core: Core, connection: Connection, scope: Scope, payment_id: UUID, command: CreatePayment
) -> bytes | None:
    if not isinstance(command.method, TokenMethod):
        return None
    key = core.vault.merchant_key(connection, scope)
    return key.seal_json(Place("payments", "method_sealed", payment_id), {"token": command.method.token})


def _store_customer(core: Core, connection: Connection, scope: Scope, person: PersonDetails | None) -> UUID | None:
    """A person under a key of their own: erasing them later is deleting that key."""
    if person is None:
        return None
    customer_id = new_id()
    key = core.vault.make_customer_key(connection, scope, customer_id)
    values = {
        "id": customer_id,
        "sealed": people.seal_person(key, customer_id, Person(person.email, person.name, person.phone)),
        **people.email_columns(core, person.email),
        "created_at": present(connection),
    }
    rows.insert_customer(connection, scope, values)
    return customer_id
