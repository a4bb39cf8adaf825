"""The small things that Paystack writes now in one way, now in another: metadata, times, ids."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from core.providers.paystack.currencies import whole_number

#: Our marks on every object made at Paystack.
TRANSACTION_MARK = "tollgate_transaction"
PAYMENT_MARK = "tollgate_payment"
CUSTOMER_MARK = "tollgate_customer"


def read_metadata(value: Any) -> Mapping[str, Any]:
    """Metadata arrives as an object, as JSON text, as "", 0 or null."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return {}
    return value if isinstance(value, Mapping) else {}


def mark_of(data: Mapping[str, Any], name: str = TRANSACTION_MARK) -> str | None:
    """One of our marks in the metadata of a transaction or a hold."""
    mark = read_metadata(data.get("metadata")).get(name)
    return mark if isinstance(mark, str) and mark else None


def read_time(*values: Any) -> datetime | None:
    """The first of `values` that is a time of Paystack's, in UTC; it writes ISO 8601 with "Z"."""
    for value in values:
        try:
            when = datetime.fromisoformat(value) if isinstance(value, str) else None
        except ValueError:
            continue
        if when is not None:
            return when.astimezone(UTC) if when.tzinfo is not None else when.replace(tzinfo=UTC)
    return None


def read_id(value: Any) -> str | None:
    """A number of Paystack's, unsigned and of 64 bits, as text; it comes as a number or as digits."""
    number = whole_number(value)
    return None if number is None else str(number)


def word(value: Any) -> str | None:
    """Text without the blanks Paystack leaves at its ends; None for nothing and for what is no text."""
    text = value.strip() if isinstance(value, str) else ""
    return text or None


def inner(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """An object inside another, empty where there is none: Paystack writes null, {} and "" for that."""
    value = data.get(name)
    return value if isinstance(value, Mapping) else {}
