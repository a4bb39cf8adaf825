"""Is this the database we worked on? One that is behind the anchor file is paused until a person lets it go on."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import sqlalchemy as sa
import structlog
from sqlalchemy.engine import Connection

from core.audit import log as audit
from core.domain.errors import StateConflict
from core.orchestration import restored
from core.orchestration.context import Core
from core.persistence.database import Database, Scope
from core.persistence.queries import installation as rows
from core.startup.anchor import Anchor, AnchorUnusable, read, write

log = structlog.get_logger()

#: Seconds for which a process believes what it heard: a request more that is stored meanwhile waits as a job.
BELIEVED = 1.0
#: What is open is looked for in every payment and transaction there ever was, while everybody waits for it to end.
_UNHURRIED = sa.text("SET LOCAL statement_timeout = 0")


def look(core: Core) -> bool:
    """Pause the installation if it is behind what this machine has seen; True if it is paused.

    Raises SQLAlchemyError. A file that cannot be read is told, and stops nothing.
    """
    # Read before the database is asked: what the file knows was committed by then.
    anchor = _known(core.settings.anchor_file)
    with core.database.unscoped() as connection:
        standing = rows.standing(connection)
        why = doubt(anchor, standing)
        first = why is not None and standing["paused_at"] is None and rows.pause(connection, why)
    if first:
        log.error("installation_paused", reason=why)
    return why is not None or standing["paused_at"] is not None


def keep_anchor(core: Core) -> int:
    """Look, and write down how far the database goes; 1 if it was written. Raises SQLAlchemyError."""
    path = core.settings.anchor_file
    if look(core) or path is None:
        return 0
    with core.database.unscoped() as connection:
        standing = rows.standing(connection)
    try:
        # What a person has let go on is taken over, also from a file that was ahead of it.
        write(path, anchor_of(standing), adopt=_is_adopted(_known(path), standing))
    except AnchorUnusable as error:
        log.warning("anchor_not_written", reason=str(error))
        return 0
    return 1


def look_at_start(core: Core, *, keep: bool) -> None:
    """The first look of a process; with Postgres away it is left to the looks that follow."""
    try:
        keep_anchor(core) if keep else look(core)
    except sa.exc.SQLAlchemyError as error:
        log.warning("installation_not_seen", error_type=type(error).__name__)


@dataclass(frozen=True, slots=True)
class Found:
    """How an installation stands; `because` is None while it is not paused. `open` counts by kind."""

    because: str | None
    since: datetime | None
    audit_number: int
    open: Mapping[str, int]


def examine(core: Core) -> Found:
    with core.database.unscoped() as connection:
        connection.execute(_UNHURRIED)
        standing = rows.standing(connection)
        counted = restored.count_open(connection)
    return Found(standing["paused_because"], standing["paused_at"], standing["audit_number"], counted)


def resume(core: Core, person: str, reason: str) -> Mapping[str, Any]:
    """Let a paused installation go on, with everything open in doubt: one commit. Returns how it stands then.

    The owner's alone: `core` is on the owner's address. Raises StateConflict if it is not paused.
    """
    with core.database.unscoped() as connection:
        connection.execute(_UNHURRIED)
        before = rows.standing(connection)
        counted = restored.count_open(connection)
        if not rows.resume(connection, person):
            raise StateConflict("the installation is not paused")
        restored.doubt_open(connection)
        audit.record(
            connection,
            scope=EVERYBODY,
            actor=f"person:{person}",
            action="installation.resumed",
            subject_kind="installation",
            subject_id=before["id"],
            cause="person",
            details={"reason": reason, "paused_because": before["paused_because"], "open": counted},
        )
        return rows.standing(connection)


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


def anchor_of(standing: Mapping[str, Any]) -> Anchor:
    return Anchor(standing["id"], standing["audit_number"], standing["present"])


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


#: Whose audit records are no merchant's: of the installation itself.
EVERYBODY = Scope(UUID(int=0), "live")


class Watch:
    """Why the installation is paused, asked of the database at most once a second a process."""

    def __init__(self, database: Database) -> None:
        self._database, self._lock = database, threading.Lock()
        self._until = 0.0
        self._reason: str | None = None

    def reason(self) -> str | None:
        """None while it is not paused. Raises SQLAlchemyError."""
        with self._lock:
            if time.monotonic() < self._until:
                return self._reason
        with self._database.unscoped() as connection:
            found = rows.paused_because(connection)
        with self._lock:
            self._reason, self._until = found, time.monotonic() + BELIEVED
        return found
