"""Sealing: AES-256-GCM under a key per merchant and mode, or per customer, wrapped by a key-encryption key."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import stat
import threading
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

import sqlalchemy as sa
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy.engine import Connection

from core.domain.identifiers import new_id
from core.persistence.database import Scope

_FORMAT = b"\x01"
_NONCE = 12


class SealBroken(Exception):
    """The sealed value was moved, changed, or sealed under another key."""


class KeyUnavailable(Exception):
    """A key is missing; the message says which and where it is looked for."""


class KeySource(Protocol):
    """Where key-encryption keys come from: a file or the environment today, a KMS behind the same lines."""

    @property
    def current_version(self) -> int: ...

    def key(self, version: int) -> bytes:
        """32 bytes. Raises KeyUnavailable."""

    @property
    def index_key(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class StoredKeys:
    """Key-encryption keys read from JSON: {"kek": {"1": base64}, "current": 1, "index_key": base64}."""

    keys: Mapping[int, bytes] = field(repr=False)
    current_version: int
    index_key: bytes = field(repr=False)

    def key(self, version: int) -> bytes:
        found = self.keys.get(version)
        if found is None:
            raise KeyUnavailable(f"key-encryption key version {version} is not in the key file")
        return found


def read_key_file(path: Path) -> StoredKeys:
    """Raises KeyUnavailable when the file is missing, readable by others, or not of the stated form."""
    try:
        mode = path.stat().st_mode
        text = path.read_text()
    except OSError as error:
        raise KeyUnavailable(f"the key file {path} cannot be read: {error.strerror}") from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise KeyUnavailable(f"the key file {path} is open to other users; run: chmod 600 {path}")
    return parse_keys(text)


def parse_keys(text: str) -> StoredKeys:
    """Raises KeyUnavailable; never shows the text."""
    try:
        stored = json.loads(text)
        keys = {int(version): base64.b64decode(key, validate=True) for version, key in stored["kek"].items()}
        source = StoredKeys(keys, int(stored["current"]), base64.b64decode(stored["index_key"], validate=True))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise KeyUnavailable('the keys are not of the form {"kek": {"1": …}, "current": 1, "index_key": …}') from None
    if any(len(key) != 32 for key in (*keys.values(), source.index_key)):
        raise KeyUnavailable("every key must be 32 bytes, base64")
    source.key(source.current_version)
    return source


def new_keys() -> str:
    """A fresh set in the file's form."""

    def random() -> str:
        return base64.b64encode(os.urandom(32)).decode()

    return json.dumps({"kek": {"1": random()}, "current": 1, "index_key": random()})


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
            row.owner_id: DataKey(row.id, scope, self._unwrap(row.id, row.kek_version, bytes(row.wrapped)))
            for row in connection.execute(_FIND_CUSTOMERS, values)
        }

    def blind_index(self, purpose: str, text: str) -> bytes:
        """Equal for equal texts after NFKC, trimming and case folding; tells nothing without the index key."""
        normal = unicodedata.normalize("NFKC", text).strip().casefold()
        return hmac.new(self._keys.index_key, f"{purpose}|{normal}".encode(), hashlib.sha256).digest()

    def _find(self, connection: Connection, scope: Scope, kind: str, owner: UUID) -> DataKey | None:
        found = connection.execute(
            _FIND, {"merchant": scope.merchant_id, "mode": scope.mode, "kind": kind, "owner": owner}
        ).one_or_none()
        if found is None:
            return None
        key = self._unwrap(found.id, found.kek_version, bytes(found.wrapped))
        opened = DataKey(found.id, scope, key)
        if kind == "merchant":
            self.remember(scope, opened)
        return opened

    def _find_or_make(self, connection: Connection, scope: Scope, kind: str, owner: UUID) -> DataKey:
        found = self._find(connection, scope, kind, owner)
        if found is not None:
            return found
        key_id, key = new_id(), os.urandom(32)
        made = connection.execute(
            _INSERT,
            {
                "id": key_id,
                "merchant": scope.merchant_id,
                "mode": scope.mode,
                "kind": kind,
                "owner": owner,
                "version": self._keys.current_version,
                "wrapped": self._wrap(key_id, key),
            },
        )
        if made.rowcount == 1:
            return DataKey(key_id, scope, key)
        # Another transaction made it first; ours waited for its commit on the unique index.
        found = self._find(connection, scope, kind, owner)
        if found is None:
            raise KeyUnavailable(f"the data key of {kind} {owner} cannot be read back")
        return found

    def _wrap(self, key_id: UUID, key: bytes) -> bytes:
        nonce = os.urandom(_NONCE)
        return nonce + AESGCM(self._keys.key(self._keys.current_version)).encrypt(nonce, key, key_id.bytes)

    def _unwrap(self, key_id: UUID, version: int, wrapped: bytes) -> bytes:
        try:
            return AESGCM(self._keys.key(version)).decrypt(wrapped[:_NONCE], wrapped[_NONCE:], key_id.bytes)
        except (InvalidTag, ValueError):
            raise KeyUnavailable(f"key-encryption key version {version} is not the one this database uses") from None
