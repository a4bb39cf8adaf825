"""Customers: made, found, changed and erased by the merchant."""

from __future__ import annotations

from flask import Response

from api.answers import accepted, ok, optional_id, row_id
from api.idempotency_key import current_key, optional_key
from api.policy import Policy
from api.routing import room, route
from api.schemas.customers import (
    CreateCustomerBody,
    Customers,
    CustomerShown,
    CustomersQuery,
    DeletedCustomer,
    UpdateCustomerBody,
)
from api.schemas.parameters import NoQuery, PathId
from api.schemas.payment_methods import PaymentMethods, PaymentMethodsQuery
from api.state import caller, gate
from core.orchestration import customers as people
from core.orchestration import payment_methods

customers = room("customers", __name__, "People who pay, sealed under a key of their own.")

_LIST = Policy("merchant", "customers:read", codes=("not_found", "validation_failed"))
_CREATE = Policy(
    "merchant", "customers:write", body="required", key="required", codes=("customer_erased", "validation_failed")
)
_CHANGE = ("not_found", "validation_failed")
_UPDATE = Policy("merchant", "customers:write", body="required", key="optional", codes=(*_CHANGE, "customer_erased"))
_DELETE = Policy(
    "merchant", "customers:write", key="optional", codes=(*_CHANGE, "customer_in_use", "erasure_not_remembered")
)
_REVEAL = Policy("merchant", "customers:reveal", codes=("not_found", "validation_failed"))


@route(customers, "post", "/v1/customers", _CREATE, {201: CustomerShown})
def create_customer(query: NoQuery, body: CreateCustomerBody) -> Response:
    """Make a customer

    Providers learn of them when that is first needed. The answer repeats what was sent; wherever else a customer is
    shown, e-mail, name and phone are masked. A repeated request shows the customer as they are now.
    """
    values = {name: getattr(body, name) for name in CreateCustomerBody.model_fields}
    return accepted(people.create(gate().core, caller(), current_key(), values))


@route(customers, "get", "/v1/customers", _LIST, {200: Customers})
def list_customers(query: CustomersQuery) -> Response:
    """List customers, newest first

    E-mail, name and phone are masked; a whole address can be searched for.
    """
    filters = people.Filters(
        limit=query.limit,
        after=optional_id("customer", query.after),
        email=query.email,
        reference=query.reference,
        created_after=query.created_after,
        created_before=query.created_before,
    )
    return ok(people.list_customers(gate().core, caller().scope, filters))


@route(customers, "get", "/v1/customers/<id>", _LIST, {200: CustomerShown})
def get_customer(path: PathId, query: NoQuery) -> Response:
    """Read a customer

    E-mail, name and phone are masked. One who was deleted is not found.
    """
    return ok(people.get_customer(gate().core, caller().scope, row_id("customer", path.id)))


@route(customers, "post", "/v1/customers/<id>/reveal", _REVEAL, {200: CustomerShown})
def reveal_customer(path: PathId, query: NoQuery) -> Response:
    """Read a customer in clear

    Each look is a record of the audit log. Takes a scope of its own, `customers:reveal`.
    """
    return ok(people.reveal(gate().core, caller(), row_id("customer", path.id)))


@route(customers, "patch", "/v1/customers/<id>", _UPDATE, {200: CustomerShown})
def update_customer(path: PathId, query: NoQuery, body: UpdateCustomerBody) -> Response:
    """Change a customer

    What is left out stays, null clears. The answer shows in clear what was sent, and masks the rest. Providers that
    know the customer are told in the background.
    """
    changes = {name: getattr(body, name) for name in body.model_fields_set}
    return accepted(people.update(gate().core, caller(), row_id("customer", path.id), changes, optional_key()))


@route(customers, "delete", "/v1/customers/<id>", _DELETE, {200: DeletedCustomer})
def delete_customer(path: PathId, query: NoQuery) -> Response:
    """Delete a customer

    Destroys the key their data is sealed under, for good; reference and metadata go too. What providers said about
    their payments is redacted, and so are references, descriptions, metadata and refund reasons that name them. Saved
    payment methods are forgotten here and at their providers. Payments stay, with sums and the customer's id. Refused
    while a payment of the customer is `processing` or `requires_action`, or evidence about them is being sent. A backup
    that is restored later has the erasure applied again. What a provider itself knows is not deleted there.
    """
    return accepted(people.erase(gate().core, caller(), row_id("customer", path.id), optional_key()))


@route(customers, "get", "/v1/customers/<id>/payment_methods", _LIST, {200: PaymentMethods})
def list_customer_methods(path: PathId, query: PaymentMethodsQuery) -> Response:
    """List a customer's saved payment methods, newest first

    Only those that can be charged.
    """
    customer_id, after = row_id("customer", path.id), optional_id("payment_method", query.after)
    return ok(payment_methods.list_methods(gate().core, caller().scope, customer_id, query.limit, after))
