"""Currencies, the smallest and largest amounts, and the sandbox's fee."""

from __future__ import annotations

from .errors import StripeError

# docs.stripe.com/currencies: amounts in these are not multiplied by 100.
ZERO_DECIMAL = frozenset("bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf".split())
THREE_DECIMAL = frozenset("bhd jod kwd omr tnd".split())
CURRENCIES = (
    ZERO_DECIMAL
    | THREE_DECIMAL
    | frozenset(
        "usd aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bmd bnd bob brl bsd bwp byn bzd cad cdf"
        " chf cny cop crc cve czk dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gtq gyd hkd hnl htg huf idr"
        " ils inr isk jmd kes kgs khr kyd kzt lak lbp lkr lrd lsl mad mdl mkd mmk mnt mop mur mvr mwk mxn myr"
        " mzn nad ngn nio nok npr nzd pab pen pgk php pkr pln qar ron rsd rub sar sbd scr sek sgd shp sle sos"
        " srd std szl thb tjs top try ttd twd tzs uah ugx uyu uzs wst xcd yer zar zmw".split()
    )
)
_LISTED = ", ".join(sorted(CURRENCIES))
# docs.stripe.com/currencies#minimum-and-maximum-charge-amounts; half a dollar's worth elsewhere is not modelled.
SMALLEST = {
    "usd": 50, "aed": 200, "aud": 50, "bgn": 100, "brl": 50, "cad": 50, "chf": 50, "czk": 1500, "dkk": 250, "eur": 50,
    "gbp": 30, "hkd": 400, "huf": 17500, "inr": 50, "jpy": 50, "mxn": 1000, "myr": 200, "nok": 300, "nzd": 50,
    "pln": 200, "ron": 200, "sek": 300, "sgd": 50, "thb": 1000,
}  # fmt: skip
LARGEST = 99_999_999
_SIGNS = {"usd": "$", "eur": "€", "gbp": "£", "jpy": "¥", "cad": "CA$", "aud": "A$", "ngn": "₦"}


def shown(amount: int, currency: str) -> str:
    """An amount as Stripe's error texts write it: $5.00."""
    digits = 0 if currency in ZERO_DECIMAL else 3 if currency in THREE_DECIMAL else 2
    sign = _SIGNS.get(currency, "")
    number = f"{amount / 10**digits:,.{digits}f}"
    return f"{sign}{number}" if sign else f"{number} {currency.upper()}"


def check_currency(value: str) -> str:
    currency = value.lower()
    if currency not in CURRENCIES:
        raise StripeError(
            400,
            f"Invalid currency: {currency}. Stripe currently supports these currencies: {_LISTED}",
            param="currency",
        )
    return currency


def check_amount(amount: int, currency: str, param: str = "amount") -> None:
    if amount > LARGEST:
        raise StripeError(
            400, f"Amount must be no more than {shown(LARGEST, currency)}", code="amount_too_large", param=param
        )
    smallest = SMALLEST.get(currency, 1)
    if amount < smallest:
        raise StripeError(
            400,
            f"Amount must be at least {shown(smallest, currency)} {currency}",
            code="amount_too_small",
            param=param,
        )


# What a dispute costs on top of the disputed money, in minor units of its currency.
DISPUTE_FEE = 1500


def fee(amount: int) -> int:
    """2.9 % and 30 minor units, rounded half up: the sandbox's one price for every card and currency."""
    return (amount * 29 + 500) // 1000 + 30
