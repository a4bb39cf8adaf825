"""Payments: make, read, capture, cancel, synchronise, and the story of one."""

from __future__ import annotations

from flask import Response

from api.answers import accepted, ok, optional_id, row_id
from api.idempotency_key import current_key
from api.policy import Policy
from api.routing import room, route
from api.schemas.jobs import AcceptedPayment
from api.schemas.parameters import NoQuery, PathId, PaymentsQuery
from api.schemas.payments import CaptureBody, CreatePaymentBody, Payment, Payments, Timeline
from api.state import caller, gate
from core.domain.commands import CancelPayment, CapturePayment, SyncPayment
from core.orchestration import accept, reading
from core.orchestration.reading import Filters

payments = room("payments", __name__, "What a merchant wants to be paid, and how far it has come.")

_READ = Policy("merchant", "payments:read", codes=("validation_failed",))
_READ_ONE = Policy("merchant", "payments:read", codes=("not_found", "validation_failed"))
_CREATE = Policy(
    "merchant",
    "payments:write",
    body="required",
    key="required",
    waits=True,
    codes=("validation_failed", "capability_unsupported", "no_provider_account", "provider_misconfigured"),
)
_CHANGE = ("not_found", "state_conflict", "operation_in_progress", "validation_failed", "capability_unsupported")
_CAPTURE = Policy(
    "merchant",
    "payments:write",
    body="optional",
    key="required",
    waits=True,
    codes=(*_CHANGE, "amount_too_large", "outcome_unknown"),
)
_CANCEL = Policy("merchant", "payments:write", key="required", waits=True, codes=(*_CHANGE, "outcome_unknown"))
_SYNC = Policy("merchant", "payments:write", key="required", waits=True, codes=("not_found", "validation_failed"))
_ACCEPTED = {200: AcceptedPayment, 202: AcceptedPayment}


@route(payments, "post", "/v1/payments", _CREATE, _ACCEPTED)
def create_payment(query: NoQuery, body: CreatePaymentBody) -> Response:
    """Make a payment

    Answers 202 as soon as payment and job are stored; the job carries the payment out. Declines are no errors: the
    job succeeds in telling that the payment `failed`, with `decline`.
    """
    return accepted(accept.create_payment(gate().core, caller(), body.command(), current_key()))


@route(payments, "get", "/v1/payments", _READ, {200: Payments})
def list_payments(query: PaymentsQuery) -> Response:
    """List payments, newest first"""
    return ok(reading.list_payments(gate().core, caller().scope, filters_of(query)))


def filters_of(query: PaymentsQuery) -> Filters:
    """Raises NotFoundError for ids that are none."""
    return Filters(
        limit=query.limit,
        after=optional_id("payment", query.after),
        status=query.status,
        currency=query.currency,
        reference=query.reference,
        provider=query.provider,
        customer_id=optional_id("customer", query.customer),
        created_after=query.created_after,
        created_before=query.created_before,
    )


@route(payments, "get", "/v1/payments/<id>", _READ_ONE, {200: Payment})
def get_payment(path: PathId, query: NoQuery) -> Response:
    """Read a payment"""
    return ok(reading.get_payment(gate().core, caller().scope, row_id("payment", path.id)))


@route(payments, "get", "/v1/payments/<id>/timeline", _READ_ONE, {200: Timeline})
def get_timeline(path: PathId, query: NoQuery) -> Response:
    """Read everything that happened to a payment, in order"""
    return ok(reading.timeline(gate().core, caller().scope, row_id("payment", path.id)))


@route(payments, "post", "/v1/payments/<id>/capture", _CAPTURE, _ACCEPTED)
def capture_payment(path: PathId, query: NoQuery, body: CaptureBody) -> Response:
    """Take an authorized payment's money, or a part of it"""
    command = CapturePayment(row_id("payment", path.id), body.amount)
    return accepted(accept.capture_payment(gate().core, caller(), command, current_key()))


@route(payments, "post", "/v1/payments/<id>/cancel", _CANCEL, _ACCEPTED)
def cancel_payment(path: PathId, query: NoQuery) -> Response:
    """End a payment that has taken no money"""
    command = CancelPayment(row_id("payment", path.id))
    return accepted(accept.cancel_payment(gate().core, caller(), command, current_key()))


@route(payments, "post", "/v1/payments/<id>/sync", _SYNC, _ACCEPTED)
def sync_payment(path: PathId, query: NoQuery) -> Response:
    """Ask the provider now

    What a shop calls when the customer comes back.
    """
    command = SyncPayment(row_id("payment", path.id))
    return accepted(accept.sync_payment(gate().core, caller(), command, current_key()))
