"""From rows to the request a provider is sent; stored sealed, so that exactly the same can be sent again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal
from uuid import UUID

from sqlalchemy.engine import Connection

from core.domain.identifiers import public_id
from core.orchestration import payment_methods, people, restored
from core.orchestration.context import Core
from core.persistence.database import Scope
from core.persistence.queries import payments as rows
from core.persistence.vault import DataKey, Place
from core.providers.base import (
    CaptureRequest,
    ChargeRef,
    LookUpRequest,
    Operation,
    Person,
    RefundRequest,
    Request,
    SavedMethod,
    StartRequest,
    VoidRequest,
    dump_request,
    load_request,
    operation_of,
)

Row = Mapping[Any, Any]


def provider_key(payment_id: UUID, kind: str, number: int) -> str:
    """Derived from payment, operation and number: the same send always carries the same key."""
    return f"{public_id('payment', payment_id)}-{kind}-{number}"


def start_request(
    core: Core,
    connection: Connection,
    scope: Scope,
    payment: Row,
    transaction_id: UUID,
    number: int,
    provider_customer: str | None = None,
) -> StartRequest:
    return replace(
        asked_about(payment, transaction_id, number),
        token=_token(core, connection, scope, payment),
        saved=_saved(core, connection, scope, payment),
        save_method=payment["save_method"],
        provider_customer=provider_customer,
        person=_person(core, connection, scope, payment["customer_id"]),
    )


def asked_about(payment: Row, transaction_id: UUID, number: int) -> StartRequest:
    """Of a charge that is never sent, only looked up: without the person, and without what they paid with."""
    kind: Literal["authorize", "charge"] = "authorize" if payment["capture"] == "manual" else "charge"
    customer_id = payment["customer_id"]
    return StartRequest(
        payment_id=public_id("payment", payment["id"]),
        transaction_id=public_id("transaction", transaction_id),
        provider_key=provider_key(payment["id"], kind, number),
        kind=kind,
        amount=payment["amount"],
        currency=payment["currency"],
        method=_METHODS[payment["method"]],
        token=None,
        saved=None,
        off_session=payment["off_session"],
        save_method=False,
        customer_id=public_id("customer", customer_id) if customer_id is not None else None,
        provider_customer=None,
        person=Person(),
        return_url=payment["return_url"],
        description=payment["description"],
        reference=payment["reference"],
        metadata=payment["metadata"],
    )


_METHODS: Mapping[str, Literal["token", "redirect", "saved"]] = {
    "token": "token",
    "redirect": "redirect",
    "saved": "saved",
}


class MethodGone(Exception):
    """The saved method was forgotten, or its customer erased, after the payment was accepted."""


def _saved(core: Core, connection: Connection, scope: Scope, payment: Row) -> SavedMethod | None:
    """Raises MethodGone."""
    if payment["method"] != "saved":
        return None
    row = payment_methods.load_for_payment(connection, scope, payment["payment_method_id"])
    opened = payment_methods.open_saved(core, connection, scope, row) if row is not None else None
    if opened is None:
        raise MethodGone
    return opened


def _token(core: Core, connection: Connection, scope: Scope, payment: Row) -> str | None:
    if payment["method_sealed"] is None:
        return None
    place = Place("payments", "method_sealed", payment["id"])
    opened = core.vault.merchant_key(connection, scope).open_json(place, payment["method_sealed"])
    return str(opened["token"])


def _person(core: Core, connection: Connection, scope: Scope, customer_id: UUID | None) -> Person:
    """Nobody, when the payment names no one or the person was erased."""
    customer = rows.find_customer(connection, customer_id) if customer_id is not None else None
    return Person() if customer is None else people.person_of(core, connection, scope, customer)


def capture_request(payment: Row, start: Row, transaction_id: UUID, number: int, amount: int) -> CaptureRequest:
    return CaptureRequest(
        payment_id=public_id("payment", payment["id"]),
        transaction_id=public_id("transaction", transaction_id),
        provider_key=provider_key(payment["id"], "capture", number),
        provider_id=start["provider_id"],
        amount=amount,
        currency=payment["currency"],
        start_extra=_start_extra(start),
    )


def void_request(payment: Row, start: Row, transaction_id: UUID, number: int) -> VoidRequest:
    return VoidRequest(
        payment_id=public_id("payment", payment["id"]),
        transaction_id=public_id("transaction", transaction_id),
        provider_key=provider_key(payment["id"], "void", number),
        provider_id=start["provider_id"],
        amount=start["amount"],
        currency=payment["currency"],
        start_extra=_start_extra(start),
    )


def refund_request(
    payment: Row, start: Row, capture: Row | None, refund: Row, transaction_id: UUID, number: int
) -> RefundRequest:
    """`capture` is the one that took the money of a hold."""
    charge = charge_ref(start, capture)
    return RefundRequest(
        payment_id=public_id("payment", payment["id"]),
        refund_id=public_id("refund", refund["id"]),
        transaction_id=public_id("transaction", transaction_id),
        provider_key=provider_key(payment["id"], "refund", number),
        provider_id=charge.provider_id,
        provider_charge_id=charge.provider_charge_id,
        amount=refund["amount"],
        currency=refund["currency"],
        reason=refund["reason"],
        start_extra=charge.extra,
    )


def charge_ref(start: Row, capture: Row | None) -> ChargeRef:
    """The charge as the provider names it: some make a new one of the capture, whose ids then stand first."""
    extra = _start_extra(start)
    charge_id = start["provider_charge_id"]
    if capture is not None:
        extra |= _start_extra(capture)
        charge_id = capture["provider_charge_id"] or charge_id
    return ChargeRef(start["provider_id"], charge_id, extra)


def _start_extra(start: Row) -> dict[str, str]:
    extra = {name: str(value) for name, value in start["extra"].items()}
    if start["provider_charge_id"]:
        extra["provider_charge_id"] = start["provider_charge_id"]
    return extra


def seal(core: Core, connection: Connection, scope: Scope, transaction_id: UUID, request: Request) -> bytes:
    return seal_with(core.vault.merchant_key(connection, scope), transaction_id, request)


def seal_with(key: DataKey, transaction_id: UUID, request: Request) -> bytes:
    """`key` is the merchant's."""
    return key.seal_json(Place("transactions", "request_sealed", transaction_id), dump_request(request))


def stored(core: Core, connection: Connection, scope: Scope, transaction: Row) -> Request:
    """The request as it was first sent."""
    place = Place("transactions", "request_sealed", transaction["id"])
    return load_request(core.vault.merchant_key(connection, scope).open_json(place, transaction["request_sealed"]))


def look_up_request(core: Core, connection: Connection, scope: Scope, transaction: Row) -> LookUpRequest:
    request = stored(core, connection, scope, transaction)
    return LookUpRequest(
        operation=operation_of(request),
        request=request,
        provider_id=transaction["provider_id"],
        provider_charge_id=transaction["provider_charge_id"],
        extra=transaction["extra"],
        first_sent_at=transaction["first_sent_at"],
        last_sent_at=transaction["last_sent_at"],
        by_payment=restored.is_marked(transaction),
    )


def hold_look_up(payment: Row, start: Row) -> LookUpRequest:
    """Ask what became of a hold nobody of us has captured or released."""
    request = capture_request(payment, start, start["id"], 0, start["amount"])
    operation: Operation = "capture"
    return LookUpRequest(
        operation=operation,
        request=request,
        provider_id=start["provider_id"],
        provider_charge_id=start["provider_charge_id"],
        extra=start["extra"],
        first_sent_at=start["first_sent_at"],
        last_sent_at=start["last_sent_at"],
    )
