"""Makes each row of the tables that decide about money wrong in turn: a flip that no test notices is an error.

The pure table tests are collected once; every flip is a fork of that process, ended by the first test that fails.
"""

from __future__ import annotations

import gc
import glob
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

import pytest
from mutate_tables import Flip, flips, tables

#: Tests that need neither a server nor a database, and so can be asked about every flip.
TESTS = (
    "tests/domain/test_outcomes.py",
    "tests/domain/test_statuses.py",
    "tests/orchestration/test_breaker.py",
    "tests/orchestration/test_failover_tables.py",
    "tests/orchestration/test_refusal_tables.py",
    "tests/orchestration/test_settlement.py",
    "tests/providers/test_*_tables.py",
    "tests/providers/test_paystack_words.py",
)
#: One flip may turn a loop endless; that is noticed too.
LONGEST_SECONDS = 60
AT_ONCE = min(4, os.cpu_count() or 1)
SURVIVED, KILLED, BROKEN = 0, 1, 2


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


@dataclass(slots=True)
class Running:
    flip: Flip
    told: int  # the end of a pipe that names the test which noticed


class Runner:
    """Takes the place of pytest's own loop over the tests it has collected."""

    def __init__(self) -> None:
        self.survivors: list[Flip] = []
        self.groups: dict[str, list[pytest.Item]] = {}
        self.noticed: dict[str, Counter[str]] = {}
        self.done = 0

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        if session.testsfailed:
            raise session.Interrupted("tests could not be collected")
        for item in session.items:
            self.groups.setdefault(item.nodeid.partition("[")[0], []).append(item)
        wanted = [flip for table in tables() for flip in flips(table)]
        gc.freeze()
        self._sound()
        say(f"{len(wanted)} flips, {len(session.items)} tests, {AT_ONCE} at once")
        self._run(wanted)
        return True

    def _sound(self) -> None:
        """A test that fails without any flip would notice them all."""
        pid, told = self._fork(Flip("", "nothing", lambda: None))
        if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != SURVIVED:
            raise SystemExit(f"the tests fail as they are: {os.read(told, 4096).decode()}")
        os.close(told)

    def _run(self, wanted: list[Flip]) -> None:
        running: dict[int, Running] = {}
        waiting = iter(wanted)
        for flip in waiting:
            running.update([self._started(flip)])
            while len(running) >= AT_ONCE:
                self._reap(running, len(wanted))
        while running:
            self._reap(running, len(wanted))

    def _started(self, flip: Flip) -> tuple[int, Running]:
        pid, told = self._fork(flip)
        return pid, Running(flip, told)

    def _reap(self, running: dict[int, Running], total: int) -> None:
        pid, status = os.wait()
        one = running.pop(pid)
        test = os.read(one.told, 4096).decode()
        os.close(one.told)
        self.done += 1
        code = os.waitstatus_to_exitcode(status)
        if code == BROKEN:
            raise SystemExit(f"the flip itself failed: {one.flip.table}: {one.flip.what}")
        if code == SURVIVED:
            self.survivors.append(one.flip)
            say(f"  survived: {one.flip.table}: {one.flip.what}")
        elif test:
            self.noticed.setdefault(one.flip.table, Counter())[test] += 1
        if self.done % 100 == 0:
            say(f"  {self.done} of {total}, {len(self.survivors)} survived")

    def _fork(self, flip: Flip) -> tuple[int, int]:
        told, tell = os.pipe()
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            os.close(told)
            self._try(flip, tell)
        os.close(tell)
        return pid, told

    def _try(self, flip: Flip, tell: int) -> NoReturn:
        """In the fork: never returns."""
        code = BROKEN
        try:
            signal.alarm(LONGEST_SECONDS)
            quiet = os.open(os.devnull, os.O_WRONLY)
            os.dup2(quiet, 1)
            os.dup2(quiet, 2)
            flip.apply()
            code = KILLED  # from here on even an exception that breaks pytest itself is the flip's doing
            self._ask_tests(list(self._ordered(flip.table)), tell)
            code = SURVIVED
        finally:
            os._exit(code)

    def _ask_tests(self, items: list[pytest.Item], tell: int) -> None:
        plugins = items[0].config.pluginmanager
        plugins.unregister(name="terminalreporter")
        plugins.register(_FirstFailure(tell))
        for item, following in zip(items, [*items[1:], None], strict=True):
            item.ihook.pytest_runtest_protocol(item=item, nextitem=following)

    def _ordered(self, table: str) -> Iterator[pytest.Item]:
        """First the tests that noticed other flips of this table: most forks end within a few of them."""
        before = [name for name, _ in self.noticed.get(table, Counter()).most_common()]
        for name in [*before, *(name for name in self.groups if name not in before)]:
            yield from self.groups[name]


class _FirstFailure:
    """Ends the fork, and says which test it was."""

    def __init__(self, tell: int) -> None:
        self._tell = tell

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed:
            os.write(self._tell, report.nodeid.partition("[")[0].encode())
            os._exit(KILLED)


def main() -> int:
    files = sorted(file for pattern in TESTS for file in glob.glob(pattern))
    runner, began = Runner(), time.monotonic()
    options = ["-q", "-s", "--assert=plain", "--tb=line", "--noconftest", "-p", "no:cacheprovider"]
    code = pytest.main([*options, *files], plugins=[runner])
    if not runner.done:
        say("nothing was flipped: the tests could not be collected")
        return int(code) or 2
    say(f"{runner.done} flips in {time.monotonic() - began:.0f} s, {len(runner.survivors)} survived")
    if runner.survivors:
        say("Add a literal row to a table test for each of:")
        for flip in runner.survivors:
            say(f"  {flip.table}: {flip.what}")
    return 1 if runner.survivors else 0


if __name__ == "__main__":
    sys.exit(main())
