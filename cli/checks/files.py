"""The data directory, its rights and its room, and the key file."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from cli.checks.finding import Finding, Situation, failed, ok, skipped, warning
from cli.lock import running
from core.persistence.vault import KeyUnavailable, read_key_file

#: Postgres stops at a full disk; its log of changes alone takes up to 1 GB between checkpoints.
LITTLE_ROOM = 2 * 1024**3
PRIVATE = ("secrets.json", "keys.json", "ports.json", "children.json", "lock")


def check(situation: Situation) -> Iterator[Finding]:
    directory = situation.data_dir
    try:
        made = directory.exists()
    except OSError as error:  # a folder above it is closed to us
        advice = "name another --data-dir, or run tollgate as the user it belongs to"
        yield failed("Data directory", f"{directory} cannot be entered: {error.strerror}", advice)
        return
    if not made:
        yield skipped("Data directory", f"{directory} does not exist yet; `tollgate up` makes it")
    else:
        yield _owner(directory)
        yield _rights(directory)
    yield _room(directory)
    yield _running(directory)
    yield _keys(situation)


def _owner(directory: Path) -> Finding:
    status = directory.stat()
    if status.st_uid != os.geteuid():
        advice = "run tollgate as that user or name another --data-dir"
        return failed("Data directory", f"{directory} belongs to user number {status.st_uid}", advice)
    if status.st_mode & 0o022:
        return failed("Data directory", f"others may write to {directory}", f"run: chmod go-w '{directory}'")
    return ok("Data directory", str(directory))


def _rights(directory: Path) -> Finding:
    open_ones = [
        name
        for name in PRIVATE
        if (directory / name).exists() and stat.S_IMODE((directory / name).stat().st_mode) & 0o077
    ]
    if open_ones:
        names = " ".join(f"'{directory / name}'" for name in open_ones)
        return failed("Private files", f"{', '.join(open_ones)} may be read by others", f"run: chmod 600 {names}")
    return ok("Private files", "readable by their owner alone")


def _room(directory: Path) -> Finding:
    existing = next(path for path in (directory, *directory.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    text = f"{free / 1024**3:.1f} GB free"
    if free < LITTLE_ROOM:
        return warning("Disk", text, "make room: Postgres stops taking payments when the disk is full")
    return ok("Disk", text)


def _running(directory: Path) -> Finding:
    holder = running(directory)
    if holder is None:
        return skipped("Service", f"not started by `tollgate up` in {directory}")
    return ok("Service", f"runs as process {holder['pid']} at {holder.get('api', '(still starting)')}")


def _keys(situation: Situation) -> Finding:
    if situation.environ.get("TOLLGATE_KEYS"):
        return skipped("Key file", "the sealing keys come from TOLLGATE_KEYS")
    named = situation.environ.get("TOLLGATE_KEY_FILE")
    path = Path(named) if named else situation.data_dir / "keys.json"
    if not named and not path.exists():
        return skipped("Key file", "none yet; `tollgate up` makes it, or set TOLLGATE_KEY_FILE")
    try:
        keys = read_key_file(path)
    except KeyUnavailable as error:
        return failed("Key file", str(error), "restore it from its backup: without it sealed data is lost")
    return ok("Key file", f"{path}, current version {keys.current_version}")
