"""Customers: made by hand or by the first transaction of an e-mail address."""

from __future__ import annotations

from typing import Any

from .. import ids
from ..http import Call
from ..ledger import Json
from ..world import Desk
from . import authorizations, lists, params, times
from .domain import domain
from .errors import not_found


def for_email(desk: Desk, email: str, given: Json | None = None) -> Json:
    """The customer of an address, made if there is none yet."""
    found = find(desk, email)
    if found:
        return found
    given = given or {}
    body: Json = {
        "id": "CUS_" + ids.fresh_lower(15),
        "number": desk.world.ledger.next_number() + 100_000_000,
        "email": email,
        "first_name": given.get("first_name"),
        "last_name": given.get("last_name"),
        "phone": given.get("phone"),
        "metadata": given.get("metadata"),
        "created": desk.now,
        "updated": desk.now,
    }
    return desk.add("customer", body, parent=_key(email))


def find(desk: Desk, asked: str) -> Json | None:
    """By customer code or e-mail address; addresses are the same in any case of letters."""
    found = desk.children("customer", _key(asked)) if "@" in asked else []
    return found[0] if found else desk.get("customer", asked)


def _named(call: Call) -> Json:
    customer = find(call.desk, call.args[0])
    if customer is None:
        raise not_found("Customer not found", "customer_not_found")
    return customer


def _key(email: str) -> str:
    return "email:" + email.lower()


def short(customer: Json) -> Json:
    """A customer inside another object."""
    return {
        "id": customer["number"],
        "first_name": customer["first_name"],
        "last_name": customer["last_name"],
        "email": customer["email"],
        "customer_code": customer["id"],
        "phone": customer["phone"],
        "metadata": customer["metadata"],
        "risk_action": "default",
        "international_format_phone": None,
    }


def _long(desk: Desk, customer: Json) -> Json:
    stamp = times.iso(customer["created"])
    return {
        **short(customer),
        "integration": int(desk.account.id),
        "domain": domain(desk),
        "identified": False,
        "identifications": None,
        "transactions": [],
        "subscriptions": [],
        "authorizations": authorizations.of_customer(desk, customer["id"]),
        "createdAt": stamp,
        "updatedAt": times.iso(customer["updated"]),
    }


def create(call: Call) -> Json:
    given: dict[str, Any] = call.params
    email = params.email(given.get("email"))
    customer = for_email(call.desk, email, given)
    return {"status": True, "message": "Customer created", "data": _long(call.desk, customer)}


def fetch(call: Call) -> Json:
    return {"status": True, "message": "Customer retrieved", "data": _long(call.desk, _named(call))}


def update(call: Call) -> Json:
    """Names, phone and metadata; the e-mail address of a customer never changes."""
    desk, customer = call.desk, _named(call)
    for name in ("first_name", "last_name", "phone"):
        if name in call.params:
            customer[name] = call.params[name]
    if "metadata" in call.params:
        customer["metadata"] = params.metadata(call.params["metadata"])
    customer["updated"] = desk.now
    desk.save("customer", customer)
    return {"status": True, "message": "Customer updated", "data": _long(desk, customer)}


def list_customers(call: Call) -> Json:
    bodies, meta = lists.rows(call, "customer", "", [])
    return {
        "status": True,
        "message": "Customers retrieved",
        "data": [_long(call.desk, one) for one in bodies],
        "meta": meta,
    }
