"""How a stored object is shown: private fields left out, asked-for references expanded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..ledger import Json
from ..world import Desk
from .errors import StripeError

# Which field refers to which kind of object.
REFERENCES = {
    "latest_charge": "charge",
    "charge": "charge",
    "customer": "customer",
    "default_payment_method": "payment_method",
    "payment_intent": "payment_intent",
    "payment_method": "payment_method",
    "balance_transaction": "balance_transaction",
    "failure_balance_transaction": "balance_transaction",
    "source": "",
}
# A field that may name several kinds says by the beginning of the id which one it is.
BY_PREFIX = {
    "ch": "charge", "py": "charge", "re": "refund", "pyr": "refund", "du": "dispute", "po": "payout",
}  # fmt: skip
DEEPEST_EXPANSION = 4


def public(body: Json) -> Json:
    """The object as a client sees it: fields that begin with `_` are the sandbox's own."""
    return {name: value for name, value in body.items() if name[0] != "_"}


def shown(desk: Desk, body: Json) -> Json:
    """The public object, with what depends on the time or on other objects filled in."""
    view = _VIEWS.get(body.get("object", ""))
    result = public(view(desk, body) if view else body)
    if "livemode" in result:
        result["livemode"] = is_live(desk)
    return result


def is_live(desk: Desk) -> bool:
    """An account is of one mode here: that of its key."""
    return desk.account.secret_key.startswith(("sk_live_", "rk_live_"))


def _balance_transaction(desk: Desk, body: Json) -> Json:
    return body | {"status": "available" if desk.now >= body["available_on"] else "pending"}


def _dispute(desk: Desk, body: Json) -> Json:
    moved = [desk.held("balance_transaction", id) for id in body["balance_transactions"]]
    return body | {"balance_transactions": [public(_balance_transaction(desk, one)) for one in moved]}


_VIEWS: dict[str, Callable[[Desk, Json], Json]] = {"balance_transaction": _balance_transaction, "dispute": _dispute}


def expanded(desk: Desk, body: Json, paths: list[str] | None) -> Json:
    """The public object with references replaced by the objects they name."""
    result = shown(desk, body)
    for path in paths or []:
        expand(desk, result, path.split("."), path)
    return result


def expand(desk: Desk, holder: Any, steps: list[str], path: str) -> None:
    if len(steps) > DEEPEST_EXPANSION:
        raise StripeError(
            400, f"You cannot expand more than {DEEPEST_EXPANSION} levels of a property ({path}).", param="expand"
        )
    if isinstance(holder, list):
        for item in holder:
            expand(desk, item, steps, path)
        return
    if not isinstance(holder, dict):
        return
    name = steps[0]
    _include(desk, holder, name)
    if name not in holder or (name not in REFERENCES and len(steps) == 1 and not isinstance(holder[name], dict)):
        raise StripeError(
            400,
            f"This property cannot be expanded ({path}).",
            code="property_cannot_be_expanded" if name in holder else None,
            param="expand",
        )
    value = holder[name]
    if isinstance(value, str) and name in REFERENCES:
        kind = REFERENCES[name] or BY_PREFIX.get(value.partition("_")[0], "")
        found = desk.get(kind, value)
        holder[name] = shown(desk, found) if found else value
    if len(steps) > 1:
        expand(desk, holder[name], steps[1:], path)


def _refunds(desk: Desk, id: str) -> list[Json]:
    return [shown(desk, body) for body in desk.children("refund", id)][::-1]


def line_items(desk: Desk, id: str) -> list[Json]:
    """What a Checkout Session sells, as its own call and an expansion show it."""
    session = desk.held("checkout_session", id)
    return [
        {
            "id": f"li_{number}",
            "object": "item",
            "amount_discount": 0,
            "amount_subtotal": item["amount"],
            "amount_tax": 0,
            "amount_total": item["amount"],
            "currency": session["currency"],
            "description": item["name"],
            "metadata": {},
            "quantity": item.get("quantity", 1),
        }
        for number, item in enumerate(session["_items"], 1)
    ]


# Lists that an object shows only when asked: where they are found, and the address of the rest.
_INCLUDABLE: dict[tuple[str, str], tuple[Callable[[Desk, str], list[Json]], str]] = {
    ("charge", "refunds"): (_refunds, "/v1/charges/{}/refunds"),
    ("checkout.session", "line_items"): (line_items, "/v1/checkout/sessions/{}/line_items"),
}


def _include(desk: Desk, holder: Json, name: str) -> None:
    found = _INCLUDABLE.get((holder.get("object", ""), name))
    if found and name not in holder:
        data = found[0](desk, holder["id"])
        url = found[1].format(holder["id"])
        holder[name] = {"object": "list", "data": data[:10], "has_more": len(data) > 10, "url": url}
