"""Where sealing keys are kept: a file, the environment, or a service that wraps and never gives a key away."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import os
import stat
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

Kind = Literal["kek", "index"]

_NONCE = 12
#: Seconds for which a file is believed to hold what it held: a new version is current everywhere this much later.
BELIEVED = 1.0


class KeyUnavailable(Exception):
    """A key is missing; the message says which and where it is looked for."""


@dataclass(frozen=True, slots=True)
class Versions:
    """Of both kinds of keys: those there are, and the one that new rows are written under."""

    keks: frozenset[int]
    kek: int
    indexes: frozenset[int]
    index: int

    def of(self, kind: Kind) -> tuple[int, frozenset[int]]:
        """(current, all)."""
        return (self.kek, self.keks) if kind == "kek" else (self.index, self.indexes)


class KeySource(Protocol):
    """What the vault asks of whoever holds the keys. No key leaves it, so that a KMS fits behind the same lines."""

    def versions(self) -> Versions:
        """As they are now: new ones may come while a process runs."""

    def wrap(self, version: int, key_id: UUID, key: bytes) -> bytes:
        """`key` under a key-encryption key, bound to its id. Raises KeyUnavailable."""

    def unwrap(self, version: int, key_id: UUID, wrapped: bytes) -> bytes:
        """The key again. Raises KeyUnavailable for a version that is not there or is another key."""

    def index(self, version: int, text: bytes) -> bytes:
        """HMAC-SHA-256 under an index key. Raises KeyUnavailable."""

    def derive(self, version: int, purpose: str) -> bytes:
        """32 bytes that only a holder of the key-encryption key can make, always the same. Raises KeyUnavailable."""


@dataclass(frozen=True, slots=True)
class StoredKeys:
    """Keys read once: {"kek": {"1": base64}, "current": 1, "index_keys": {"1": base64}, "current_index": 1}."""

    keys: Mapping[int, bytes] = field(repr=False)
    current_version: int
    index_keys: Mapping[int, bytes] = field(repr=False)
    current_index: int = 1

    def versions(self) -> Versions:
        return Versions(frozenset(self.keys), self.current_version, frozenset(self.index_keys), self.current_index)

    def wrap(self, version: int, key_id: UUID, key: bytes) -> bytes:
        nonce = os.urandom(_NONCE)
        return nonce + AESGCM(self._kek(version)).encrypt(nonce, key, key_id.bytes)

    def unwrap(self, version: int, key_id: UUID, wrapped: bytes) -> bytes:
        try:
            return AESGCM(self._kek(version)).decrypt(wrapped[:_NONCE], wrapped[_NONCE:], key_id.bytes)
        except (InvalidTag, ValueError):
            raise KeyUnavailable(f"key-encryption key version {version} is not the one this database uses") from None

    def index(self, version: int, text: bytes) -> bytes:
        found = self.index_keys.get(version)
        if found is None:
            raise KeyUnavailable(f"index key version {version} is not among the sealing keys")
        return hmac.new(found, text, hashlib.sha256).digest()

    def derive(self, version: int, purpose: str) -> bytes:
        return HKDF(hashes.SHA256(), 32, None, purpose.encode()).derive(self._kek(version))

    def _kek(self, version: int) -> bytes:
        found = self.keys.get(version)
        if found is None:
            raise KeyUnavailable(f"key-encryption key version {version} is not among the sealing keys")
        return found


class FileKeys:
    """The keys of a file that may get new versions while this runs: looked at every second, and for an unknown one."""

    def __init__(self, path: Path) -> None:
        """Raises KeyUnavailable."""
        self._path, self._lock = path, threading.Lock()
        self._known, self._seen = read_key_file(path), _stamp(path)
        self._until = time.monotonic() + BELIEVED

    def versions(self) -> Versions:
        return self._now().versions()

    def wrap(self, version: int, key_id: UUID, key: bytes) -> bytes:
        return self._having("kek", version).wrap(version, key_id, key)

    def unwrap(self, version: int, key_id: UUID, wrapped: bytes) -> bytes:
        return self._having("kek", version).unwrap(version, key_id, wrapped)

    def index(self, version: int, text: bytes) -> bytes:
        return self._having("index", version).index(version, text)

    def derive(self, version: int, purpose: str) -> bytes:
        return self._having("kek", version).derive(version, purpose)

    def _having(self, kind: Kind, version: int) -> StoredKeys:
        known = self._known
        return known if version in known.versions().of(kind)[1] else self._now(hurry=True)

    def _now(self, *, hurry: bool = False) -> StoredKeys:
        if hurry or time.monotonic() >= self._until:
            with self._lock:
                self._look()
        return self._known

    def _look(self) -> None:
        """A file that cannot be read at this moment changes nothing: what was read before still holds."""
        stamp = _stamp(self._path)
        if stamp is not None and stamp != self._seen:
            with contextlib.suppress(KeyUnavailable):
                self._known, self._seen = read_key_file(self._path), stamp
        self._until = time.monotonic() + BELIEVED


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size


def read_key_file(path: Path) -> StoredKeys:
    """Raises KeyUnavailable when the file is missing, readable by others, or not of the stated form."""
    return parse_keys(read_private(path))


def read_private(path: Path) -> str:
    """The text of a file that nobody else may read. Raises KeyUnavailable."""
    try:
        mode = path.stat().st_mode
        text = path.read_text()
    except OSError as error:
        raise KeyUnavailable(f"the key file {path} cannot be read: {error.strerror}") from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise KeyUnavailable(f"the key file {path} is open to other users; run: chmod 600 {path}")
    return text


def parse_keys(text: str) -> StoredKeys:
    """Also of the form before index keys had versions. Raises KeyUnavailable; never shows the text."""
    try:
        stored = json.loads(text)
        if "index_keys" not in stored:
            stored = {**stored, "index_keys": {"1": stored["index_key"]}, "current_index": 1}
        keks, indexes = _decoded(stored["kek"]), _decoded(stored["index_keys"])
        source = StoredKeys(keks, int(stored["current"]), indexes, int(stored["current_index"]))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise KeyUnavailable(
            'the sealing keys are not of the form {"kek": {"1": …}, "current": 1, "index_keys": {"1": …}, '
            '"current_index": 1}'
        ) from None
    if any(len(key) != 32 for key in (*source.keys.values(), *source.index_keys.values())):
        raise KeyUnavailable("every key must be 32 bytes, base64")
    for name, current, known in (
        ("current", source.current_version, source.keys),
        ("current_index", source.current_index, source.index_keys),
    ):
        if current not in known:
            raise KeyUnavailable(f"`{name}` is version {current}, which is not among the sealing keys")
    return source


def _decoded(keys: Mapping[str, str]) -> dict[int, bytes]:
    return {int(version): base64.b64decode(key, validate=True) for version, key in keys.items()}


def write_keys(keys: StoredKeys) -> str:
    """In the file's form."""

    def encoded(given: Mapping[int, bytes]) -> dict[str, str]:
        return {str(version): base64.b64encode(key).decode() for version, key in sorted(given.items())}

    form: dict[str, Any] = {
        "kek": encoded(keys.keys),
        "current": keys.current_version,
        "index_keys": encoded(keys.index_keys),
        "current_index": keys.current_index,
    }
    return json.dumps(form, indent=1) + "\n"


def new_keys() -> str:
    """A fresh set in the file's form."""
    return write_keys(StoredKeys({1: os.urandom(32)}, 1, {1: os.urandom(32)}, 1))


def with_version(keys: StoredKeys, kind: Kind) -> tuple[StoredKeys, int]:
    """The same with a fresh key one above the highest; it is not current yet."""
    known = keys.keys if kind == "kek" else keys.index_keys
    version = max(known) + 1
    more = {**known, version: os.urandom(32)}
    if kind == "kek":
        return StoredKeys(more, keys.current_version, keys.index_keys, keys.current_index), version
    return StoredKeys(keys.keys, keys.current_version, more, keys.current_index), version


def with_current(keys: StoredKeys, kind: Kind, version: int) -> StoredKeys:
    if kind == "kek":
        return StoredKeys(keys.keys, version, keys.index_keys, keys.current_index)
    return StoredKeys(keys.keys, keys.current_version, keys.index_keys, version)


def without_version(keys: StoredKeys, kind: Kind, version: int) -> StoredKeys:
    """Raises KeyUnavailable for the current one, and for one that is not there."""
    current, known = keys.versions().of(kind)
    if version not in known or version == current:
        raise KeyUnavailable(f"version {version} is {'current' if version == current else 'not there'}")
    stored = keys.keys if kind == "kek" else keys.index_keys
    rest = {number: key for number, key in stored.items() if number != version}
    if kind == "kek":
        return StoredKeys(rest, keys.current_version, keys.index_keys, keys.current_index)
    return StoredKeys(keys.keys, keys.current_version, rest, keys.current_index)


def open_source(key_file: Path | None, text: str | None) -> KeySource:
    """From TOLLGATE_KEY_FILE or TOLLGATE_KEYS. Raises KeyUnavailable."""
    if key_file is not None and text:
        raise KeyUnavailable("TOLLGATE_KEY_FILE and TOLLGATE_KEYS are both set: leave one of them out")
    if key_file is not None:
        return FileKeys(key_file)
    if text:
        return parse_keys(text)
    raise KeyUnavailable("set TOLLGATE_KEY_FILE to the file of the sealing keys, or TOLLGATE_KEYS to its content")
