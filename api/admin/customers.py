"""A person's data, for an administrator who has to see it or have it gone; each act with a reason, and recorded."""

from __future__ import annotations

from flask import Response

from api.admin.common import admin_caller, person, scope_of
from api.answers import accepted, ok, row_id
from api.policy import Policy
from api.routing import room, route
from api.schemas.accounts import ReasonBody
from api.schemas.admin import ModeQuery
from api.schemas.customers import CustomerPath, CustomerShown, DeletedCustomer
from api.state import gate
from core.orchestration import customers as people

customers = room("admin_customers", __name__, "A person's data; takes a `tg_admin_` key.")

_ONE = "/admin/v1/merchants/<id>/customers/<customer>"
_CODES = ("not_found", "validation_failed")
_REVEAL = Policy("admin", "admin:reveal", body="required", codes=_CODES)
_ERASE = Policy("admin", "admin:people", body="required", codes=(*_CODES, "customer_in_use", "erasure_not_remembered"))


@route(customers, "post", f"{_ONE}/reveal", _REVEAL, {200: CustomerShown})
def reveal_customer_of(path: CustomerPath, query: ModeQuery, body: ReasonBody) -> Response:
    """Read a customer in clear

    Each look is a record of the audit log, with its reason.
    """
    caller, reason = admin_caller(scope_of(path.id, query.mode)), person(body.reason).reason
    return ok(people.reveal(gate().core, caller, row_id("customer", path.customer), {"reason": reason}))


@route(customers, "post", f"{_ONE}/erase", _ERASE, {200: DeletedCustomer})
def erase_customer_of(path: CustomerPath, query: ModeQuery, body: ReasonBody) -> Response:
    """Erase a customer

    As `DELETE /v1/customers/{id}` does for their merchant.
    """
    caller, reason = admin_caller(scope_of(path.id, query.mode)), person(body.reason).reason
    return accepted(people.erase(gate().core, caller, row_id("customer", path.customer), why={"reason": reason}))
