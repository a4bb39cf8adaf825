"""Finding card numbers, so that they are refused before anything is stored, logged or echoed.

A text is refused when it holds 13 to 19 digits with an issuer's prefix, an issuer's length and a valid Luhn digit,
whatever stands around them and whatever is no letter between them. Digits of every script count, invisible characters
do not. Numbers that pass all three tests by chance are refused, too (a few in a hundred of that length). What
passes: a `+` and up to 15 digits, which is a phone number, and UUIDs.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from urllib.parse import unquote

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

_SHORTEST = 13
_CARD_GROUP = 4
_PHONE = 15  # ITU-T E.164: country code and number together
_GROUP = re.compile(r"[0-9]+")
#: What people and programs put between groups: anything but letters. Longer gaps part numbers.
_GAP = re.compile(r"[\W_]{1,4}")
#: Letters that show nothing, and the blank of Braille.
_BLANKS = frozenset("\u115f\u1160\u2800\u3164\uffa0")
#: An address may be escaped again when it is handed on.
_UNQUOTED = 3
#: RFC 9562; one in thousands would hold a card number by chance. Without its dashes it must hold a letter.
_UUID = re.compile(
    r"(?<![0-9a-z])(?=[0-9]*[a-f]|.{8}-)[0-9a-f]{8}(-?)[0-9a-f]{4}\1[1-8][0-9a-f]{3}\1[89ab][0-9a-f]{3}\1[0-9a-f]{12}(?![0-9a-z])",
    re.IGNORECASE,
)
_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


class _Fold(dict[int, str]):
    """For `str.translate`: digits of every script to ASCII, dashes to one dash, invisible characters to nothing."""

    def __missing__(self, point: int) -> str:
        letter = chr(point)
        digit = unicodedata.digit(letter, None)
        if digit is not None:
            return str(digit)
        kind = unicodedata.category(letter)
        if kind in ("Cf", "Mn", "Me") or letter in _BLANKS:
            return ""
        return "-" if kind == "Pd" or letter == "\u2212" else unicodedata.normalize("NFKC", letter)


#: Kept small on purpose: other characters are looked up each time, so that no text can make it grow.
_FOLD = _Fold({point: chr(point) for point in range(128)})


@dataclass(slots=True)
class _Run:
    """Groups that only gaps part: their digits in a row, and where in them groups end and which gaps go before."""

    digits: str = ""
    #: Place of a group's first digit -> the gap before it.
    gaps: dict[int, str] = field(default_factory=dict)
    #: Places behind a group's last digit.
    ends: set[int] = field(default_factory=set)
    #: Places where a plus stands before the group.
    pluses: list[int] = field(default_factory=list)


def _luhn(digits: str) -> bool:
    plain = sum(map(int, digits[::-2]))
    return (plain + sum(_DOUBLED[int(digit)] for digit in digits[-2::-2])) % 10 == 0


def _lengths(digits: str) -> frozenset[int]:
    """Lengths of the cards that begin like this; empty for most."""
    return frozenset().union(*(sizes for first, last, sizes in _ISSUERS if first <= digits[: len(first)] <= last))


#: Four digits decide.
_LENGTHS: Sequence[frozenset[int]] = [_lengths(f"{prefix:04}") for prefix in range(10_000)]


def holds_card_number(text: str) -> bool:
    if len(text) < _SHORTEST:
        return False
    plain = text if text.isascii() else text.translate(_FOLD)
    forms = {plain}
    for _ in range(_UNQUOTED):
        if "%" not in plain:
            break
        # What was escaped may be more than ASCII.
        plain = unquote(plain).translate(_FOLD)
        forms.add(plain)
    return any(_has_card(run) for form in forms for run in _runs(_UUID.sub("x", form)))


def _runs(text: str) -> Iterator[_Run]:
    """Those that are long enough."""
    parts: list[str] = []
    run, size, end = _Run(), 0, 0
    for match in _GROUP.finditer(text):
        between, end = text[end : match.start()], match.end()
        if parts and not _GAP.fullmatch(between):
            run.digits = "".join(parts)
            yield run
            run, parts, size = _Run(), [], 0
        if between.endswith(("+", "+(")):
            run.pluses.append(size)
        run.gaps[size] = between.strip()
        parts.append(match.group())
        size += len(match.group())
        run.ends.add(size)
    run.digits = "".join(parts)
    yield run


def _has_card(run: _Run) -> bool:
    if len(run.digits) < _SHORTEST:
        return False
    for start in run.gaps:
        for length in _LENGTHS[int(run.digits[start : start + 4])]:
            end = start + length
            if end in run.ends and _luhn(run.digits[start:end]) and _looks_like_card(run, start, end):
                return True
    return False


def _looks_like_card(run: _Run, start: int, end: int) -> bool:
    """Dates and times mix their separators and have groups of two; a phone number follows a plus."""
    inside = [place for place in range(start + 1, end) if place in run.gaps]
    sizes = [after - before for before, after in pairwise([start, *inside])]
    if len({run.gaps[place] for place in inside}) > 1 and min(sizes) < _CARD_GROUP:
        return False
    before = bisect_left(run.pluses, end)
    return not before or not end - _PHONE <= run.pluses[before - 1] <= start
