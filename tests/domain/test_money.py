"""Money: whole minor units of a known currency, and nothing else."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.domain.money import CURRENCIES, MAX_AMOUNT, InvalidMoney, Money, digits

#: ISO 4217, list one: minor units other than 2, of the currencies people pay with.
NO_MINOR_UNIT = set("BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF".split())
THOUSANDTHS = set("BHD IQD JOD KWD LYD OMR TND".split())


def test_digits_of_every_currency() -> None:
    for currency in CURRENCIES:
        expected = 0 if currency in NO_MINOR_UNIT else 3 if currency in THOUSANDTHS else 2
        assert digits(currency) == expected, currency
    assert NO_MINOR_UNIT | THOUSANDTHS <= CURRENCIES


def test_codes_are_three_capitals() -> None:
    assert all(len(code) == 3 and code.isascii() and code.isalpha() and code.isupper() for code in CURRENCIES)
    assert len(CURRENCIES) > 150


@pytest.mark.parametrize(
    ("amount", "currency", "major"),
    [
        (1050, "USD", "10.50"),
        (1, "USD", "0.01"),
        (0, "USD", "0.00"),
        (1200, "JPY", "1200"),
        (1, "JPY", "1"),
        (1234, "KWD", "1.234"),
        (5, "KWD", "0.005"),
        (500000, "NGN", "5000.00"),
        (MAX_AMOUNT, "JPY", "999999999999"),
        (MAX_AMOUNT, "KWD", "999999999.999"),
    ],
)
def test_major_units_are_exact(amount: int, currency: str, major: str) -> None:
    found = Money(amount, currency).major
    assert str(found) == major, "with as many digits as the currency has"


@given(st.integers(0, MAX_AMOUNT), st.sampled_from(sorted(CURRENCIES)))
def test_minor_units_survive_the_way_through_major_ones(amount: int, currency: str) -> None:
    money = Money(amount, currency)
    assert isinstance(money.major, Decimal)
    assert Fraction(money.major) * 10 ** digits(currency) == amount


@given(st.one_of(st.integers(max_value=-1), st.integers(min_value=MAX_AMOUNT + 1)))
def test_amounts_out_of_bounds(amount: int) -> None:
    with pytest.raises(InvalidMoney, match="between 0 and 999999999999"):
        Money(amount, "USD")


def test_the_bounds_themselves() -> None:
    assert Money(0, "USD").amount == 0
    assert Money(MAX_AMOUNT, "USD").amount == MAX_AMOUNT == 10**12 - 1


@pytest.mark.parametrize(
    "amount",
    [True, False, 1.0, 10.5, float("nan"), float("inf"), Decimal(10), Fraction(10, 1), "10", b"10", None, [1], 1 + 0j],
)
def test_what_is_no_whole_number(amount: Any) -> None:
    with pytest.raises(InvalidMoney, match="whole number"):
        Money(amount, "USD")


@pytest.mark.parametrize(
    "currency", ["usd", "Usd", "", "US", "USDT", "XXX", "XTS", "XAU", "BTC", " USD", "USD ", "ŪSD"]
)
def test_what_is_no_currency(currency: str) -> None:
    with pytest.raises(InvalidMoney, match="ISO 4217"):
        Money(1, currency)
    with pytest.raises(InvalidMoney):
        digits(currency)


def test_money_is_a_value() -> None:
    assert Money(1, "USD") == Money(1, "USD") != Money(1, "EUR")
    assert len({Money(1, "USD"), Money(1, "USD"), Money(2, "USD")}) == 2
    with pytest.raises(AttributeError):
        Money(1, "USD").amount = 2  # type: ignore[misc]
