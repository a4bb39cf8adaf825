"""A folder in memory for the servers of tests: databases are made there by the hundred, each in a tenth of the time."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

MEMORY = Path("/dev/shm")
#: Bytes that have to be free there; the servers of one test process take some hundred million.
ROOM = 3_000_000_000
_NAME = "tollgate-tests-"


@contextmanager
def folder_in_memory(otherwise: Path) -> Iterator[Path]:
    """One that is gone afterwards; `otherwise` where the machine has no room for it."""
    _sweep()
    if not _has_room():
        yield otherwise
        return
    made = Path(tempfile.mkdtemp(prefix=f"{_NAME}{os.getpid()}-", dir=MEMORY))
    if os.geteuid() == 0:
        # Postgres runs under another account then, and has to get through.
        made.chmod(0o711)
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _has_room() -> bool:
    # What a file system in memory calls free need not be free memory.
    free = psutil.virtual_memory().available
    return MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and min(shutil.disk_usage(MEMORY).free, free) > ROOM


def _sweep() -> None:
    """What killed processes left behind would stay in memory until the machine is started again."""
    for left in MEMORY.glob(f"{_NAME}*"):
        owner = left.name.removeprefix(_NAME).partition("-")[0]
        if owner.isdigit() and not psutil.pid_exists(int(owner)):
            shutil.rmtree(left, ignore_errors=True)
