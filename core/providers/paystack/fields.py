"""Which field of our request a refusal of Paystack's is about: it names no parameter, but says it in its words."""

from __future__ import annotations

from collections.abc import Mapping

#: `code` of an error body -> the field as our API names it.
FIELDS_BY_CODE: Mapping[str, str] = {
    "invalid_amount": "amount",
    "refund_amount_exceeded": "amount",
    "unsupported_currency": "currency",
    "invalid_email_address": "customer.email",
    "invalid_callback_url": "return_url",
}

#: How `message` begins, lower case and without quotation marks, where the code is a general one or missing.
FIELDS_BY_MESSAGE: Mapping[str, str] = {
    "invalid amount": "amount",
    "amount is required": "amount",
    "refund amount": "amount",
    "capture amount": "amount",
    "currency not supported": "currency",
    "currency is required": "currency",
    "invalid email": "customer.email",
    "email is required": "customer.email",
    # Three causes in one sentence of theirs: another address, an inactive card, a card of somebody else.
    "email does not match authorization": "payment_method.id",
    "authorization code": "payment_method.id",
    "authorization_code": "payment_method.id",
    "authorization is inactive": "payment_method.id",
    "callback_url": "return_url",
    "invalid callback_url": "return_url",
    "first_name": "customer.name",
    "last_name": "customer.name",
    "phone": "customer.phone",
    "metadata": "metadata",
    "customer_name": "evidence.customer_name",
    "customer_email": "evidence.customer_email",
    "customer_phone": "evidence.customer_phone",
    "service_details": "evidence.service_details",
    "delivery_address": "evidence.delivery_address",
    "delivery_date": "evidence.delivery_date",
    "message is required": "evidence.message",
}


def field_of(code: str, message: str) -> str | None:
    """None where the words name no field of ours. `message` in lower case."""
    bare = message.replace('"', "")
    by_message = (field for words, field in FIELDS_BY_MESSAGE.items() if bare.startswith(words))
    return FIELDS_BY_CODE.get(code) or next(by_message, None)
