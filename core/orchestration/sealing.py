"""Seals the audit log by the clock, and tells the newest seal outside Postgres. May run twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import structlog

from core.audit import forks, sealing, seals, verifying
from core.audit.differences import Tampering
from core.audit.forks import Fork
from core.audit.heads import head_of
from core.audit.sealing import ChainBroken, KeyLeft
from core.audit.signing import PURPOSE, Ed25519Signer, Signer, public_keys
from core.audit.verifying import Archive, Verified
from core.orchestration import heads, installation
from core.orchestration.context import Core
from core.persistence.queries import audit as rows
from core.points import reached

log = structlog.get_logger(__name__)


def seal(core: Core) -> int:
    """How many records were sealed. A database that is in doubt is not sealed any further, nor is a forged chain."""
    if installation.look(core):
        return 0
    try:
        made = sealing.seal(core.database, signer(core), known_keys(core), _anchored(core.settings.anchor_file))
    except ChainBroken as error:
        log.error("seals_forged", reason=str(error))
        return 0
    except KeyLeft as error:
        log.warning("seal_key_left", reason=str(error))
        return 0
    if made.waits:
        log.warning("sealing_waits", reason="a transaction has been writing audit records for seconds")
    if made.head is not None:
        with core.database.glance() as connection:
            home = rows.installation(connection)
        heads.tell(core, head_of(home, made.head))
        reached("seal.anchored", sealing.KIND)
    return made.records


def signer(core: Core) -> Signer:
    return core.signer or Ed25519Signer(next(core.vault.derived_keys(PURPOSE)))


def verify(
    core: Core,
    anchor: Path | None,
    keys: Sequence[bytes] = (),
    archives: Sequence[Archive] = (),
    progress: Callable[[int], None] = lambda count: None,
) -> Verified:
    """The whole log, by the seal in the file `anchor`; `keys` are public keys beside those that are known here.

    `core` is on the owner's address: months that were taken off are the owner's alone. Raises SQLAlchemyError.
    """
    known = [*keys, *known_keys(core)]
    found = verifying.verify(core.database, known, heads.known(anchor), archives=archives, progress=progress)
    left = list(forks.look(core.database, heads.left_behind(anchor)))
    tamperings = [*found.tamperings, *(one for one in left if isinstance(one, Tampering))]
    return replace(
        found, tamperings=tamperings, notes=[*found.notes, *(one.note for one in left if isinstance(one, Fork))]
    )


def known_keys(core: Core) -> tuple[bytes, ...]:
    """The public keys of the keys at hand. What the anchor names is none of them: it is written without a key."""
    own = () if core.signer is None else (core.signer.public_key, *core.signer.former_keys)
    return (*own, *public_keys(core.vault.derived_keys(PURPOSE)))


def seals_hang_on(core: Core, version: int) -> bool:
    """Is the newest seal signed with this version of the key-encryption key? Then only that can vouch for the chain."""
    if version not in core.vault.keys.versions().keks:
        return False
    with core.database.unscoped() as connection:
        last = seals.last(connection)
    [own] = public_keys([core.vault.keys.derive(version, PURPOSE)])
    return last is not None and last.public_key == own


def _anchored(path: Path | None) -> tuple[bytes, ...]:
    head = heads.known(path)
    return () if head is None else (head.public_key,)
