"""The form of API keys: `tg_<kind>_<id>_<secret><checksum>`, made here and told apart from other texts."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, cast
from uuid import UUID

Kind = Literal["test", "live", "admin"]
KINDS: tuple[Kind, ...] = ("test", "live", "admin")

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_VALUES = {letter: value for value, letter in enumerate(_ALPHABET)}
_ID_LENGTH = 16  # 95 bits: an id never meets another
_SECRET_BYTES = 32
_SECRET_LENGTH = 43  # 32 bytes in base 62
_CHECK_LENGTH = 6  # a CRC-32 in base 62; lets secret scanners and us drop a mistyped key without a query
#: A whole key, or its prefix where somebody has cut the secret off.
_SEEN = re.compile(
    rf"(?<![0-9A-Za-z])tg_(?P<kind>{'|'.join(KINDS)})_(?P<id>[0-9A-Za-z]{{{_ID_LENGTH}}})(?![0-9A-Za-z])"
    rf"(?:_(?P<secret>[0-9A-Za-z]*))?"
)


@dataclass(frozen=True, slots=True)
class NewKey:
    """`text` is the key itself: hand it over once, keep it nowhere."""

    id: str
    text: str = field(repr=False)
    secret_hash: bytes = field(repr=False)
    prefix: str


@dataclass(frozen=True, slots=True)
class Seen:
    """What looks like a key in somebody's text. `whole`: the checksum holds; None where only the prefix stood."""

    kind: Kind
    id: str
    whole: bool | None
    text: str = field(repr=False)


def hash_of(text: str) -> bytes:
    """What is stored of a key. Its secret has 256 random bits, so nothing slower is needed."""
    return hashlib.sha256(text.encode()).digest()


def make_key(kind: Kind) -> NewKey:
    """A fresh key; nothing is stored."""
    key_id = _base62(int.from_bytes(os.urandom(12), "big") % 62**_ID_LENGTH, _ID_LENGTH)
    secret = _base62(int.from_bytes(os.urandom(_SECRET_BYTES), "big"), _SECRET_LENGTH)
    prefix = f"tg_{kind}_{key_id}"
    body = f"{prefix}_{secret}"
    text = body + checksum(body)
    return NewKey(key_id, text, hash_of(text), prefix)


def read_key(text: str) -> tuple[Kind, str] | None:
    """(kind, id) of a text with the form and checksum of a key; None for anything else."""
    parts = text.split("_")
    if len(parts) != 4 or parts[0] != "tg" or not text.isascii():
        return None
    kind, key_id, secret = parts[1:]
    if len(key_id) != _ID_LENGTH or len(secret) != _SECRET_LENGTH + _CHECK_LENGTH or kind not in KINDS:
        return None
    if not hmac.compare_digest(checksum(text[:-_CHECK_LENGTH]), secret[-_CHECK_LENGTH:]):
        return None
    return kind, key_id


def seen_in(text: str) -> Iterator[Seen]:
    """Every key of a text, each once: of a log, a repository, a message."""
    met = set()
    for found in _SEEN.finditer(text):
        text = found[0].rstrip("_")
        if text not in met:
            met.add(text)
            whole = read_key(text) is not None if found["secret"] else None
            yield Seen(cast("Kind", found["kind"]), found["id"], whole, text)


def number_of(key_id: str) -> UUID:
    """The id as the audit log's subjects are; 16 letters of base 62 fit into it. Raises ValueError."""
    number = 0
    for letter in key_id:
        if letter not in _VALUES:
            raise ValueError("not the id of an API key")
        number = number * 62 + _VALUES[letter]
    if len(key_id) > _ID_LENGTH:
        raise ValueError("not the id of an API key")
    return UUID(int=number)


def _base62(value: int, length: int) -> str:
    letters = [""] * length
    for position in range(length - 1, -1, -1):
        value, digit = divmod(value, 62)
        letters[position] = _ALPHABET[digit]
    return "".join(letters)


def checksum(text: str) -> str:
    """What a whole key ends with, of all before it."""
    return _base62(zlib.crc32(text.encode()), _CHECK_LENGTH)
