"""One child process: in a session of its own, logged to a file, stopped with a time limit, never orphaned."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from cli.errors import Refused
from cli.guard import GRACE

#: A child's log that is larger than this when the child starts makes room: one older part is kept beside it.
LOG_LIMIT = 5 * 1024 * 1024
#: Seconds between two probes: a server that starts in a moment is seen at once, a slow one is not flooded.
FIRST_PAUSE, LONGEST_PAUSE = 0.01, 0.2


class ChildFailed(Refused):
    """A child ended or did not become ready; the text says which, why, and where its log is."""


@dataclass(frozen=True, kw_only=True)
class Spec:
    """What to run and how to know that it runs.

    `ready` is asked again and again until it is true; seconds everywhere. `user` and `gid` run the child
    under another account (needs root). `text` goes to its standard input: what may not be seen among its
    arguments. Children of one `group` are stopped together. A `ready_file` of the last run is removed first.
    """

    name: str
    argv: Sequence[str]
    log: Path
    ready: Callable[[], bool]
    env: Mapping[str, str] | None = None
    cwd: Path | None = None
    user: int | None = None
    gid: int | None = None
    text: str | None = None
    ready_timeout: float = 30.0
    stop_signal: signal.Signals = signal.SIGTERM
    stop_timeout: float = 10.0
    group: str = ""
    ready_file: Path | None = None


class Guard:
    """The process that ends our children if we are killed (see `cli.guard`)."""

    def __init__(self, keep_open: Sequence[int] = (), grace: float = GRACE) -> None:
        """Starts it; `keep_open` are descriptors it holds as long as a child may live (a lock)."""
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(Path(__file__).with_name("guard.py")), str(grace)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
            pass_fds=tuple(keep_open),
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def watch(self, group: int, number: int) -> None:
        self._tell(f"watch {group} {number}")

    def drop(self, group: int) -> None:
        self._tell(f"drop {group}")

    def close(self) -> None:
        """Sends it away, all children being stopped."""
        self._tell("bye")
        with contextlib.suppress(OSError):
            if self._process.stdin:
                self._process.stdin.close()
        self._process.wait()

    def _tell(self, line: str) -> None:
        # A guard that was killed protects no more, but that is no reason to stop the service.
        with self._lock, contextlib.suppress(OSError, ValueError):
            if self._process.stdin:
                self._process.stdin.write(f"{line}\n".encode())
                self._process.stdin.flush()


class Child:
    """A running (or ended) process of one `Spec`."""

    def __init__(self, spec: Spec, guard: Guard) -> None:
        self.spec = spec
        self._guard = guard
        self._process: subprocess.Popen[bytes] | None = None
        self._finished = False
        self.started_at = 0.0

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def exit_code(self) -> int | None:
        """None while it runs or was never started; negative for a signal."""
        return self._process.poll() if self._process else None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Starts it without waiting for readiness."""
        spec = self.spec
        if spec.ready_file is not None:
            spec.ready_file.unlink(missing_ok=True)
        with open_log(spec.log) as log:
            self._process = subprocess.Popen(
                list(spec.argv),
                env=None if spec.env is None else dict(spec.env),
                cwd=spec.cwd or Path("/"),
                stdin=subprocess.DEVNULL if spec.text is None else subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
                umask=0o077,
                user=spec.user,
                group=spec.gid,
                extra_groups=None if spec.user is None else [],
            )
        self.started_at = time.monotonic()
        self._guard.watch(self._process.pid, spec.stop_signal)
        if spec.text is not None and self._process.stdin:
            with contextlib.suppress(BrokenPipeError), self._process.stdin as pipe:
                pipe.write(spec.text.encode())

    def wait_ready(self, cancelled: threading.Event | None = None) -> None:
        """Returns when the probe is true.

        Raises:
            ChildFailed: it ended before, its time ran out, or `cancelled` was set.
        """
        wait_all_ready([self], cancelled)

    def look(self) -> bool:
        """Whether it is ready now.

        Raises:
            ChildFailed: it ended, or its time to get ready is over.
        """
        if not self.running:
            raise ChildFailed(self._explain(f"ended with {describe_exit(self.exit_code)} while starting"))
        if self.spec.ready():
            return True
        if time.monotonic() - self.started_at > self.spec.ready_timeout:
            raise ChildFailed(self._explain(f"was not ready after {self.spec.ready_timeout:.0f} s"))
        return False

    def signal(self, number: int) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def stop(self) -> int | None:
        """Asks it to end, kills it after its time; returns the exit code."""
        self.signal(self.spec.stop_signal)
        return self.finish(self.spec.stop_timeout)

    def kill(self) -> int | None:
        """Kills it with everything it started."""
        self._kill_group()
        return self.finish(0)

    def finish(self, seconds: float, hurry: threading.Event | None = None) -> int | None:
        """Waits for the end, at most so long (and not once `hurry` is set), kills then what is left of it."""
        process = self._process
        if process is None:
            return None
        deadline = time.monotonic() + seconds
        while process.poll() is None and time.monotonic() < deadline and not (hurry and hurry.is_set()):
            time.sleep(0.01)
        self._kill_group()
        process.wait()
        self._finished = True
        self._guard.drop(process.pid)
        return process.returncode

    def _kill_group(self) -> None:
        # Once all of it has ended the number may belong to somebody else.
        if self._process is not None and not self._finished:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def _explain(self, what: str) -> str:
        tail = read_tail(self.spec.log)
        return f"{self.spec.name} {what}; its log is {self.spec.log}" + (f", which ends:\n{tail}" if tail else "")


def wait_all_ready(children: Sequence[Child], cancelled: threading.Event | None = None) -> None:
    """Returns when all probes were true.

    Raises:
        ChildFailed: one of them ended or took too long, or `cancelled` was set.
    """
    waiting, pause = list(children), FIRST_PAUSE
    while waiting := [child for child in waiting if not child.look()]:
        if cancelled is not None and cancelled.is_set():
            raise ChildFailed(f"{waiting[0].spec.name} was stopped while starting")
        time.sleep(pause)
        pause = min(pause * 1.3, LONGEST_PAUSE)


def open_log(path: Path) -> BinaryIO:
    """Opens a log to append to, moved aside first when it has grown large."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        if path.stat().st_size > LOG_LIMIT:
            path.replace(path.with_suffix(".log.1"))
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")


def read_tail(path: Path, lines: int = 8) -> str:
    """The last lines of a log, indented, or nothing."""
    try:
        with path.open("rb") as log:
            log.seek(max(0, path.stat().st_size - 8192))
            text = log.read().decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(f"    {line[:300]}" for line in text.splitlines()[-lines:])


def describe_exit(code: int | None) -> str:
    if code is None:
        return "no exit code"
    if code < 0:
        return f"signal {signal.Signals(-code).name}"
    return f"exit code {code}"
