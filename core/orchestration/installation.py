"""Is this the database we worked on? One that is behind the anchor file is paused until a person lets it go on."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy.engine import Connection

from core.audit import log as audit
from core.audit import seals
from core.audit.heads import Head
from core.domain.errors import StateConflict
from core.orchestration import copies, erasure, heads, restored, withdrawn
from core.orchestration.context import Core
from core.persistence.database import set_scope
from core.persistence.queries import audit as audit_rows
from core.persistence.queries import installation as rows
from core.startup.anchor import Anchor, AnchorUnusable, Copy, read, write

log = structlog.get_logger()

#: What this process has brought into the file.
_ERASURES = erasure.Keeper()
#: Seconds for which a process believes what it heard: a request more that is stored meanwhile waits as a job.
BELIEVED = 1.0
#: What is open is looked for in every payment and transaction there ever was, while everybody waits for it to end.
_UNHURRIED = sa.text("SET LOCAL statement_timeout = 0")


def look(core: Core, *, first_look: bool = False) -> bool:
    """Pause the installation if it is behind what this machine has seen, or another copy; True if it is paused.

    Raises SQLAlchemyError. A file that cannot be read is told, and stops nothing.
    """
    return _look(core, first_look)[0]


def _look(core: Core, first_look: bool) -> tuple[bool, Copy]:
    """Whether it is paused, and the copy that was looked at."""
    # Read before the database is asked: what the file knows was committed by then.
    anchor, head = _known(core.settings.anchor_file), heads.known(core.settings.anchor_file)
    if first_look:
        erasure.apply_again(core)
    copy = Copy() if core.settings.anchor_file is None else copies.seen(core)
    with core.database.unscoped() as connection:
        standing = rows.standing(connection)
        why = doubt(anchor, standing) or doubt_seals(connection, anchor, head, standing)
        why = why or _doubt_copy(core, anchor, copy, standing)
        first = why is not None and standing["paused_at"] is None and rows.pause(connection, why)
        if first:
            _record_pause(connection, standing, str(why))
    if first:
        log.error("installation_paused", reason=why)
    if why is not None and not first_look:
        erasure.apply_again(core)
    paused = why is not None or standing["paused_at"] is not None
    if paused and (first or first_look):
        withdrawn.apply_again(core)
    return paused, copy


def _doubt_copy(core: Core, anchor: Anchor | None, copy: Copy, standing: Mapping[str, Any]) -> str | None:
    if anchor is None or _is_adopted(anchor, standing):
        return None
    return copies.doubt(anchor.copy, copy, synchronous=core.settings.synchronous_standby)


def _record_pause(connection: Connection, standing: Mapping[str, Any], why: str) -> None:
    set_scope(connection, audit.EVERYBODY)  # the API's login writes under a scope alone
    audit.record(
        connection,
        scope=audit.EVERYBODY,
        actor="system",
        action="installation.paused",
        subject_kind="installation",
        subject_id=standing["id"],
        cause="clock",
        details={"reason": why},
    )


def keep_anchor(core: Core, *, first_look: bool = False) -> int:
    """Look, and write down how far the database goes; 1 if it was written. Raises SQLAlchemyError."""
    path = core.settings.anchor_file
    # The copy that was compared is the one that is written down: another may take over in this moment.
    paused, copy = _look(core, first_look)
    if paused or path is None:
        return 0
    try:
        with core.database.unscoped() as connection:
            standing = rows.standing(connection)
            _ERASURES.keep(core, connection, path)
        # What a person has let go on is taken over, also from a file that was ahead of it.
        write(path, anchor_of(standing, copy), adopt=_is_adopted(_known(path), standing))
        withdrawn.keep(core, path, standing)
    except AnchorUnusable as error:
        log.warning("anchor_not_written", reason=str(error))
        return 0
    return 1


def look_at_start(core: Core, *, keep: bool) -> None:
    """The first look of a process; with Postgres away it is left to the looks that follow."""
    try:
        keep_anchor(core, first_look=True) if keep else look(core, first_look=True)
    except sa.exc.SQLAlchemyError as error:
        log.warning("installation_not_seen", error_type=type(error).__name__)


@dataclass(frozen=True, slots=True)
class Found:
    """How an installation stands; `because` is None while it is not paused. `open` counts by kind."""

    because: str | None
    since: datetime | None
    audit_number: int
    open: Mapping[str, int]
    access: withdrawn.Access


def examine(core: Core) -> Found:
    with core.database.unscoped() as connection:
        connection.execute(_UNHURRIED)
        standing = rows.standing(connection)
        counted, access = restored.count_open(connection), withdrawn.examine(core, connection)
    return Found(standing["paused_because"], standing["paused_at"], standing["audit_number"], counted, access)


def resume(core: Core, person: str, reason: str, left: Head | None = None) -> Mapping[str, Any]:
    """Let a paused installation go on, with everything open in doubt: one commit. Returns how it stands then.

    `left` is the newest seal that was anchored: a database that does not have it says in its log that it was left.

    The owner's alone: `core` is on the owner's address. Raises StateConflict if it is not paused.
    """
    erasure.apply_again(core)
    withdrawn.apply_again(core)
    with core.database.unscoped() as connection:
        connection.execute(_UNHURRIED)
        before = rows.standing(connection)
        counted = restored.count_open(connection)
        if not rows.resume(connection, person):
            raise StateConflict("the installation is not paused")
        restored.doubt_open(connection)
        withdrawn.end_sessions(connection)
        audit.record(
            connection,
            scope=audit.EVERYBODY,
            actor=f"person:{person}",
            action="installation.resumed",
            subject_kind="installation",
            subject_id=before["id"],
            cause="person",
            details={
                "reason": reason,
                "paused_because": before["paused_because"],
                "open": counted,
                "audit_number": before["audit_number"],
                **_left_behind(connection, left),
            },
        )
        return rows.standing(connection)


def _left_behind(connection: Connection, left: Head | None) -> dict[str, Any]:
    """A chain of seals forks where an older copy goes on: which seal it goes on from, and which it does not have."""
    last = seals.last(connection)
    goes_on = {} if last is None else {"goes_on_from_seal": {"number": last.number, "hash": last.hash.hex()}}
    if left is None or audit_rows.seal_hash(connection, left.number) == left.hash:
        return goes_on
    return {**goes_on, "seal_left_behind": {"number": left.number, "hash": left.hash.hex()}}


def doubt_seals(
    connection: Connection, anchor: Anchor | None, head: Head | None, standing: Mapping[str, Any]
) -> str | None:
    """What the seals of the audit log speak against this database: those that were anchored have to be there."""
    if head is None or _is_adopted(anchor, standing) or head.installation != standing["id"]:
        return None
    found = audit_rows.seal_hash(connection, head.number)
    if found is None:
        return (
            f"seal {head.number} of its audit log is missing, which this machine has seen: it is an older copy, or its "
            "log was cut"
        )
    return None if found == head.hash else f"seal {head.number} of its audit log is another than this machine has seen"


def is_paused(connection: Connection) -> bool:
    return rows.paused_because(connection) is not None


def doubt(anchor: Anchor | None, standing: Mapping[str, Any]) -> str | None:
    """What speaks against this database, in a sentence."""
    if anchor is None or _is_adopted(anchor, standing):
        return None
    if anchor.installation != standing["id"]:
        return "the database is another installation than the one this machine has worked on"
    if standing["audit_number"] < anchor.audit_number:
        return (
            f"the database ends at audit record {standing['audit_number']}, and this machine has seen "
            f"{anchor.audit_number}: it is an older copy"
        )
    return None


def anchor_of(standing: Mapping[str, Any], copy: Copy) -> Anchor:
    return Anchor(standing["id"], standing["audit_number"], standing["present"], copy)


def _is_adopted(anchor: Anchor | None, standing: Mapping[str, Any]) -> bool:
    """Did a person let the database go on after the file was written, perhaps on another machine?"""
    resumed = standing["resumed_at"]
    return anchor is not None and resumed is not None and resumed >= anchor.written_at


def _known(path: Path | None) -> Anchor | None:
    try:
        return None if path is None else read(path)
    except AnchorUnusable as error:
        log.warning("anchor_not_read", reason=str(error))
        return None


class Watch:
    """Why the installation is paused, asked of the database at most once a second a process."""

    def __init__(self, core: Core) -> None:
        self._core, self._database, self._lock = core, core.database, threading.Lock()
        self._looked = False
        self._until = 0.0
        self._reason: str | None = None

    def see(self) -> None:
        """Before anybody is let in: where Postgres was away at the start, the first look is made up for.

        Raises SQLAlchemyError.
        """
        if not self._looked:
            look(self._core, first_look=True)
            self._looked = True
        self.reason()

    def reason(self) -> str | None:
        """None while it is not paused. Raises SQLAlchemyError."""
        with self._lock:
            if time.monotonic() < self._until:
                return self._reason
        with self._database.unscoped() as connection:
            found = rows.paused_because(connection)
        if found is not None and self._reason is None:
            # A worker has noticed, whose login ends no session.
            withdrawn.apply_again(self._core)
        with self._lock:
            self._reason, self._until = found, time.monotonic() + BELIEVED
        return found
