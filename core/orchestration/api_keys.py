"""API keys: made once, shown once, stored as SHA-256, compared in constant time."""

from __future__ import annotations

import hashlib
import hmac
import os
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

import sqlalchemy as sa

from core.domain.identifiers import public_id
from core.domain.representations import timestamp
from core.orchestration.context import Core
from core.persistence.database import Scope
from core.persistence.queries import api_keys as rows

Kind = Literal["test", "live", "admin"]

#: What a merchant's key may be allowed; routes name the one they need.
MERCHANT_SCOPES = frozenset(
    {
        "payments:read",
        "payments:write",
        "refunds:read",
        "refunds:write",
        "disputes:read",
        "disputes:write",
        "customers:read",
        "customers:write",
        "events:read",
        "events:write",
        "webhook_endpoints:read",
        "webhook_endpoints:write",
    }
)
ADMIN_SCOPES = frozenset({"admin:read", "admin:write"})

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ID_LENGTH = 16  # 95 bits: an id never meets another
_SECRET_BYTES = 32
_SECRET_LENGTH = 43  # 32 bytes in base 62
_CHECK_LENGTH = 6  # a CRC-32 in base 62; lets secret scanners and us drop a mistyped key without a query
#: Compared with when the id is unknown, so that a wrong id costs what a wrong secret costs.
_NO_HASH = hashlib.sha256(os.urandom(32)).digest()


@dataclass(frozen=True, slots=True)
class NewKey:
    """`text` is the key itself: hand it over once, keep it nowhere."""

    id: str
    text: str = field(repr=False)
    secret_hash: bytes = field(repr=False)
    prefix: str


@dataclass(frozen=True, slots=True)
class KeyHolder:
    """Whom a key stands for. `scope` is None for an administrator's key."""

    key_id: str
    kind: Literal["merchant", "admin"]
    scope: Scope | None
    scopes: frozenset[str]

    @property
    def actor(self) -> str:
        return f"key:{self.key_id}"


def _base62(value: int, length: int) -> str:
    letters = [""] * length
    for position in range(length - 1, -1, -1):
        value, digit = divmod(value, 62)
        letters[position] = _ALPHABET[digit]
    return "".join(letters)


def _checksum(text: str) -> str:
    return _base62(zlib.crc32(text.encode()), _CHECK_LENGTH)


def make_key(kind: Kind) -> NewKey:
    """A fresh `tg_<kind>_<id>_<secret><checksum>`; nothing is stored."""
    key_id = _base62(int.from_bytes(os.urandom(12), "big") % 62**_ID_LENGTH, _ID_LENGTH)
    secret = _base62(int.from_bytes(os.urandom(_SECRET_BYTES), "big"), _SECRET_LENGTH)
    prefix = f"tg_{kind}_{key_id}"
    body = f"{prefix}_{secret}"
    text = body + _checksum(body)
    return NewKey(key_id, text, hashlib.sha256(text.encode()).digest(), prefix)


def read_key(text: str) -> tuple[Kind, str] | None:
    """(kind, id) of a text with the form and checksum of a key; None for anything else."""
    parts = text.split("_")
    if len(parts) != 4 or parts[0] != "tg" or not text.isascii():
        return None
    kind, key_id, secret = parts[1:]
    if len(key_id) != _ID_LENGTH or len(secret) != _SECRET_LENGTH + _CHECK_LENGTH:
        return None
    if not hmac.compare_digest(_checksum(text[:-_CHECK_LENGTH]), secret[-_CHECK_LENGTH:]):
        return None
    match kind:
        case "test" | "live" | "admin":
            return kind, key_id
        case _:
            return None


def authenticate(core: Core, text: str) -> KeyHolder | None:
    """Whose key this is; None when malformed, unknown, wrong, revoked, expired, or of another mode than it says."""
    named = read_key(text)
    if named is None:
        return None
    kind, key_id = named
    with core.database.glance() as connection:
        row = rows.find(connection, key_id)
    stored = bytes(row["secret_hash"]) if row is not None else _NO_HASH
    matches = hmac.compare_digest(stored, hashlib.sha256(text.encode()).digest())
    if row is None or not matches or not _alive(row):
        return None
    if kind != ("admin" if row["kind"] == "admin" else row["mode"]):
        return None
    scope = None if row["kind"] == "admin" else Scope(row["merchant_id"], row["mode"])
    return KeyHolder(key_id, row["kind"], scope, frozenset(row["scopes"]))


def _alive(row: Mapping[str, Any]) -> bool:
    return row["revoked_at"] is None and (row["expires_at"] is None or row["expires_at"] > row["present"])


def create(
    core: Core,
    *,
    kind: Kind,
    merchant_id: UUID | None = None,
    name: str,
    scopes: Iterable[str] | None = None,
    lifetime: timedelta | None = None,
) -> NewKey:
    """Store a key and return it, for the only time. `core` is opened with the owner's address.

    `scopes` None means all of its kind. Raises ValueError for a scope that does not exist or a missing merchant.
    """
    known = ADMIN_SCOPES if kind == "admin" else MERCHANT_SCOPES
    wanted = known if scopes is None else frozenset(scopes)
    if wanted - known:
        raise ValueError(f"unknown scopes: {', '.join(sorted(wanted - known))}; known are {', '.join(sorted(known))}")
    if (kind == "admin") == (merchant_id is not None):
        raise ValueError("a test or live key belongs to a merchant, an admin key to none")
    made = make_key(kind)
    with core.database.unscoped() as connection:
        now: datetime = connection.execute(sa.text("SELECT app_now()")).scalar_one()
        values = {
            "id": made.id,
            "kind": "admin" if kind == "admin" else "merchant",
            "merchant_id": merchant_id,
            "mode": None if kind == "admin" else kind,
            "name": name,
            "prefix": made.prefix,
            "secret_hash": made.secret_hash,
            "scopes": sorted(wanted),
            "created_at": now,
            "expires_at": None if lifetime is None else now + lifetime,
        }
        rows.insert(connection, values)
    return made


def revoke(core: Core, key_id: str) -> bool:
    """From the next request on the key is refused. False when there is none. `core` as for `create`."""
    with core.database.unscoped() as connection:
        return rows.revoke(connection, key_id)


def list_keys(core: Core, scope: Scope | None = None) -> list[dict[str, Any]]:
    """Without their secrets. With a scope, that merchant's of one mode; without, all (owner's address only)."""
    if scope is None:
        with core.database.unscoped() as connection:
            return [_shown(row) for row in rows.listed(connection)]
    with core.database.scoped(scope) as connection:
        return [_shown(row) for row in rows.listed(connection, scope)]


def _shown(row: Any) -> dict[str, Any]:
    return {
        "id": row["id"],
        "kind": row["kind"],
        "merchant": None if row["merchant_id"] is None else public_id("merchant", row["merchant_id"]),
        "mode": row["mode"],
        "name": row["name"],
        "prefix": row["prefix"],
        "scopes": list(row["scopes"]),
        "created_at": timestamp(row["created_at"]),
        "expires_at": timestamp(row["expires_at"]),
        "revoked_at": timestamp(row["revoked_at"]),
        "last_used_at": timestamp(row["last_used_at"]),
    }
