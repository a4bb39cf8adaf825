"""A seal: which records it covers, by number and hash, in a chain that begins with the installation."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy.engine import Connection

from core.audit.signing import Signer, is_signed
from core.persistence.queries import audit as rows

#: number and SHA-256 of a record
Leaf = tuple[int, bytes]
_LEAF = struct.Struct(">q32s")


@dataclass(frozen=True, slots=True)
class Seal:
    """Covers the `records` numbered above `from_number`, up to `to_number`; `previous` is the hash before."""

    number: int
    form: int
    from_number: int
    to_number: int
    records: int
    leaves: bytes
    previous: bytes
    public_key: bytes
    sealed_at: datetime
    hash: bytes
    signature: bytes

    def own_hash(self) -> bytes:
        """What `hash` has to be."""
        told = [
            *("tollgate seal", self.form, self.number, self.from_number, self.to_number, self.records),
            *(hashlib.sha256(self.leaves).hexdigest(), self.previous.hex(), self.public_key.hex()),
            self.sealed_at.astimezone(UTC).isoformat(timespec="microseconds"),
        ]
        return hashlib.sha256(json.dumps(told, separators=(",", ":")).encode()).digest()

    def is_whole(self) -> bool:
        """Is it what its key signed?"""
        return self.own_hash() == self.hash and is_signed(self.public_key, self.signature, self.hash)

    def leaf_list(self) -> list[Leaf]:
        """Raises ValueError where they are cut."""
        try:
            return list(_LEAF.iter_unpack(self.leaves))
        except struct.error:
            raise ValueError("the hashes of a seal are cut") from None


def digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def leaves_of(records: Iterable[rows.Record]) -> Iterator[Leaf]:
    return ((number, digest(text)) for number, text in records)


def pack(leaves: Iterable[Leaf]) -> bytes:
    return b"".join(_LEAF.pack(*leaf) for leaf in leaves)


def beginning(installation: UUID) -> bytes:
    """What the first seal has before it: a chain of another installation begins otherwise."""
    return hashlib.sha256(f"tollgate installation {installation}".encode()).digest()


def make(before: Seal | None, start: bytes, leaves: list[Leaf], to_number: int, now: datetime, signer: Signer) -> Seal:
    """The next seal, signed; `start` is before the first."""
    unsigned = Seal(
        number=1 if before is None else before.number + 1,
        form=rows.FORM,
        from_number=0 if before is None else before.to_number,
        to_number=to_number,
        records=len(leaves),
        leaves=pack(leaves),
        previous=start if before is None else before.hash,
        public_key=signer.public_key,
        sealed_at=now,
        hash=b"",
        signature=b"",
    )
    own = unsigned.own_hash()
    return Seal(**{**values(unsigned), "hash": own, "signature": signer.sign(own)})


def values(seal: Seal) -> dict[str, Any]:
    return {name: getattr(seal, name) for name in Seal.__slots__}


def read(row: Mapping[str, Any]) -> Seal:
    found: dict[str, Any] = {name: bytes(one) if isinstance(one, memoryview) else one for name, one in row.items()}
    return Seal(**found)


def last(connection: Connection) -> Seal | None:
    found = rows.last_seal(connection)
    return None if found is None else read(found)


def age(connection: Connection) -> float:
    """Seconds for which the oldest record that no seal covers has waited for one; 0 where all are sealed."""
    return rows.unsealed_for(connection)
