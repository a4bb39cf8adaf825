"""Amounts, references, addresses, notes and times on their way to Paystack and back."""

from __future__ import annotations

from typing import Any

import pytest

from core.domain.money import InvalidMoney
from core.providers.paystack.currencies import CURRENCIES, fee_from_hundredths, from_hundredths, to_hundredths
from core.providers.paystack.payments import callback_url, reference_for
from core.providers.paystack.reading import read_metadata, read_time
from core.providers.paystack.refunds import mark_in
from tests.providers.paystack_driver import (
    PROVIDER_KEY,
    REFERENCE,
    REFUND,
)


@pytest.mark.parametrize(
    ("amount", "currency", "theirs"),
    [(500000, "NGN", 500000), (1, "GHS", 1), (500, "XOF", 50000), (1, "XOF", 100)],
)
def test_their_amounts_are_hundredths_in_every_currency(amount: int, currency: str, theirs: int) -> None:
    assert to_hundredths(amount, currency) == theirs
    assert from_hundredths(theirs, currency) == from_hundredths(str(theirs), currency) == amount


def test_a_fraction_of_a_franc_is_refused_as_an_amount_and_rounded_up_as_a_fee() -> None:
    with pytest.raises(InvalidMoney):
        from_hundredths(150, "XOF")
    assert fee_from_hundredths(150, "XOF") == 2
    assert fee_from_hundredths(150, "NGN") == 150
    assert fee_from_hundredths(None, "XOF") is None


@pytest.mark.parametrize("value", [None, "", "x", "1.5", 1.5, True, -1, "-1", "²", "9" * 21, [], {}])
def test_what_is_no_amount_is_refused(value: Any) -> None:
    with pytest.raises(InvalidMoney):
        from_hundredths(value, "NGN")


def test_a_currency_finer_than_hundredths_cannot_be_sent() -> None:
    with pytest.raises(InvalidMoney):
        to_hundredths(1, "KWD")


def test_the_published_minimums() -> None:
    minimums = {currency: limit.minimum for currency, limit in CURRENCIES.items()}
    assert minimums == {"NGN": 5000, "GHS": 10, "ZAR": 100, "KES": 300, "USD": 200, "XOF": 1}
    assert CURRENCIES["XOF"].maximum * 100 == CURRENCIES["NGN"].maximum


def test_the_reference_is_written_in_paystacks_alphabet() -> None:
    assert reference_for(PROVIDER_KEY) == REFERENCE
    for key in (PROVIDER_KEY, "a/b c", "é", "x" * 300, "a=b", "a.b-c"):
        reference = reference_for(key)
        assert reference == reference_for(key)
        assert len(reference) <= 100
        assert all(letter.isascii() and (letter.isalnum() or letter in "-.=") for letter in reference)


def test_no_two_keys_share_a_reference() -> None:
    keys = ["a_b", "a.b", "a:b", "a-b", "a=5Fb", "a=b", "a_b:", "A_b", "a/b", "x" * 101, "x" * 102]
    assert len({reference_for(key) for key in keys}) == len(keys)


@pytest.mark.parametrize(
    ("return_url", "expected"),
    [
        ("https://shop.example/thanks", "https://shop.example/thanks?tollgate_payment=pay_1"),
        ("https://shop.example/?a=%20b&c", "https://shop.example/?a=%20b&c&tollgate_payment=pay_1"),
        ("https://shop.example/#done", "https://shop.example/?tollgate_payment=pay_1#done"),
    ],
)
def test_the_page_returns_with_our_payment_id(return_url: str, expected: str) -> None:
    assert callback_url(return_url, "pay_1") == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [({"a": 1}, {"a": 1}), ('{"a": 1}', {"a": 1}), ("", {}), (0, {}), (None, {}), ("x", {}), ("[1]", {})],
)
def test_metadata_is_read_in_every_form_it_arrives_in(value: Any, expected: dict[str, Any]) -> None:
    assert read_metadata(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-03-02T10:14:02.000Z", "2026-03-02T10:14:02+00:00"),
        ("2026-03-02T11:14:02+01:00", "2026-03-02T10:14:02+00:00"),
        ("2026-03-02T10:14:02", "2026-03-02T10:14:02+00:00"),
    ],
)
def test_times_are_utc(value: str, expected: str) -> None:
    found = read_time(value)
    assert found is not None
    assert found.isoformat() == expected


@pytest.mark.parametrize("value", [None, "", "yesterday", 5, {}])
def test_what_is_no_time_is_none(value: Any) -> None:
    assert read_time(value) is None


def test_our_mark_is_found_whatever_stands_around_it() -> None:
    assert mark_in({"merchant_note": f"Tollgate {REFUND} by owner@shop.example"}) == REFUND
    assert mark_in({"merchant_note": "Refund for transaction x"}) is None
    assert mark_in({"merchant_note": None}) is None
