"""Children that outlived both supervisor and guard: recorded while they run, ended at the next start."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Mapping
from pathlib import Path

import psutil

from cli.files import write_private

#: Seconds a leftover has to end by itself; Postgres needs some for its checkpoint.
GRACE = 5.0


def record(file: Path, pids: Mapping[str, int]) -> None:
    """Writes down who runs, with the time of each one's start: a process id alone is soon somebody else's."""
    rows = []
    for name, pid in pids.items():
        with contextlib.suppress(psutil.Error):
            rows.append({"name": name, "pid": pid, "started": psutil.Process(pid).create_time()})
    write_private(file, json.dumps(rows) + "\n")


def clear(file: Path, grace: float = GRACE) -> list[str]:
    """Ends those of the last record that still run and returns their names."""
    try:
        rows = json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return []
    found = {row["name"]: process for row in rows if (process := same_process(row["pid"], row["started"]))}
    for name, process in found.items():
        with contextlib.suppress(psutil.Error):
            process.send_signal(signal.SIGINT if name == "postgres" else signal.SIGTERM)
    _, alive = psutil.wait_procs(found.values(), timeout=grace)
    for process in found.values():
        # The leader may be gone and its own children not.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    psutil.wait_procs(alive, timeout=GRACE)
    file.unlink(missing_ok=True)
    return list(found)


def same_process(pid: int, started: float) -> psutil.Process | None:
    """The process of that id if it is the very one that started then (seconds since 1970)."""
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        if abs(process.create_time() - started) < 1.0 and process.status() != psutil.STATUS_ZOMBIE:
            return process
    return None
