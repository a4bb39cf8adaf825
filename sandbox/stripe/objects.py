"""How a stored object is shown: private fields left out, asked-for references expanded."""

from __future__ import annotations

from typing import Any

from ..ledger import Json
from ..world import Desk
from .errors import StripeError

# Which field refers to which kind of object.
REFERENCES = {
    "latest_charge": "charge",
    "charge": "charge",
    "payment_intent": "payment_intent",
    "payment_method": "payment_method",
    "balance_transaction": "balance_transaction",
    "failure_balance_transaction": "balance_transaction",
}
DEEPEST_EXPANSION = 4


def public(body: Json) -> Json:
    """The object as a client sees it: fields that begin with `_` are the sandbox's own."""
    return {name: value for name, value in body.items() if name[0] != "_"}


def expanded(desk: Desk, body: Json, paths: list[str] | None) -> Json:
    """The public object with references replaced by the objects they name."""
    shown = public(body)
    for path in paths or []:
        _expand(desk, shown, path.split("."), path)
    return shown


def _expand(desk: Desk, holder: Any, steps: list[str], path: str) -> None:
    if len(steps) > DEEPEST_EXPANSION:
        raise StripeError(
            400, f"You cannot expand more than {DEEPEST_EXPANSION} levels of a property ({path}).", param="expand"
        )
    if isinstance(holder, list):
        for item in holder:
            _expand(desk, item, steps, path)
        return
    if not isinstance(holder, dict):
        return
    name = steps[0]
    if name not in holder or (name not in REFERENCES and len(steps) == 1):
        raise StripeError(
            400,
            f"This property cannot be expanded ({path}).",
            code="property_cannot_be_expanded" if name in holder else None,
            param="expand",
        )
    value = holder[name]
    if isinstance(value, str) and name in REFERENCES:
        found = desk.get(REFERENCES[name], value)
        holder[name] = public(found) if found else value
    if len(steps) > 1:
        _expand(desk, holder[name], steps[1:], path)
