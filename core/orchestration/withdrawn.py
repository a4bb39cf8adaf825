"""What was taken away stays away: ended API keys, disabled administrators and their sessions, after a restore as well.

The anchor file outside Postgres remembers by id what was ended. An older copy of the database has the same done to it
again: people and sessions by the first process that may, keys by the owner in `tollgate resume`, since no running
login can end a key in nobody's name. Until then the gate refuses those that stand in its file.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy.engine import Connection

from core.audit import log as audit
from core.audit.sealing import settled_number
from core.domain.identifiers import public_id
from core.domain.key_form import number_of
from core.orchestration.context import Core
from core.persistence.database import Scope, present
from core.persistence.queries import administrators as people_rows
from core.persistence.queries import api_keys as key_rows
from core.persistence.queries import withdrawals as rows
from core.startup import withdrawals as remembered
from core.startup.anchor import AnchorUnusable
from core.startup.withdrawals import Known, Progress, Withdrawal

Row = Mapping[Any, Any]
log = structlog.get_logger()

#: Seconds for which the gate believes what it read of the file.
BELIEVED = 1.0
#: Records of the audit log looked through in one statement, and seconds of it in one run: a file that is new reads the
#: whole log, a stretch at a time.
SPAN = 20_000
LONGEST_RUN = 2.0
#: Seconds a run waits for those who write records; the next run tries again.
PATIENCE = 1.0
#: So many records are rather looked through again than the file written for them.
FEW = 1_000
_ACTOR = "system"


# Into the file


def remember(core: Core, *withdrawals: Withdrawal) -> None:
    """Have the file know of it at once; where it cannot be written, a worker that can brings it there later."""
    path = core.settings.anchor_file
    if path is None or not withdrawals:
        return
    try:
        remembered.add(path, withdrawals)
        _file(path).forget()
    except AnchorUnusable as error:
        log.warning("withdrawal_not_remembered", reason=str(error))


def remember_key(core: Core, row: Row, now: datetime) -> None:
    """A key that has just been given its end."""
    ends = row["revoked_at"] or row["expires_at"]
    if ends is not None:
        remember(core, Withdrawal("key", row["id"], now, ends))


def keep(core: Core, path: Path, standing: Mapping[str, Any]) -> int:
    """Bring what was ended anywhere into this machine's file, as the audit log tells it; how much was new.

    Raises AnchorUnusable and SQLAlchemyError.
    """
    read = remembered.known(path).read
    # A database that was let go on after a restore tells another story from somewhere on: it is read anew.
    low = read.number if read.resumed_at == standing["resumed_at"] else 0
    upto = settled_number(core.database, PATIENCE)
    if upto is None:
        return 0
    found: list[Withdrawal] = []
    end = time.monotonic() + LONGEST_RUN
    while low < upto and time.monotonic() < end:
        high = min(low + SPAN, upto)
        with core.database.glance() as connection:
            found += filter(None, map(_read, rows.told(connection, low, high)))
        low = high
    reached = Progress(low, standing["resumed_at"])
    if not found and reached.resumed_at == read.resumed_at and low - read.number < FEW:
        return 0
    oldest = (standing["present"] - timedelta(days=core.settings.keep_erasures)).date()
    return remembered.add(path, found, oldest, reached)


def _read(record: Row) -> Withdrawal | None:
    """A record of the audit log; None for an end that was no earlier than the key's own."""
    action, at = record["action"], record["created_at"]
    if action.startswith("administrator."):
        back = action == "administrator.enabled"
        return Withdrawal("administrator", str(record["subject_id"]), at, given_back=back)
    if record["key"] is None:
        return None
    if action == "api_key.revoked":
        return Withdrawal("key", record["key"], at, at)
    ends = record["ends"]
    return None if ends is None else Withdrawal("key", record["key"], at, datetime.fromisoformat(ends))


# Out of the file


def is_ended(core: Core, key_id: str, now: datetime) -> bool:
    """Was this key ended, whatever this database says of it?"""
    path = core.settings.anchor_file
    ends = None if path is None else _file(path).keys().get(key_id)
    return ends is not None and ends <= now


class _File:
    """The ended keys of one anchor file, read again when the file is another."""

    def __init__(self, path: Path) -> None:
        self._path, self._until = path, 0.0
        self._seen: tuple[int, int] | None = None
        self._keys: Mapping[str, datetime] = {}

    def forget(self) -> None:
        self._until = 0.0

    def keys(self) -> Mapping[str, datetime]:
        now = time.monotonic()
        if now >= self._until:
            self._until = now + BELIEVED
            self._look()
        return self._keys

    def _look(self) -> None:
        """What cannot be read leaves what is known, and is told once."""
        try:
            stat = self._path.stat()
        except OSError:
            return
        seen = (stat.st_ino, stat.st_mtime_ns)
        if seen != self._seen:
            self._seen = seen
            self._keys = _known(self._path, self._keys).keys


_FILES: dict[Path, _File] = {}


def _file(path: Path) -> _File:
    return _FILES.get(path) or _FILES.setdefault(path, _File(path))


def _known(path: Path | None, keys: Mapping[str, datetime]) -> Known:
    try:
        if path is not None:
            return remembered.known(path)
    except AnchorUnusable as error:
        log.error("withdrawals_not_read", reason=str(error))
    return Known(keys, frozenset(), Progress())


def apply_again(core: Core) -> None:
    """End in a paused database what the file knows, and the sessions of before, as far as this login may.

    Raises SQLAlchemyError. A file that cannot be read is told, and stops nothing.
    """
    with core.database.scoped(audit.EVERYBODY) as connection:
        may = rows.may_end(connection)
        if not may["people"] or not rows.is_paused(connection):
            return
        known = _known(core.settings.anchor_file, {})
        keys = _end_keys(connection, known.keys) if may["keys"] else 0
        people = _disable(connection, known.administrators)
        sessions = end_sessions(connection, of_before=True)
    if keys or people or sessions:
        log.warning("withdrawals_applied_again", count=keys + people + sessions)


def _end_keys(connection: Connection, ends: Mapping[str, datetime]) -> int:
    done, now = 0, present(connection)
    for row in rows.open_keys(connection, ends):
        at = ends[row["id"]]
        if row["expires_at"] is not None and row["expires_at"] <= max(at, now):
            continue
        over = at <= now
        key_rows.end_as_owner(connection, _ACTOR, row["id"], revoked=over, ends_at=None if over else at)
        after = {"revoked_at": now} if over else {"expires_at": at}
        audit.record(
            connection,
            scope=audit.EVERYBODY if row["kind"] == "admin" else Scope(row["merchant_id"], row["mode"]),
            actor=_ACTOR,
            action="api_key.revoked" if over else "api_key.expired",
            subject_kind="api_key",
            subject_id=number_of(row["id"]),
            cause="clock",
            **audit.changes(row, {**row, **after}, "expires_at", "revoked_at"),
            details={"key": row["id"], "name": row["name"], "again": "restored"},
        )
        done += 1
    return done


def _disable(connection: Connection, people: Iterable[UUID]) -> int:
    """Also the last one with the role admin: the owner can make another."""
    found = rows.enabled(connection, people)
    for row in found:
        people_rows.change(connection, row["id"], {"disabled_at": present(connection)})
        people_rows.forget_devices(connection, row["id"])
        _tell_person(connection, "administrator.disabled", row["id"], {})
    return len(found)


def end_sessions(connection: Connection, *, of_before: bool = False) -> int:
    """How many were ended: all, or those from before the pause. A session that was ended may be open in a backup."""
    ended = rows.end_sessions(connection, "the database was restored", of_before=of_before)
    for person, sessions in ended.items():
        names = [public_id("administrator_session", one) for one in sessions]
        _tell_person(connection, "administrator.sessions_ended", person, {"sessions": names})
    return sum(map(len, ended.values()))


@dataclass(frozen=True, slots=True)
class Access:
    """What opens at this moment, counted: `admin_keys`, `merchant_keys`, `administrators`; and what was ended again."""

    good: Mapping[str, int]
    keys: tuple[str, ...]
    administrators: tuple[str, ...]


def examine(core: Core, connection: Connection) -> Access:
    """The owner's."""
    known = _known(core.settings.anchor_file, {})
    keys = tuple(
        f"{row['id']} (“{row['name']}”, of "
        f"{'administrators' if row['kind'] == 'admin' else public_id('merchant', row['merchant_id'])})"
        for row in rows.keys_ended(connection, known.keys)
    )
    return Access(rows.count_good(connection), keys, tuple(rows.disabled(connection, known.administrators)))


def _tell_person(connection: Connection, action: str, person: UUID, details: Mapping[str, Any]) -> None:
    audit.record(
        connection,
        scope=audit.EVERYBODY,
        actor=_ACTOR,
        action=action,
        subject_kind="administrator",
        subject_id=person,
        cause="clock",
        details={**details, "again": "restored"},
    )
