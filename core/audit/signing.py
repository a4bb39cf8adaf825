"""Who signs the seals: a key outside the database, and what anybody needs to check its signatures."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

#: What the signing key is derived for, out of the current key-encryption key: a key file of before has one, too, and
#: a new key-encryption key brings a new one with it.
PURPOSE = "tollgate audit seals, Ed25519, 1"


class Signer(Protocol):
    """`public_key` of 32 bytes; a KMS or a token behind the same lines signs without giving its key away."""

    @property
    def public_key(self) -> bytes: ...

    @property
    def former_keys(self) -> Collection[bytes]:
        """Public keys it has taken over from."""

    def sign(self, data: bytes) -> bytes: ...


class Ed25519Signer:
    def __init__(self, seed: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self._public = self._key.public_key().public_bytes_raw()

    @property
    def public_key(self) -> bytes:
        return self._public

    @property
    def former_keys(self) -> Collection[bytes]:
        """None: those of former key-encryption keys are derived from these."""
        return ()

    def sign(self, data: bytes) -> bytes:
        return self._key.sign(data)


def public_keys(seeds: Iterable[bytes]) -> tuple[bytes, ...]:
    return tuple(Ed25519Signer(seed).public_key for seed in seeds)


def is_signed(public_key: bytes, signature: bytes, data: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, data)
    except (InvalidSignature, ValueError):
        return False
    return True
