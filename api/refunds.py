"""Refunds: ask for one, read them."""

from __future__ import annotations

from flask import Response

from api.answers import about_payment, accepted, ok, optional_id, row_id
from api.idempotency_key import current_key
from api.policy import Policy
from api.routing import room, route
from api.schemas.jobs import AcceptedRefund
from api.schemas.parameters import NoQuery, PathId, PaymentRefundsQuery, RefundsQuery
from api.schemas.payments import RefundBody
from api.schemas.refunds import Refund, Refunds
from api.state import caller, gate
from core.domain.commands import RefundPayment
from core.orchestration import accept, reading
from core.orchestration.reading import Filters

refunds = room("refunds", __name__, "Money on its way back.")

_READ = Policy("merchant", "refunds:read", codes=("not_found", "validation_failed"))
_READ_ONE = Policy("merchant", "refunds:read", codes=("not_found", "validation_failed"))
_CREATE = Policy(
    "merchant",
    "refunds:write",
    body="optional",
    key="required",
    waits=True,
    codes=(
        "not_found",
        "nothing_to_refund",
        "payment_disputed",
        "outcome_unknown",
        "amount_too_large",
        "validation_failed",
        "capability_unsupported",
    ),
)


@route(refunds, "post", "/v1/payments/<id>/refunds", _CREATE, {200: AcceptedRefund, 202: AcceptedRefund})
def refund_payment(path: PathId, query: NoQuery, body: RefundBody) -> Response:
    """Give money back, all that is left or a part of it"""
    command = RefundPayment(row_id("payment", path.id), body.amount, body.reason)
    return accepted(accept.refund_payment(gate().core, caller(), command, current_key()))


@route(refunds, "get", "/v1/payments/<id>/refunds", _READ_ONE, {200: Refunds})
def list_refunds_of_payment(path: PathId, query: PaymentRefundsQuery) -> Response:
    """List the refunds of a payment, newest first"""
    filters = Filters(
        limit=query.limit,
        after=optional_id("refund", query.after),
        status=query.status,
        payment_id=row_id("payment", path.id),
        created_after=query.created_after,
        created_before=query.created_before,
    )
    return ok(reading.list_refunds(gate().core, caller().scope, filters))


@route(refunds, "get", "/v1/refunds", _READ, {200: Refunds})
def list_refunds(query: RefundsQuery) -> Response:
    """List refunds, newest first"""
    filters = Filters(
        limit=query.limit,
        after=optional_id("refund", query.after),
        status=query.status,
        currency=query.currency,
        payment_id=optional_id("payment", query.payment),
        created_after=query.created_after,
        created_before=query.created_before,
    )
    return ok(reading.list_refunds(gate().core, caller().scope, filters))


@route(refunds, "get", "/v1/refunds/<id>", _READ_ONE, {200: Refund})
def get_refund(path: PathId, query: NoQuery) -> Response:
    """Read a refund"""
    return about_payment(reading.get_refund(gate().core, caller().scope, row_id("refund", path.id)))
