"""Sealing: AES-256-GCM under a key per merchant and mode, or per customer, wrapped by a key-encryption key."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import threading
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy.engine import Connection

from core.domain.identifiers import new_id
from core.persistence.database import Scope
from core.persistence.key_sources import KeySource, KeyUnavailable, StoredKeys, new_keys, parse_keys, read_key_file

__all__ = [
    "DataKey", "KeySource", "KeyUnavailable", "Place", "SealBroken", "StoredKeys", "Vault", "new_keys", "parse_keys",
    "read_key_file",
]  # fmt: skip

_FORMAT = b"\x01"
_NONCE = 12


class SealBroken(Exception):
    """The sealed value was moved, changed, or sealed under another key."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a sealed value lives; part of what is authenticated, so it cannot be moved to another row."""

    table: str
    column: str
    row: UUID

    def bound_to(self, scope: Scope) -> bytes:
        return f"{self.table}|{self.column}|{self.row}|{scope.merchant_id}|{scope.mode}".encode()


class DataKey:
    """An opened key of one merchant and mode, or of one customer."""

    def __init__(self, key_id: UUID, scope: Scope, key: bytes) -> None:
        self.key_id = key_id
        self._scope = scope
        self._cipher = AESGCM(key)
        self._digests = hmac.new(key, b"tollgate.digest", hashlib.sha256).digest()

    def seal(self, place: Place, plain: bytes) -> bytes:
        nonce = os.urandom(_NONCE)
        sealed = self._cipher.encrypt(nonce, plain, place.bound_to(self._scope))
        return _FORMAT + self.key_id.bytes + nonce + sealed

    def open(self, place: Place, sealed: bytes) -> bytes:
        """Raises SealBroken."""
        sealed = bytes(sealed)
        if sealed[:1] != _FORMAT or sealed[1:17] != self.key_id.bytes:
            raise SealBroken(f"{place.table}.{place.column} is sealed under another key")
        nonce = sealed[17 : 17 + _NONCE]
        try:
            return self._cipher.decrypt(nonce, sealed[17 + _NONCE :], place.bound_to(self._scope))
        except (InvalidTag, ValueError):  # ValueError: cut so short that no nonce is left
            raise SealBroken(f"{place.table}.{place.column} does not belong to this row") from None

    def digest(self, purpose: str, text: bytes) -> bytes:
        """Equal for equal texts; tells nothing without the key. As lasting as the key, which is never replaced."""
        return hmac.new(self._digests, purpose.encode() + b"|" + text, hashlib.sha256).digest()

    def seal_json(self, place: Place, value: Any) -> bytes:
        return self.seal(place, json.dumps(value, separators=(",", ":")).encode())

    def open_json(self, place: Place, sealed: bytes) -> Any:
        return json.loads(self.open(place, sealed))


_FIND = sa.text(
    "SELECT id, kek_version, wrapped FROM data_keys "
    "WHERE merchant_id = :merchant AND mode = :mode AND owner_kind = :kind AND owner_id = :owner"
)
_FIND_CUSTOMERS = sa.text(
    "SELECT id, owner_id, kek_version, wrapped FROM data_keys WHERE merchant_id = :merchant AND mode = :mode "
    "AND owner_kind = 'customer' AND owner_id = ANY(CAST(:owners AS uuid[]))"
)
_INSERT = sa.text(
    "INSERT INTO data_keys (id, merchant_id, mode, owner_kind, owner_id, kek_version, wrapped) "
    "VALUES (:id, :merchant, :mode, :kind, :owner, :version, :wrapped) "
    "ON CONFLICT (merchant_id, mode, owner_kind, owner_id) DO NOTHING"
)


_FIND_OWN = sa.text("SELECT id, kek_version, wrapped FROM installation_keys WHERE purpose = :purpose")
_INSERT_OWN = sa.text(
    "INSERT INTO installation_keys (id, purpose, kek_version, wrapped) VALUES (:id, :purpose, :version, :wrapped) "
    "ON CONFLICT (purpose) DO NOTHING"
)


class Vault:
    """Opens and makes data keys. Merchant keys are kept open in memory; customers' never, so erasing works."""

    def __init__(self, keys: KeySource) -> None:
        self._keys = keys
        self._merchant_keys: dict[Scope, DataKey] = {}
        self._lock = threading.Lock()

    def merchant_key(self, connection: Connection, scope: Scope) -> DataKey:
        """The merchant's key of one mode, made on first use."""
        known = self.known_key(scope)
        if known is not None:
            return known
        return self._find_or_make(connection, scope, "merchant", scope.merchant_id)

    def known_key(self, scope: Scope) -> DataKey | None:
        """The merchant's key, if it is open already."""
        with self._lock:
            return self._merchant_keys.get(scope)

    def remember(self, scope: Scope, key: DataKey) -> None:
        """Keep a merchant key that is known to be committed."""
        with self._lock:
            self._merchant_keys[scope] = key

    def make_customer_key(self, connection: Connection, scope: Scope, customer_id: UUID) -> DataKey:
        return self._find_or_make(connection, scope, "customer", customer_id)

    def customer_key(self, connection: Connection, scope: Scope, customer_id: UUID) -> DataKey | None:
        """None once the person is erased."""
        return self._find(connection, scope, "customer", customer_id)

    def customer_keys(self, connection: Connection, scope: Scope, customer_ids: Iterable[UUID]) -> dict[UUID, DataKey]:
        """The same for several on one trip; who is erased is not among them."""
        values = {"merchant": scope.merchant_id, "mode": scope.mode, "owners": [str(one) for one in customer_ids]}
        return {
            row.owner_id: DataKey(row.id, scope, self._keys.unwrap(row.kek_version, row.id, bytes(row.wrapped)))
            for row in connection.execute(_FIND_CUSTOMERS, values)
        }

    def installation_key(self, connection: Connection, purpose: str, scope: Scope) -> DataKey:
        """A key that is no merchant's, made on first use; `scope` is what stands in for one."""
        return self._find_own(connection, purpose, scope) or self._make_own(connection, purpose, scope)

    def blind_index(self, purpose: str, text: str) -> bytes:
        """Equal for equal texts after NFKC, trimming and case folding; tells nothing without the index key."""
        return self.indexed(purpose, text)[0]

    def indexed(self, purpose: str, text: str) -> tuple[bytes, int]:
        """The same with the version of the key, to be written with it."""
        version = self._keys.versions().index
        return self.index_at(version, purpose, text), version

    def index_at(self, version: int, purpose: str, text: str) -> bytes:
        """Under one version. Raises KeyUnavailable."""
        normal = unicodedata.normalize("NFKC", text).strip().casefold()
        return self._keys.index(version, f"{purpose}|{normal}".encode())

    def blind_indexes(self, purpose: str, text: str) -> list[bytes]:
        """Under every version there is: while one takes over from another, rows of both are found."""
        return [self.index_at(version, purpose, text) for version in sorted(self._keys.versions().indexes)]

    @property
    def keys(self) -> KeySource:
        return self._keys

    def wrap_again(self, key_id: UUID, from_version: int, wrapped: bytes, to_version: int) -> bytes:
        """The same data key under another key-encryption key: what it has sealed stays as it is."""
        return self._keys.wrap(to_version, key_id, self._keys.unwrap(from_version, key_id, bytes(wrapped)))

    def derived_keys(self, purpose: str) -> Iterator[bytes]:
        """32 bytes for `purpose` out of each key-encryption key at hand, the current one's first."""
        current, known = self._keys.versions().of("kek")
        for version in (current, *sorted(known - {current}, reverse=True)):
            yield self._keys.derive(version, purpose)

    def _find(self, connection: Connection, scope: Scope, kind: str, owner: UUID) -> DataKey | None:
        found = connection.execute(
            _FIND, {"merchant": scope.merchant_id, "mode": scope.mode, "kind": kind, "owner": owner}
        ).one_or_none()
        if found is None:
            return None
        key = self._keys.unwrap(found.kek_version, found.id, bytes(found.wrapped))
        opened = DataKey(found.id, scope, key)
        if kind == "merchant":
            self.remember(scope, opened)
        return opened

    def _find_or_make(self, connection: Connection, scope: Scope, kind: str, owner: UUID) -> DataKey:
        found = self._find(connection, scope, kind, owner)
        if found is not None:
            return found
        key_id, key, version = new_id(), os.urandom(32), self._keys.versions().kek
        made = connection.execute(
            _INSERT,
            {
                "id": key_id,
                "merchant": scope.merchant_id,
                "mode": scope.mode,
                "kind": kind,
                "owner": owner,
                "version": version,
                "wrapped": self._keys.wrap(version, key_id, key),
            },
        )
        if made.rowcount == 1:
            return DataKey(key_id, scope, key)
        # Another transaction made it first; ours waited for its commit on the unique index.
        found = self._find(connection, scope, kind, owner)
        if found is None:
            raise KeyUnavailable(f"the data key of {kind} {owner} cannot be read back")
        return found

    def _find_own(self, connection: Connection, purpose: str, scope: Scope) -> DataKey | None:
        found = connection.execute(_FIND_OWN, {"purpose": purpose}).one_or_none()
        if found is None:
            return None
        return DataKey(found.id, scope, self._keys.unwrap(found.kek_version, found.id, bytes(found.wrapped)))

    def _make_own(self, connection: Connection, purpose: str, scope: Scope) -> DataKey:
        key_id, key = new_id(), os.urandom(32)
        version = self._keys.versions().kek
        wrapped = self._keys.wrap(version, key_id, key)
        values = {"id": key_id, "purpose": purpose, "version": version, "wrapped": wrapped}
        if connection.execute(_INSERT_OWN, values).rowcount == 1:
            return DataKey(key_id, scope, key)
        found = self._find_own(connection, purpose, scope)
        if found is None:
            raise KeyUnavailable(f"the installation's key for {purpose} cannot be read back")
        return found
