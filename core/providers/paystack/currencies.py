"""Paystack's money: which currencies, within which limits, and always in hundredths."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.domain.money import InvalidMoney, digits
from core.providers.base import CurrencyLimit

#: Smallest amounts: Paystack's page on currencies. Largest: its error page for transactions names ten million
#: of the major unit, for every currency. Both in ISO minor units; XOF has none, so its limits are whole francs.
CURRENCIES: Mapping[str, CurrencyLimit] = {
    "NGN": CurrencyLimit(50_00, 10_000_000_00),
    "GHS": CurrencyLimit(10, 10_000_000_00),
    "ZAR": CurrencyLimit(1_00, 10_000_000_00),
    "KES": CurrencyLimit(3_00, 10_000_000_00),
    "USD": CurrencyLimit(2_00, 10_000_000_00),
    "XOF": CurrencyLimit(1, 10_000_000),
}

#: Paystack counts in hundredths whatever ISO 4217 says.
_THEIR_DIGITS = 2


def _factor(currency: str) -> int:
    difference = _THEIR_DIGITS - digits(currency)
    if difference < 0:
        raise InvalidMoney(f"{currency} has more digits than Paystack can express")
    return int(10**difference)


def to_hundredths(amount: int, currency: str) -> int:
    """ISO minor units as Paystack wants them: 500 XOF is 50000, 500 kobo is 500. Raises InvalidMoney."""
    return amount * _factor(currency)


def from_hundredths(value: Any, currency: str) -> int:
    """Paystack's number in ISO minor units, exact. Raises InvalidMoney for what is no number of them."""
    number = whole_number(value)
    if number is None:
        raise InvalidMoney("the amount is not a whole number")
    amount, rest = divmod(number, _factor(currency))
    if rest:
        raise InvalidMoney(f"the amount has a fraction that {currency} does not know")
    return amount


def fee_from_hundredths(value: Any, currency: str) -> int | None:
    """A fee in ISO minor units, None where Paystack names none.

    A percentage of an XOF amount does have fractions: they are rounded up, so that a cost is never shown lower.
    """
    number = whole_number(value)
    return None if number is None else -(-number // _factor(currency))


def floor_from_hundredths(value: Any, currency: str) -> int | None:
    """A sum after fees in ISO minor units, rounded down; None for what is no number."""
    number = whole_number(value)
    return None if number is None else number // _factor(currency)


def whole_number(value: Any) -> int | None:
    """Paystack writes the same number as 5000 in one place and as "5000" in another."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value if value >= 0 else None
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 20:
        return int(value)
    return None
