"""Stripe's currencies: the limits, and how its units differ from ISO 4217's minor units.

Source: docs.stripe.com/currencies (presentment, zero-decimal, special cases, minimum and maximum amounts).
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from core.providers.base import CurrencyLimit

#: Stripe units for one ISO minor unit, where they are not the same thing.
#: ISK and UGX have no minor unit, yet Stripe wants two digits that are always 00;
#: the ariary has a minor unit in ISO 4217, but Stripe counts whole ones.
_UNITS: Mapping[str, Fraction] = {
    "ISK": Fraction(100),
    "UGX": Fraction(100),
    "MGA": Fraction(1, 100),
}

#: Three-decimal currencies: the last digit must be 0 for Stripe's partners.
_LAST_DIGIT_ZERO = frozenset({"BHD", "JOD", "KWD", "OMR", "TND"})

#: Smallest charge in Stripe units; half a dollar's worth has no number for the others, 50 is our floor.
_SMALLEST: Mapping[str, int] = {
    "USD": 50, "AED": 200, "AUD": 50, "BGN": 100, "BRL": 50, "CAD": 50, "CHF": 50, "CZK": 1500, "DKK": 250,
    "EUR": 50, "GBP": 30, "HKD": 400, "HUF": 17500, "INR": 50, "JPY": 50, "MXN": 1000, "MYR": 200, "NOK": 300,
    "NZD": 50, "PLN": 200, "RON": 200, "SEK": 300, "SGD": 50, "THB": 1000,
}  # fmt: skip
_SMALLEST_ELSEWHERE = 50

#: Eight digits, the same for every currency.
_LARGEST = 99_999_999

_PRESENTMENT = (
    "USD AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BWP BYN BZD CAD CDF "
    "CHF CLP CNY COP CRC CVE CZK DJF DKK DOP DZD EGP ETB EUR FJD FKP GBP GEL GIP GMD GNF GTQ GYD HKD HNL HTG HUF "
    "IDR ILS INR ISK JMD JOD JPY KES KGS KHR KMF KRW KWD KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP "
    "MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD "
    "SCR SEK SGD SHP SLE SOS SRD SZL THB TJS TND TOP TRY TTD TWD TZS UAH UGX UYU UZS VND VUV WST XAF XCD XOF XPF "
    "YER ZAR ZMW"
)


class Inexact(ValueError):
    """The amount cannot be said in the other unit."""


def _step(currency: str) -> int:
    """The smallest difference between two amounts that Stripe can tell, in ISO minor units."""
    return 10 if currency in _LAST_DIGIT_ZERO else _UNITS.get(currency, Fraction(1)).denominator


def to_stripe(amount: int, currency: str) -> int:
    """ISO minor units -> Stripe's. Raises Inexact where Stripe could not take exactly this amount."""
    step = _step(currency)
    if amount % step:
        raise Inexact(f"Stripe takes {currency} in steps of {step} minor units")
    return int(amount * _UNITS.get(currency, Fraction(1)))


def from_stripe(units: int, currency: str) -> int:
    """Stripe's units -> ISO minor units; `currency` in upper case. Raises Inexact."""
    amount = units / _UNITS.get(currency, Fraction(1))
    if amount.denominator != 1:
        raise Inexact(f"{units} of Stripe's units are no whole minor units of {currency}")
    return int(amount)


def _limit(currency: str) -> CurrencyLimit:
    """The limits in ISO minor units, rounded inwards to amounts that Stripe can take."""
    factor, step = _UNITS.get(currency, Fraction(1)), _step(currency)
    smallest = Fraction(_SMALLEST.get(currency, _SMALLEST_ELSEWHERE)) / factor
    largest = Fraction(_LARGEST) / factor
    return CurrencyLimit(minimum=-(-smallest // step) * step, maximum=int(largest // step) * step, step=step)


CURRENCIES: Mapping[str, CurrencyLimit] = {currency: _limit(currency) for currency in _PRESENTMENT.split()}
