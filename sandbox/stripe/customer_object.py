"""A customer as it is first made, and how others find one."""

from __future__ import annotations

from .. import ids
from ..ledger import Json
from ..world import Desk
from . import events
from .errors import missing


def new(desk: Desk, given: Json) -> Json:
    id = ids.fresh("cus_", 14)
    customer: Json = {
        "id": id,
        "object": "customer",
        "address": given.get("address") or None,
        "balance": given.get("balance", 0),
        "created": desk.now,
        "currency": None,
        "customer_account": None,
        "default_source": None,
        "delinquent": False,
        "description": given.get("description"),
        "discount": None,
        "email": given.get("email"),
        "invoice_prefix": given.get("invoice_prefix") or ids.derived(id, 8).upper(),
        "invoice_settings": {
            "custom_fields": None, "default_payment_method": None, "footer": None, "rendering_options": None,
        },
        "livemode": False,
        "metadata": given.get("metadata") or {},
        "name": given.get("name"),
        "next_invoice_sequence": given.get("next_invoice_sequence", 1),
        "phone": given.get("phone"),
        "preferred_locales": given.get("preferred_locales") or [],
        "shipping": given.get("shipping") or None,
        "tax_exempt": given.get("tax_exempt", "none"),
        "test_clock": None,
        "_idempotency_key": desk.idempotency_key,
    }  # fmt: skip
    desk.add("customer", customer, parent=given.get("email"))
    events.emit(desk, "customer.created", customer)
    return customer


def find(desk: Desk, id: str) -> Json:
    """A customer by the address of a call; raises 404 for one that never was, or was deleted."""
    customer = desk.get("customer", id)
    if customer is None or customer.get("_deleted"):
        raise missing("customer", id, "id")
    return customer


def named(desk: Desk, id: str, param: str = "customer") -> Json:
    """A customer that a parameter names."""
    customer = desk.get("customer", id)
    if customer is None or customer.get("_deleted"):
        raise missing("customer", id, param, 400)
    return customer


def forget_default(desk: Desk, id: str, method_id: str) -> None:
    customer = desk.get("customer", id)
    if (
        customer
        and not customer.get("_deleted")
        and customer["invoice_settings"]["default_payment_method"] == method_id
    ):
        customer["invoice_settings"]["default_payment_method"] = None
        desk.save("customer", customer)
