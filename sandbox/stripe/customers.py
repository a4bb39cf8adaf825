"""Customers: made, found again by e-mail, changed, deleted with all that was kept for them."""

from __future__ import annotations

from typing import Any

from ..http import Call
from ..ledger import Json
from ..world import Desk
from . import events, lists, params, payment_methods
from .customer_object import find, new
from .errors import StripeError, missing
from .objects import expanded

_PLAIN = ("business_name", "description", "email", "individual_name", "name", "phone")
_NESTED = ("address", "shipping")


def _email(name: str, value: Any) -> str | None:
    email = params.text(name, value)
    if email is not None and (len(email) > 512 or "@" not in email[1:-1] or " " in email):
        raise StripeError(400, f"Invalid email address: {email}", code="email_invalid", param=name)
    return email


_SHARED: params.Spec = {
    **dict.fromkeys(_PLAIN, params.text),
    **dict.fromkeys(_NESTED, params.anything),
    "balance": params.integer,
    "cash_balance": params.anything,
    "email": _email,
    "expand": params.texts,
    "invoice_prefix": params.text,
    "invoice_settings": params.mapping(
        {
            "custom_fields": params.anything, "default_payment_method": params.text, "footer": params.text,
            "rendering_options": params.anything,
        }
    ),
    "metadata": params.metadata,
    "next_invoice_sequence": params.positive,
    "preferred_locales": params.texts,
    "tax": params.anything,
    "tax_exempt": params.choice("exempt", "none", "reverse"),
}  # fmt: skip
CREATE: params.Spec = {**_SHARED, "payment_method": params.text, "tax_id_data": params.anything}
UPDATE: params.Spec = {**_SHARED, "default_source": params.text}


def create(call: Call) -> Json:
    desk = call.desk
    given = params.read(call.params, CREATE)
    method = payment_methods.find(desk, given["payment_method"]) if given.get("payment_method") else None
    if method:
        payment_methods.refuse_attachment(method)
    customer = new(desk, given)
    if method:
        payment_methods.attach_to(desk, method, customer["id"])
    _set_default(desk, customer, given)
    desk.save("customer", customer)
    return expanded(desk, customer, given.get("expand"))


def _set_default(desk: Desk, customer: Json, given: Json) -> None:
    settings = given.get("invoice_settings") or {}
    wanted = settings.get("default_payment_method")
    method = payment_methods.find(desk, wanted) if wanted else None
    if method and method["customer"] != customer["id"]:
        raise StripeError(
            400,
            f"The customer does not have a payment method with the ID {wanted}. The payment method must be attached to"
            " the customer.",
            code="resource_missing",
            param="invoice_settings[default_payment_method]",
        )
    customer["invoice_settings"] |= settings


def retrieve(call: Call) -> Json:
    """One that was deleted still answers, with little more than that."""
    given = params.read(call.params, {"expand": params.texts})
    customer = call.desk.get("customer", call.args[0])
    if customer is None:
        raise missing("customer", call.args[0], "id")
    return expanded(call.desk, customer, given.get("expand"))


def update(call: Call) -> Json:
    desk = call.desk
    given = params.read(call.params, UPDATE)
    customer = find(desk, call.args[0])
    _set_default(desk, customer, given)
    kept = (*_PLAIN, "balance", "preferred_locales", "tax_exempt", "next_invoice_sequence")
    changed: Json = {name: given[name] for name in kept if name in given and name in customer}
    changed |= {name: given[name] or None for name in _NESTED if name in given}
    if "metadata" in given:
        changed["metadata"] = params.merged(customer["metadata"], given["metadata"])
    previous = {name: customer[name] for name, value in changed.items() if customer[name] != value}
    customer |= changed
    desk.save("customer", customer)
    if "email" in changed:
        desk.world.ledger.move(desk.account.id, "customer", customer["id"], customer["email"])
    events.emit(desk, "customer.updated", customer, previous)
    return expanded(desk, customer, given.get("expand"))


def delete(call: Call) -> Json:
    """Permanent: what was kept for the customer can never be charged again."""
    desk = call.desk
    params.read(call.params, {})
    customer = find(desk, call.args[0])
    for method in desk.children("payment_method", customer["id"]):
        if method["customer"] == customer["id"]:
            payment_methods.let_go(desk, method)
    events.emit(desk, "customer.deleted", desk.held("customer", customer["id"]))
    # Nothing about the person stays; only that there was somebody under this id.
    gone = {"id": customer["id"], "object": "customer", "deleted": True}
    desk.save("customer", {**gone, "_deleted": True, "_idempotency_key": customer["_idempotency_key"]})
    desk.world.ledger.move(desk.account.id, "customer", customer["id"], None)
    return {"id": customer["id"], "object": "customer", "deleted": True}


def list_customers(call: Call) -> Json:
    given = params.read(call.params, {**params.LIST, "email": params.text, "test_clock": params.text})
    email = given.get("email")
    alive = " AND json_extract(body, '$._deleted') IS NULL"
    return lists.page(call, "customer", given, alive, parents=[email] if email else None)


def list_methods(call: Call) -> Json:
    given = params.read(call.params, payment_methods.OF_CUSTOMER)
    return payment_methods.page_of(call, given, find(call.desk, call.args[0]))


def retrieve_method(call: Call) -> Json:
    given = params.read(call.params, {"expand": params.texts})
    customer = find(call.desk, call.args[0])
    method = call.desk.get("payment_method", call.args[1])
    if method is None or method["customer"] != customer["id"]:
        raise missing("PaymentMethod", call.args[1], "payment_method")
    return expanded(call.desk, method, given.get("expand"))
