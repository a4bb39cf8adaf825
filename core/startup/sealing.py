"""Are these the keys that this database was sealed with? Known values tell, before anything has to be opened."""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from typing import Any, Literal
from uuid import UUID

from sqlalchemy.engine import Connection

from core.persistence.database import Scope
from core.persistence.key_sources import KeySource, KeyUnavailable, Kind
from core.persistence.queries import sealing_keys as rows
from core.persistence.vault import Place, Vault
from core.startup.remark import Remark

#: What is wrapped and hashed to be told again; no secret.
_PLAIN = b"tollgate: which sealing key is it"[:32]
_OWN_ID = UUID("7466c1a7-e5a1-7000-8000-6b65792d6964")
_TEXT = b"tollgate|which index key is it"
_NAMES: dict[Kind, str] = {"kek": "key-encryption key", "index": "index key"}
_PUT_BACK = "put the file of its backup back; without that key nothing that it sealed can be read again"
#: `tollgate sealing rotate` changes one machine's file; a copy elsewhere still names the version before.
_BRING = (
    "bring the key file of the machine where `tollgate sealing rotate` ran to this one, or make the newest version "
    "current"
)


def look(connection: Connection, keys: KeySource, role: Literal["api", "worker", "owner"]) -> Iterator[Remark]:
    """Refusals for a version that is wrong, missing or taken out of use. A worker writes new versions down.

    The API sees no rows across merchants, so it could not tell a wrong key from a new one.
    """
    noted = rows.known(connection)
    for row in noted:
        because = _fault(keys, row)
        if because is not None:
            yield Remark(f"{_NAMES[row['kind']]} version {row['version']} {because}")
    if role != "api":
        yield from _note_new(connection, keys, {(row["kind"], row["version"]) for row in noted})


def _fault(keys: KeySource, row: Any) -> str | None:
    current, at_hand = keys.versions().of(row["kind"])
    version, retired = row["version"], row["retired_at"] is not None
    if version not in at_hand:
        return None if retired else f"is missing from the sealing keys: {_PUT_BACK}"
    if not is_right(keys, row["kind"], version, bytes(row["check_value"])):
        return f"is not the one this database was sealed with: {_PUT_BACK}"
    return f"was rotated away and is current again: {_BRING}" if retired and version == current else None


def _note_new(connection: Connection, keys: KeySource, noted: set[tuple[str, int]]) -> Iterator[Remark]:
    for kind, name in _NAMES.items():
        for version in sorted(keys.versions().of(kind)[1]):
            if (kind, version) in noted:
                continue
            if _contradicts(connection, keys, kind, version):
                yield Remark(f"{name} version {version} is not the one this database was sealed with: {_PUT_BACK}")
            else:
                rows.note(connection, kind, version, check_value(keys, kind, version))


def check_value(keys: KeySource, kind: Kind, version: int) -> bytes:
    if kind == "kek":
        return keys.wrap(version, _OWN_ID, _PLAIN)
    return keys.index(version, _TEXT)


def is_right(keys: KeySource, kind: Kind, version: int, value: bytes) -> bool:
    try:
        if kind == "kek":
            return hmac.compare_digest(keys.unwrap(version, _OWN_ID, value), _PLAIN)
        return hmac.compare_digest(keys.index(version, _TEXT), value)
    except KeyUnavailable:
        return False


def _contradicts(connection: Connection, keys: KeySource, kind: Kind, version: int) -> bool:
    """Is there a row under this version that this key does not fit? Databases may be older than check values."""
    row: Any = rows.an_example(connection, kind, version)
    if row is None:
        return False
    try:
        if kind == "kek":
            keys.unwrap(version, row["id"], bytes(row["wrapped"]))
            return False
        vault, scope = Vault(keys), Scope(row["merchant_id"], row["mode"])
        own = vault.customer_key(connection, scope, row["id"])
        if own is None:
            return False
        email = own.open_json(Place("customers", "sealed", row["id"]), row["sealed"])["email"]
        return vault.index_at(version, "customer.email", email or "") != bytes(row["email_index"])
    except KeyUnavailable:
        return kind == "kek"
