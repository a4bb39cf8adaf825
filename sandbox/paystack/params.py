"""Reads JSON parameters as Paystack does: amounts as numbers or digits in a string, notes as text."""

from __future__ import annotations

import json
import re
from typing import Any

from ..ledger import Json
from .errors import PaystackError, invalid
from .money import CURRENCIES, shown

AMOUNT_HELP = (
    "Ensure that you're passing your amount correctly. It should be a number greater than zero, with no decimal places"
)


def amount(value: Any) -> int:
    if isinstance(value, str) and re.fullmatch(r"\d{1,18}", value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
        raise invalid("Invalid Amount Sent", AMOUNT_HELP, "invalid_amount")
    return value


def currency(value: Any, allowed: list[str]) -> str:
    name = str(value).upper()
    if name not in allowed:
        raise invalid(
            "Currency not supported by merchant",
            "Enable the currency on your dashboard or pass one that your integration supports",
            "unsupported_currency",
        )
    return name


def at_least_minimum(value: int, name: str) -> None:
    smallest = CURRENCIES[name].smallest
    if value < smallest:
        raise invalid(f"Invalid Amount Sent. Minimum is {shown(smallest, name)}", AMOUNT_HELP, "invalid_amount")


def email(value: Any) -> str:
    if value in (None, ""):
        raise missing("email")
    if not isinstance(value, str) or not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", value):
        raise invalid(
            "Invalid Email Address Passed", "Ensure that you pass a valid email address", "invalid_email_address"
        )
    return value


def reference(value: Any) -> str | None:
    """Letters, digits and `-`, `.`, `=`; None asks Paystack to choose one."""
    if value in (None, ""):
        return None
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9.=_-]{1,100}", value):
        raise invalid(
            "Invalid transaction reference",
            "Only -, ., = and alphanumeric characters are allowed in a reference",
            "invalid_reference",
        )
    return value


def callback_url(given: Json) -> str | None:
    value = given.get("callback_url")
    if not value:
        return None
    if not isinstance(value, str) or not value.startswith(("http://", "https://")):
        raise invalid("Invalid callback_url passed", "Pass a fully qualified address", "invalid_callback_url")
    return value


def text(params: Json, name: str) -> str | None:
    value = params.get(name)
    return value if isinstance(value, str) and value else None


def metadata(value: Any) -> Any:
    """An object, or the text of one; what is given comes back with the transaction."""
    if isinstance(value, str) and value.strip()[:1] in "{[" and value.strip():
        try:
            return json.loads(value)
        except ValueError:
            return value
    return "" if value is None else value


def missing(name: str) -> PaystackError:
    return PaystackError(400, f"{name} is required", "missing_params", f"Provide a value for {name}")


def whole(value: str | None, default: int, name: str) -> int:
    if value is None:
        return default
    if not re.fullmatch(r"\d{1,9}", value) or int(value) < 1:
        raise invalid(f"{name} must be a positive number")
    return int(value)
