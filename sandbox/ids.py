"""Identifiers in the shapes the providers use."""

from __future__ import annotations

import hashlib
import secrets
import string

_BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
_LOWER = string.digits + string.ascii_lowercase


def _spelled(data: bytes, alphabet: str, length: int) -> str:
    number = int.from_bytes(data, "big")
    letters = []
    for _ in range(length):
        number, index = divmod(number, len(alphabet))
        letters.append(alphabet[index])
    return "".join(letters)


def fresh(prefix: str, length: int = 23) -> str:
    """A prefix and random letters and digits, as Stripe's ids look."""
    return f"{prefix}{_spelled(secrets.token_bytes(length), _BASE62, length)}"


def fresh_lower(length: int) -> str:
    return _spelled(secrets.token_bytes(length), _LOWER, length)


def derived(key: str, length: int) -> str:
    """The same letters for the same key, so that an account keeps its id over restarts."""
    return _spelled(hashlib.sha512(key.encode()).digest(), _BASE62, length)


def derived_number(key: str) -> int:
    """Six digits for a key, as Paystack numbers its integrations."""
    return 100_000 + int.from_bytes(hashlib.sha256(key.encode()).digest()[:6], "big") % 900_000
