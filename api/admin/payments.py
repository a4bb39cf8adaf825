"""A merchant's payments as support sees them: people's data stays sealed, and nobody can pay from here."""

from __future__ import annotations

from flask import Response

from api.admin.common import READ, admin_caller, policy, scope_of
from api.answers import ok, row_id
from api.idempotency_key import current_key
from api.payments import filters_of
from api.routing import room, route
from api.schemas.admin import AdminPaymentsQuery, ModeQuery, PaymentPath
from api.schemas.jobs import AskedPayment
from api.schemas.parameters import PathId
from api.schemas.payments import PaymentForSupport, PaymentsForSupport, Timeline
from api.state import gate
from core.domain.commands import SyncPayment
from core.orchestration import accept, admin_reading, reading

payments = room("admin_payments", __name__, "Payments, as support sees them; takes a `tg_admin_` key.")

_HOME = "/admin/v1/merchants/<id>/payments"
_ONE = f"{_HOME}/<payment>"
_ASK = policy("admin:jobs", body="none", key="required")


@route(payments, "get", _HOME, READ, {200: PaymentsForSupport})
def list_payments_of_merchant(path: PathId, query: AdminPaymentsQuery) -> Response:
    """List a merchant's payments, newest first"""
    scope = scope_of(path.id, query.mode)
    return ok(admin_reading.list_payments(gate().core, scope, filters_of(query)))


@route(payments, "get", _ONE, READ, {200: PaymentForSupport})
def get_payment_of_merchant(path: PaymentPath, query: ModeQuery) -> Response:
    """Read a payment"""
    scope = scope_of(path.id, query.mode)
    return ok(admin_reading.get_payment(gate().core, scope, row_id("payment", path.payment)))


@route(payments, "get", f"{_ONE}/timeline", READ, {200: Timeline})
def get_timeline_of_merchant(path: PaymentPath, query: ModeQuery) -> Response:
    """Read everything that happened to a payment, in order"""
    scope = scope_of(path.id, query.mode)
    return ok(reading.timeline(gate().core, scope, row_id("payment", path.payment)))


@route(payments, "post", f"{_ONE}/sync", _ASK, {202: AskedPayment})
def sync_payment_of_merchant(path: PaymentPath, query: ModeQuery) -> Response:
    """Have the provider asked now"""
    caller = admin_caller(scope_of(path.id, query.mode))
    command = SyncPayment(row_id("payment", path.payment))
    found = accept.sync_payment(gate().core, caller, command, current_key(), recorded=True)
    answer = ok({"job": found.body["job"]}, found.status_code)
    if found.replayed:
        answer.headers["Idempotent-Replayed"] = "true"
    return answer
