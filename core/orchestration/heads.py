"""The newest seal of the audit log, kept in the anchor file and told to whoever else was handed in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import structlog

from core.audit.heads import Head, HeadKeeper
from core.orchestration.context import Core
from core.startup.anchor import AnchorUnusable, read_seal, read_seals_left, write_seal

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class AnchorFile:
    """Raises AnchorUnusable, which is a ValueError."""

    path: Path

    def read(self) -> Head | None:
        found = read_seal(self.path)
        return None if found is None else self._head(found)

    def left_behind(self) -> list[Head]:
        """Those that a database has gone on without, after a person let it or seemed to."""
        return [self._head(one) for one in read_seals_left(self.path)]

    def _head(self, found: Mapping[str, Any]) -> Head:
        try:
            return Head(
                UUID(found["installation"]),
                int(found["number"]),
                bytes.fromhex(found["hash"]),
                bytes.fromhex(found["public_key"]),
            )
        except (KeyError, TypeError, ValueError):
            raise AnchorUnusable(f"{self.path} holds no seal that can be read: see the runbook, audit log") from None

    def write(self, head: Head) -> None:
        told = {"hash": head.hash.hex(), "public_key": head.public_key.hex()}
        write_seal(self.path, head.installation, head.number, told)


def known(path: Path | None) -> Head | None:
    """The newest seal that this machine has seen."""
    try:
        return None if path is None else AnchorFile(path).read()
    except AnchorUnusable as error:
        log.warning("anchor_not_read", reason=str(error))
        return None


def left_behind(path: Path | None) -> list[Head]:
    """The seals that this machine has seen and was made to leave."""
    try:
        return [] if path is None else AnchorFile(path).left_behind()
    except AnchorUnusable as error:
        log.warning("anchor_not_read", reason=str(error))
        return []


def tell(core: Core, head: Head) -> None:
    """Each is told again each time: what a dying process did not say is said by the next one."""
    path = core.settings.anchor_file
    keepers: list[HeadKeeper] = [*([] if path is None else [AnchorFile(path)]), *core.head_keepers]
    for keeper in keepers:
        try:
            keeper.write(head)
        except (OSError, ValueError) as error:
            log.warning("seal_not_anchored", seal=head.number, reason=str(error))
