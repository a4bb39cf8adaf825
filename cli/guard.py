"""Ends a supervisor's children when the supervisor is gone; a process of its own, on the standard library.

Its standard input is a pipe from the supervisor. Lines say which process groups to watch; the end of the pipe
without a `bye` means that the supervisor was killed. The guard inherits the lock of the data directory, so
that nobody takes that over before the last child has ended.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time
from collections.abc import Iterable

#: Seconds a group has to end by itself before it is killed. A worker's call to a provider may be cut, which
#: is safe (its lease runs out and the outcome is looked up), while the next supervisor waits for the lock.
GRACE = 5.0


class Groups:
    """The process groups of living children, with the signal that asks each to end."""

    def __init__(self) -> None:
        self.watched: dict[int, int] = {}
        self.finished = False

    def read(self, line: str) -> None:
        """Takes one line: `watch GROUP SIGNAL`, `drop GROUP` or `bye`."""
        word, *numbers = line.split()
        if word == "watch":
            self.watched[int(numbers[0])] = int(numbers[1])
        elif word == "drop":
            self.watched.pop(int(numbers[0]), None)
        elif word == "bye":
            self.finished = True

    def end(self, grace: float) -> None:
        """Asks the leader of every group to end, the last started first, and kills what is left after the grace."""
        for leader, number in reversed(self.watched.items()):
            # Not the whole group: granian takes workers that end by themselves for failed ones.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(leader, number)
        deadline = time.monotonic() + grace
        while time.monotonic() < deadline and self.watched.keys() & _living(self.watched):
            time.sleep(0.02)
        for group in self.watched:
            _signal(group, signal.SIGKILL)


def _signal(group: int, number: int) -> bool:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _living(groups: Iterable[int]) -> set[int]:
    """The groups that have a running member; one that only waits to be collected by its new parent has ended."""
    if not os.path.exists("/proc/self/stat"):
        return {group for group in groups if _signal(group, 0)}
    found = set()
    for number in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{number}/stat", encoding="utf-8", errors="replace") as file:
            # The name in brackets may hold anything; after it come state, parent, group (proc(5)).
            state, _, group = file.read().rpartition(")")[2].split()[:3]
            if state not in "ZX":
                found.add(int(group))
    return found


def main(grace: float) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups, parent, buffered = Groups(), os.getppid(), b""
    while not groups.finished:
        # The parent is looked at too: a process it forked could hold the pipe open after its death.
        readable, _, _ = select.select([0], [], [], 1.0)
        chunk = os.read(0, 65536) if readable else b""
        buffered += chunk
        *lines, buffered = buffered.split(b"\n")
        for line in lines:
            groups.read(line.decode())
        if not groups.finished and ((readable and not chunk) or os.getppid() != parent):
            groups.end(grace)
            return


if __name__ == "__main__":
    main(float(sys.argv[1]))
