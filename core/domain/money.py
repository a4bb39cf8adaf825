"""Money is an integer in the currency's minor unit with an ISO 4217 code."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

#: No provider takes more than twelve digits; the bound keeps every sum far inside a bigint.
MAX_AMOUNT = 999_999_999_999

#: Digits after the point where ISO 4217 says other than two. A provider's own exceptions (Stripe's ISK,
#: Paystack's XOF) live in that provider's package.
_DIGITS = {
    "BHD": 3, "BIF": 0, "CLP": 0, "DJF": 0, "GNF": 0, "IQD": 3, "ISK": 0, "JOD": 3, "JPY": 0, "KMF": 0,
    "KRW": 0, "KWD": 3, "LYD": 3, "OMR": 3, "PYG": 0, "RWF": 0, "TND": 3, "UGX": 0, "UYI": 0, "VND": 0,
    "VUV": 0, "XAF": 0, "XOF": 0, "XPF": 0,
}  # fmt: skip

#: Active ISO 4217 codes of money people pay with (funds, metals and test codes are left out).
CURRENCIES = frozenset(
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF "
    "CHF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD "
    "HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD "
    "MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN "
    "PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY "
    "TTD TWD TZS UAH UGX USD UYU UZS VED VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG".split()
)


class InvalidMoney(ValueError):
    """The amount or the currency cannot be money."""


def digits(currency: str) -> int:
    """Digits after the point of an ISO 4217 currency: 0 for JPY, 2 for USD, 3 for KWD."""
    if currency not in CURRENCIES:
        raise InvalidMoney(f"{currency!r} is not a currency code of ISO 4217")
    return _DIGITS.get(currency, 2)


@dataclass(frozen=True, slots=True)
class Money:
    """`amount` in minor units of `currency` (upper case); 0 is allowed for sums, asking prices start at 1."""

    amount: int
    currency: str

    def __post_init__(self) -> None:
        if isinstance(self.amount, bool) or not isinstance(self.amount, int):
            raise InvalidMoney("the amount must be a whole number of minor units")
        if not 0 <= self.amount <= MAX_AMOUNT:
            raise InvalidMoney(f"the amount must lie between 0 and {MAX_AMOUNT}")
        digits(self.currency)

    @property
    def major(self) -> Decimal:
        """The amount in major units, exact: Money(1050, "USD").major == Decimal("10.50")."""
        return Decimal(self.amount).scaleb(-digits(self.currency))
