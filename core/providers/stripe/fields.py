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
    # A debit by token has no page that asks for the customer's mandate.
    "mandate_data": "payment_method.token",
    "off_session": "off_session",
    "setup_future_usage": "save_payment_method",
    "payment_intent_data[setup_future_usage]": "save_payment_method",
    "capture_method": "capture",
    "payment_intent_data[capture_method]": "capture",
    "return_url": "return_url",
    "success_url": "return_url",
    "cancel_url": "return_url",
    "customer": "customer",
    "customer_email": "customer.email",
    "email": "customer.email",
    "name": "customer.name",
    "phone": "customer.phone",
    "description": "description",
    "payment_intent_data[description]": "description",
    "line_items[price_data][product_data][name]": "description",
    "metadata": "metadata",
    "payment_intent_data[metadata]": "metadata",
    "reason": "reason",
    "evidence": "evidence",
    "evidence[uncategorized_text]": "evidence.message",
    "evidence[customer_name]": "evidence.customer_name",
    "evidence[customer_email_address]": "evidence.customer_email",
    "evidence[product_description]": "evidence.service_details",
    "evidence[shipping_address]": "evidence.delivery_address",
    "evidence[shipping_date]": "evidence.delivery_date",
    "evidence[shipping_carrier]": "evidence.carrier",
    "evidence[shipping_tracking_number]": "evidence.tracking_number",
}

#: The same for a payment by saved method, which brings its customer along.
OF_SAVED: Mapping[str, str] = {
    **FIELDS,
    "payment_method": "payment_method.id",
    "mandate_data": "payment_method.id",
    "customer": "payment_method.id",
}

_ITEM = re.compile(r"\[\d+\]")
_LAST = re.compile(r"\[[^\[\]]*\]\Z")


def field_of(param: str | None, fields: Mapping[str, str] = FIELDS) -> str | None:
    """`metadata[order]` is `metadata`, and so on outwards; None where no field of ours is behind it."""
    name = _ITEM.sub("", param or "")
    while name not in fields:
        outer = _LAST.sub("", name)
        if outer == name:
            return None
        name = outer
    return fields[name]
