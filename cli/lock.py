"""One supervisor a data directory: a lock that is held until the last child has ended."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from cli.errors import Refused
from cli.guard import GRACE
from cli.leftovers import same_process

#: Seconds to wait for the children of a killed supervisor to end.
WAIT = GRACE + 10.0


class AlreadyRunning(Refused):
    """Another supervisor has the data directory; the text names its process and address."""


class DirectoryLock:
    """Held from `take` to `release`; `descriptor` may be handed to a child that is to hold it as well."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "lock"
        self._directory = directory
        self.descriptor = -1
        self.held = False

    def take(self, on_wait: Callable[[], None] = lambda: None) -> None:
        """Takes it, waiting only for what a killed supervisor left behind.

        Raises:
            AlreadyRunning: a living one has it.
        """
        self.descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        deadline, told = time.monotonic() + WAIT, False
        while not self._try():
            holder = self._holder()
            if holder.get("alive") or time.monotonic() > deadline:
                self.release()
                raise AlreadyRunning(self._sentence(holder))
            if not told:
                on_wait()
                told = True
            time.sleep(0.05)
        self.held = True
        self.tell({})

    def tell(self, details: dict[str, Any]) -> None:
        """Says who we are, and with `details` more, to the one who finds the lock taken."""
        started = psutil.Process().create_time()
        text = json.dumps({"pid": os.getpid(), "started": started, **details})
        os.ftruncate(self.descriptor, 0)
        os.pwrite(self.descriptor, text.encode(), 0)

    def release(self) -> None:
        self.held = False
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def _try(self) -> bool:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        return False

    def _holder(self) -> dict[str, Any]:
        try:
            holder: dict[str, Any] = dict(json.loads(os.pread(self.descriptor, 65536, 0)))
            holder["alive"] = same_process(holder["pid"], holder["started"]) is not None
        except (KeyError, TypeError, ValueError):  # it is just being written
            return {"alive": False}
        return holder

    def _sentence(self, holder: dict[str, Any]) -> str:
        where = f", {holder['api']}" if holder.get("api") else ", still starting"
        who = f" (process {holder['pid']}{where})" if holder.get("pid") else ""
        return f"tollgate already runs in {self._directory}{who}; stop it or name another --data-dir"


def running(directory: Path) -> dict[str, Any] | None:
    """What the supervisor of the directory says of itself (pid, api …), or None if none lives."""
    try:
        holder: dict[str, Any] = dict(json.loads((directory / "lock").read_text(encoding="utf-8")))
        return holder if same_process(holder["pid"], holder["started"]) else None
    except (OSError, KeyError, TypeError, ValueError):
        return None
