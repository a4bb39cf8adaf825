"""Time-ordered ids: UUIDv7 inside, a prefixed base-32 word at the edge."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from uuid import UUID

#: Crockford's alphabet: no i, l, o, u, so that an id read over the phone survives.
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
#: Two letters at a time: an id is written a dozen times in a payment.
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]
_SHIFTS = range(120, -10, -10)
_VALUES = {letter: value for value, letter in enumerate(_ALPHABET)}
#: 26 letters of 5 bits hold 130 bits; the first letter therefore stays at or below 7.
_LENGTH = 26

PREFIXES = {
    "payment": "pay",
    "transaction": "txn",
    "refund": "ref",
    "customer": "cus",
    "payment_method": "pm",
    "job": "job",
    "event": "evt",
    "dispute": "dsp",
    "delivery": "dlv",
    "webhook_endpoint": "we",
    "provider_account": "acc",
    "merchant": "mer",
    "inbox_event": "inb",
    "finding": "fnd",
    "audit_record": "aud",
    "request": "req",
    "route": "rte",
    "reconciliation_run": "run",
    "administrator": "adm",
    "administrator_session": "ses",
}


#: Of the year 9990: an id that anybody may have made up must not end in an error.
_LAST_MILLISECOND = 253_086_681_600_000


class InvalidIdentifier(ValueError):
    """The text is not an id of the expected kind."""


def new_id() -> UUID:
    """A UUIDv7 (RFC 9562 section 5.7): 48 bits of milliseconds, then randomness.

    Made in Python because Postgres 15 has no uuidv7().
    """
    milliseconds = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10), "big")
    value = (milliseconds & 0xFFFF_FFFF_FFFF) << 80
    value |= 0x7 << 76
    value |= ((random >> 62) & 0xFFF) << 64
    value |= 0b10 << 62
    value |= random & 0x3FFF_FFFF_FFFF_FFFF
    return UUID(int=value)


def time_of(value: UUID) -> datetime:
    """When a UUIDv7 was made by the maker's clock, in UTC; for another kind of UUID some time or other."""
    return datetime.fromtimestamp(min(value.int >> 80, _LAST_MILLISECOND) / 1000, UTC)


def public_id(kind: str, value: UUID) -> str:
    """The id as callers see it, e.g. `pay_01k…`."""
    number = value.int
    return f"{PREFIXES[kind]}_{''.join([_PAIRS[number >> shift & 1023] for shift in _SHIFTS])}"


def parse_id(kind: str, text: str) -> UUID:
    """Read a public id back. Raises InvalidIdentifier for anything else than an id of that kind."""
    prefix, _, word = text.partition("_")
    if prefix != PREFIXES[kind] or len(word) != _LENGTH:
        raise InvalidIdentifier(f"not a {kind} id")
    number = 0
    for letter in word:
        digit = _VALUES.get(letter)
        if digit is None:
            raise InvalidIdentifier(f"not a {kind} id")
        number = (number << 5) | digit
    if number >> 128:
        raise InvalidIdentifier(f"not a {kind} id")
    return UUID(int=number)
