"""The anchor: a small file outside Postgres that says which database this machine worked on, and how far it went."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

#: Of the format. Fields that are added later are kept by older programs; a higher version is not touched by them.
VERSION = 1
#: The newest seal of the audit log, and those that an older copy of the database has left behind, the newest last.
_SEAL, _SEALS_LEFT = "seal", "seals_left_behind"
_MOST_LEFT = 200
#: Which copy of the database it was; files of earlier versions have none.
_COPY = "copy"


class AnchorUnusable(ValueError):
    """The text says what is wrong with the file and what to do."""


@dataclass(frozen=True, slots=True)
class Copy:
    """Which copy of a database: its server's identifier, its timeline and its number there; None is not known."""

    system: str | None = None
    timeline: str | None = None
    oid: str | None = None


@dataclass(frozen=True, slots=True)
class Anchor:
    """`audit_number` is of the newest record that was committed; `written_at` is the database's time."""

    installation: UUID
    audit_number: int
    written_at: datetime
    copy: Copy = Copy()


def read(path: Path) -> Anchor | None:
    """None where there is no file yet. Raises AnchorUnusable."""
    found = fields(path)
    if found is None or "installation" not in found:
        return None
    try:
        written_at = datetime.fromisoformat(found["written_at"])
        return Anchor(UUID(found["installation"]), int(found["audit_number"]), written_at, _copy(found))
    except (AttributeError, KeyError, TypeError, ValueError):
        raise AnchorUnusable(f"{path} is no anchor file: move it away, and a new one is written") from None


def _copy(found: Mapping[str, Any]) -> Copy:
    told = found.get(_COPY, {})
    return Copy(*(None if told.get(name) is None else str(told[name]) for name in ("system", "timeline", "oid")))


def read_seal(path: Path) -> Mapping[str, Any] | None:
    """The newest seal of the audit log that was told; None where there is none yet. Raises AnchorUnusable."""
    found = (fields(path) or {}).get(_SEAL)
    return found if isinstance(found, dict) else None


def read_seals_left(path: Path) -> list[Mapping[str, Any]]:
    """The seals that the file was made to leave behind, the newest last. Raises AnchorUnusable."""
    found = (fields(path) or {}).get(_SEALS_LEFT, [])
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def write_seal(path: Path, installation: UUID, number: int, told: Mapping[str, str]) -> bool:
    """Keep the newest seal; False if one as new is kept already, or the file is not there yet or another's.

    Raises AnchorUnusable.
    """
    try:
        with _alone(path):
            found = fields(path)
            if found is None or found.get("installation") != str(installation):
                return False
            if int(found.get(_SEAL, {}).get("number", 0)) >= number:
                return False
            _replace(path, {**found, _SEAL: {"installation": str(installation), "number": number, **told}})
    except (AttributeError, TypeError, ValueError):
        raise AnchorUnusable(f"{path} is no anchor file: move it away, and a new one is written") from None
    except OSError as error:
        raise AnchorUnusable(f"{path} cannot be written: {error.strerror}") from None
    return True


def write(path: Path, anchor: Anchor, *, adopt: bool = False) -> None:
    """Put it on the disk, whole or not at all. Raises AnchorUnusable.

    It never goes back in one installation, and never changes to another, unless a person has it `adopt` the database.
    """
    try:
        with _alone(path):
            if not adopt and _is_ahead(read(path), anchor):
                return
            found = fields(path) or {}
            if adopt and _SEAL in found:
                # The database that goes on may not have this seal; it says so in its log, and here it is kept.
                found[_SEALS_LEFT] = [*found.get(_SEALS_LEFT, []), found.pop(_SEAL)][-_MOST_LEFT:]
            copy = {name: value for name, value in asdict(anchor.copy).items() if value is not None}
            before = {} if adopt else asdict(_copy(found))  # what this server does not tell was told before
            _replace(path, {**found, **_named(anchor), _COPY: {**before, **copy}})
    except OSError as error:
        raise AnchorUnusable(f"{path} cannot be written: {error.strerror}") from None


def _is_ahead(known: Anchor | None, anchor: Anchor) -> bool:
    if known is None:
        return False
    return known.installation != anchor.installation or known.audit_number > anchor.audit_number


def _named(anchor: Anchor) -> dict[str, Any]:
    return {
        "version": VERSION,
        "installation": str(anchor.installation),
        "audit_number": anchor.audit_number,
        "written_at": anchor.written_at.isoformat(),
    }


def change(path: Path, how: Callable[[Mapping[str, Any]], Mapping[str, Any] | None]) -> None:
    """Write what `how` makes of the fields that are there; None leaves them. Raises AnchorUnusable."""
    try:
        with _alone(path):
            made = how(fields(path) or {"version": VERSION})
            if made is not None:
                _replace(path, made)
    except OSError as error:
        raise AnchorUnusable(f"{path} cannot be written: {error.strerror}") from None


def fields(path: Path) -> dict[str, Any] | None:
    """All that is in the file, also what other rooms keep there; None without one. Raises AnchorUnusable."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise AnchorUnusable(f"{path} cannot be read: {getattr(error, 'strerror', None) or 'it is no text'}") from None
    try:
        found = json.loads(text)
    except ValueError:
        raise AnchorUnusable(f"{path} is no anchor file: move it away, and a new one is written") from None
    if not isinstance(found, dict) or not isinstance(found.get("version"), int):
        raise AnchorUnusable(f"{path} is no anchor file: move it away, and a new one is written")
    if found["version"] > VERSION:
        raise AnchorUnusable(f"{path} is of a newer Tollgate (version {found['version']}): start that one")
    return found


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Several processes of a machine keep one file. Raises OSError."""
    descriptor = os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _replace(path: Path, content: Mapping[str, Any]) -> None:
    """Raises OSError."""
    made = path.with_name(f"{path.name}.new")
    descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(json.dumps(content, indent=1) + "\n")
        file.flush()
        with contextlib.suppress(OSError):  # there may be none yet, or it is not ours to say whose it is
            before = path.stat()
            os.fchown(file.fileno(), before.st_uid, before.st_gid)  # a command of root's takes it from nobody
        os.fsync(file.fileno())
    made.replace(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
