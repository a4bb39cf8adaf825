"""The newest seal as somebody outside Postgres has seen it: who rewrites the log cannot rewrite that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from core.audit.seals import Seal


@dataclass(frozen=True, slots=True)
class Head:
    installation: UUID
    number: int
    hash: bytes
    public_key: bytes


class HeadKeeper(Protocol):
    """A file on another disk by default; an object store with a lock, another host, a time-stamping service."""

    def read(self) -> Head | None:
        """The newest it was given. Raises OSError or ValueError."""

    def write(self, head: Head) -> None:
        """Keep it, unless what is kept is newer. Raises OSError or ValueError."""


def head_of(installation: UUID, seal: Seal) -> Head:
    return Head(installation, seal.number, seal.hash, seal.public_key)
