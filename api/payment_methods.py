"""Saved payment methods: read, and forgotten here and at their provider."""

from __future__ import annotations

from flask import Response

from api.answers import accepted, ok, row_id
from api.idempotency_key import optional_key
from api.policy import Policy
from api.routing import room, route
from api.schemas.jobs import AcceptedMethod
from api.schemas.parameters import NoQuery, PathId
from api.schemas.payment_methods import PaymentMethodShown
from api.state import caller, gate
from core.orchestration import payment_methods as methods

payment_methods = room("payment_methods", __name__, "What a payment with `save_payment_method` left to charge again.")

_READ = Policy("merchant", "customers:read", codes=("not_found", "validation_failed"))
_DELETE = Policy(
    "merchant",
    "customers:write",
    key="optional",
    waits=True,
    codes=("not_found", "state_conflict", "validation_failed"),
)


@route(payment_methods, "get", "/v1/payment_methods/<id>", _READ, {200: PaymentMethodShown})
def get_method(path: PathId, query: NoQuery) -> Response:
    """Read a saved payment method"""
    return ok(methods.get_method(gate().core, caller().scope, row_id("payment_method", path.id)))


@route(payment_methods, "delete", "/v1/payment_methods/<id>", _DELETE, {200: AcceptedMethod, 202: AcceptedMethod})
def delete_method(path: PathId, query: NoQuery) -> Response:
    """Forget a saved payment method

    No new payment can use it from now on; the job has the provider drop it too. Asked again before that is done,
    the provider is told again.
    """
    method_id = row_id("payment_method", path.id)
    return accepted(methods.forget(gate().core, caller(), method_id, optional_key()))
