"""Paystack's currencies, smallest amounts, and a published fee for each."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Currency:
    """Amounts in hundredths, also for XOF. The fee is `permille` of the amount and `fixed`, at most `cap`."""

    smallest: int
    permille: int
    fixed: int = 0
    fixed_from: int = 0
    cap: int | None = None


# paystack.com/docs/api/#supported-currency for the minimums; paystack.com/pricing for the local card fees.
CURRENCIES = {
    "NGN": Currency(5000, 15, fixed=10_000, fixed_from=250_000, cap=200_000),
    "GHS": Currency(10, 20),
    "ZAR": Currency(100, 29, fixed=100),
    "KES": Currency(300, 29),
    "USD": Currency(200, 39, fixed=100),
    "XOF": Currency(100, 32),
}


def fee(amount: int, currency: str) -> int:
    """What Paystack keeps of a successful charge, in hundredths, rounded half up."""
    rule = CURRENCIES[currency]
    total = (amount * rule.permille + 500) // 1000
    if amount >= rule.fixed_from:
        total += rule.fixed
    return total if rule.cap is None else min(total, rule.cap)


def payable(amount: int, currency: str) -> int:
    """What of an amount can be charged: XOF is counted in hundredths but has none, so a fraction is ignored."""
    return amount - amount % 100 if currency == "XOF" else amount


def shown(amount: int, currency: str) -> str:
    return f"{currency} {amount / 100:,.2f}"
