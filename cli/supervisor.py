"""Keeps a row of children running: starts them in order, restarts what dies, stops them in reverse order."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from cli.guard import GRACE
from cli.processes import Child, ChildFailed, Guard, Spec, describe_exit, wait_all_ready

#: Takes the name of what happened and its details; called from the watching thread, too.
Report = Callable[[str, dict[str, Any]], None]

#: Seconds before the first, second … restart of a child that keeps dying. The first is quick, since a worker
#: that fell over a broken connection works again at once; the last spares the machine.
BACK_OFF = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0)
#: A child that has run this long counts as well again.
HEALTHY_AFTER = 10.0
TICK = 0.05


@dataclass
class _Entry:
    spec: Spec
    child: Child
    ready: bool = True
    wanted: bool = True
    deaths: int = 0
    restart_at: float | None = None


class Supervisor:
    """Thread-safe.

    `keep_open` are descriptors that outlive us until the last child has ended; `grace` is how long children may
    take to end, in seconds, if we are killed.
    """

    def __init__(self, report: Report, *, keep_open: Sequence[int] = (), grace: float = GRACE) -> None:
        self._report = report
        self._guard = Guard(keep_open, grace)
        self._entries: dict[str, _Entry] = {}
        self._lock = threading.RLock()
        self._stopping = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="supervisor", daemon=True)
        self._watcher.start()
        #: Set it to end a start that still waits.
        self.cancelled = threading.Event()
        #: Set it to kill what `stop` still waits for.
        self.hurry = threading.Event()

    @property
    def pids(self) -> dict[str, int]:
        """The running children in the order of their start."""
        with self._lock:
            return {
                name: entry.child.pid
                for name, entry in self._entries.items()
                if entry.child.pid is not None and entry.child.running
            }

    def start(self, spec: Spec) -> None:
        """Starts one more child and returns when it is ready; from then on it is restarted if it dies.

        Raises:
            ChildFailed: it did not get ready; it does not run then.
        """
        self.start_all([spec])

    def start_all(self, specs: Sequence[Spec]) -> None:
        """The same for several at once."""
        children = []
        try:
            for spec in specs:
                child = Child(spec, self._guard)
                children.append(child)
                child.start()
            wait_all_ready(children, self.cancelled)
        except BaseException:
            for child in children:
                child.kill()
            raise
        with self._lock:
            for spec, child in zip(specs, children, strict=True):
                self._entries[spec.name] = _Entry(spec, child)

    def signal(self, name: str, number: int) -> None:
        """Sends a signal to one child, as a fault would; it is restarted if it dies of it."""
        with self._lock:
            self._entries[name].child.signal(number)

    def stop_child(self, name: str) -> None:
        """Ends one child, which is then left down until `start_child`."""
        with self._lock:
            entry = self._entries[name]
            entry.wanted = False
        entry.child.stop()

    def start_child(self, name: str) -> None:
        """Starts a child that was stopped and returns when it is ready."""
        with self._lock:
            entry = self._entries[name]
            if not entry.child.running:
                entry.child = Child(entry.spec, self._guard)
                entry.child.start()
        entry.child.wait_ready(self.cancelled)
        with self._lock:
            entry.wanted, entry.ready, entry.restart_at = True, True, None

    def restart_child(self, name: str) -> None:
        self.stop_child(name)
        self.start_child(name)

    def stop(self) -> None:
        """Ends all, the last started first, a group at once; each has its own time before it is killed."""
        self._stopping.set()
        self._watcher.join()
        rows = reversed(self._entries.values())
        for _, group in groupby(rows, key=lambda entry: entry.spec.group or entry.spec.name):
            members = list(group)
            for entry in members:
                entry.child.signal(entry.spec.stop_signal)
            for entry in members:
                entry.child.finish(entry.spec.stop_timeout, self.hurry)
        self._entries.clear()
        self._guard.close()

    def _watch(self) -> None:
        while not self._stopping.wait(TICK):
            with self._lock:
                for entry in self._entries.values():
                    if entry.wanted and not self._stopping.is_set():
                        self._look_safely(entry)

    def _look_safely(self, entry: _Entry) -> None:
        try:
            self._look_at(entry)
        except Exception as error:  # noqa: BLE001 - nobody restarts the watcher: one full disk must not end it
            with contextlib.suppress(Exception):
                self._report("watching_failed", {"child": entry.spec.name, "error": str(error)})

    def _look_at(self, entry: _Entry) -> None:
        now = time.monotonic()
        if entry.restart_at is not None:
            if now >= entry.restart_at:
                self._restart(entry)
        elif not entry.child.running:
            self._bury(entry, now)
        elif not entry.ready:
            self._await(entry, now)
        elif entry.deaths and now - entry.child.started_at > HEALTHY_AFTER:
            entry.deaths = 0

    def _bury(self, entry: _Entry, now: float) -> None:
        pid, code = entry.child.pid, entry.child.exit_code
        entry.child.finish(0)
        delay = BACK_OFF[min(entry.deaths, len(BACK_OFF) - 1)]
        entry.deaths += 1
        entry.restart_at = now + delay
        details = {
            "child": entry.spec.name,
            "pid": pid,
            "ended_with": describe_exit(code),
            "restart_in": delay,
        }
        self._report("child_died", details)

    def _restart(self, entry: _Entry) -> None:
        entry.child = Child(entry.spec, self._guard)
        entry.restart_at, entry.ready = None, False
        try:
            entry.child.start()
        except OSError as error:
            self._report("child_not_started", {"child": entry.spec.name, "error": str(error)})
            self._bury(entry, time.monotonic())

    def _await(self, entry: _Entry, now: float) -> None:
        if entry.spec.ready():
            entry.ready = True
            self._report("child_restarted", {"child": entry.spec.name, "pid": entry.child.pid})
        elif now - entry.child.started_at > entry.spec.ready_timeout:
            entry.child.kill()


__all__ = ["ChildFailed", "Report", "Supervisor"]
