"""Finding card numbers, so that they are refused before anything is stored, logged or echoed.

A text is refused when, apart from spaces and dashes, it is 13 to 19 digits with an issuer's prefix, an issuer's
length and a valid Luhn digit, or when such a run of digits stands alone inside it. References made of digits only
that pass all three tests are refused, too (about one number in a hundred of that length): put a letter in them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

#: (first prefix, last prefix, lengths): ISO/IEC 7812 ranges as the networks publish them.
_ISSUERS: Sequence[tuple[str, str, frozenset[int]]] = (
    ("4", "4", frozenset({13, 16, 19})),  # Visa
    ("51", "55", frozenset({16})),  # Mastercard
    ("2221", "2720", frozenset({16})),
    ("34", "34", frozenset({15})),  # American Express
    ("37", "37", frozenset({15})),
    ("300", "305", frozenset({14, 16, 19})),  # Diners Club
    ("3095", "3095", frozenset({14, 16, 19})),
    ("36", "36", frozenset({14, 16, 19})),
    ("38", "39", frozenset({14, 16, 19})),
    ("3528", "3589", frozenset({16, 17, 18, 19})),  # JCB
    ("6011", "6011", frozenset({16, 19})),  # Discover
    ("644", "659", frozenset({16, 18, 19})),  # and Verve, RuPay, Elo within it
    ("62", "62", frozenset({16, 17, 18, 19})),  # UnionPay
    ("81", "82", frozenset({16, 17, 18, 19})),
    ("60", "60", frozenset({16})),  # RuPay, Hipercard
    ("508", "508", frozenset({16})),
    ("5060", "5061", frozenset({16, 18, 19})),  # Verve
    ("5078", "5079", frozenset({16, 18, 19})),
    ("2200", "2204", frozenset({16, 17, 18, 19})),  # Mir
    ("9792", "9792", frozenset({16})),  # Troy
    ("50", "50", frozenset(range(13, 20))),  # Maestro
    ("56", "58", frozenset(range(13, 20))),
    ("6304", "6304", frozenset(range(13, 20))),
    ("6759", "6763", frozenset(range(13, 20))),
)

_DIGITS = re.compile(r"[0-9]{13,19}")
_SEPARATORS = re.compile(r"[\s\-\u2010-\u2015\u2212]+")
#: A run inside a text: digits joined by at most one space or dash, with no letter, digit or plus at its ends.
_INSIDE = re.compile(r"(?<![0-9A-Za-z+])[0-9](?:[ \-]?[0-9]){12,18}(?![0-9A-Za-z])")
_SHORTEST = 13


def _luhn(digits: str) -> bool:
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit)
        if place % 2:
            value = value * 2 - 9 if value > 4 else value * 2
        total += value
    return total % 10 == 0


def _issued(digits: str) -> bool:
    return any(first <= digits[: len(first)] <= last and len(digits) in lengths for first, last, lengths in _ISSUERS)


def is_card_number(digits: str) -> bool:
    """For a text of ASCII digits only."""
    return bool(_DIGITS.fullmatch(digits)) and _issued(digits) and _luhn(digits)


def holds_card_number(text: str) -> bool:
    if len(text) < _SHORTEST:
        return False
    plain = text if text.isascii() else unicodedata.normalize("NFKC", text)
    if is_card_number(_SEPARATORS.sub("", plain)):
        return True
    return any(is_card_number(_SEPARATORS.sub("", found.group())) for found in _INSIDE.finditer(plain))
