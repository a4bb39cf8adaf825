"""Which field of our request a parameter of Stripe's was made from."""

from __future__ import annotations

import re
from collections.abc import Mapping

#: Stripe's `error.param`, without the numbers of list items -> the field as our API names it. Parameters that are
#: ours alone, such as `payment_intent` or `confirm`, have no field: nothing a merchant sent can mend them.
FIELDS: Mapping[str, str] = {
    "amount": "amount",
    "amount_to_capture": "amount",
    "line_items[price_data][unit_amount]": "amount",
    "currency": "currency",
    "line_items[price_data][currency]": "currency",
    "payment_method": "payment_method.token",
    "capture_method": "capture",
    "payment_intent_data[capture_method]": "capture",
    "return_url": "return_url",
    "success_url": "return_url",
    "cancel_url": "return_url",
    "customer_email": "customer.email",
    "description": "description",
    "payment_intent_data[description]": "description",
    "line_items[price_data][product_data][name]": "description",
    "metadata": "metadata",
    "payment_intent_data[metadata]": "metadata",
    "reason": "reason",
}

_ITEM = re.compile(r"\[\d+\]")
_LAST = re.compile(r"\[[^\[\]]*\]\Z")


def field_of(param: str | None) -> str | None:
    """`metadata[order]` is `metadata`, and so on outwards; None where no field of ours is behind it."""
    name = _ITEM.sub("", param or "")
    while name not in FIELDS:
        outer = _LAST.sub("", name)
        if outer == name:
            return None
        name = outer
    return FIELDS[name]
