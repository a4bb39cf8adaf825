"""Which field of our request a refusal of Paystack's is about: it names no parameter, but says it in its words."""

from __future__ import annotations

from collections.abc import Mapping

#: `code` of an error body -> the field as our API names it.
FIELDS_BY_CODE: Mapping[str, str] = {
    "invalid_amount": "amount",
    "refund_amount_exceeded": "amount",
    "unsupported_currency": "currency",
    "invalid_email_address": "customer.email",
}

#: How `message` begins, lower case, where the code is a general one or missing.
FIELDS_BY_MESSAGE: Mapping[str, str] = {
    "invalid amount": "amount",
    "amount is required": "amount",
    "refund amount": "amount",
    "currency not supported": "currency",
    "currency is required": "currency",
    "invalid email": "customer.email",
    "email is required": "customer.email",
    "callback_url": "return_url",
}


def field_of(code: str, message: str) -> str | None:
    """None where the words name no field of ours. `message` in lower case."""
    by_message = (field for words, field in FIELDS_BY_MESSAGE.items() if message.startswith(words))
    return FIELDS_BY_CODE.get(code) or next(by_message, None)
