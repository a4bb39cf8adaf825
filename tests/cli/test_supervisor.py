"""The supervisor with small children: order, restarts, time limits, and its own violent death."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cli import leftovers
from cli.processes import ChildFailed, Spec
from cli.supervisor import Supervisor
from tests.cli.waiting import alive, wait_until

#: Says that it runs, then says what it was ended by, and ends.
POLITE = """
import os, signal, sys, time
name, folder = sys.argv[1:3]
def end(number, frame):
    with open(f"{folder}/diary", "a") as diary: diary.write(f"{name} ends\\n")
    os._exit(0)
signal.signal(signal.SIGTERM, end)
with open(f"{folder}/diary", "a") as diary: diary.write(f"{name} runs\\n")
open(f"{folder}/{name}.ready", "w").write(str(os.getpid()))
while True: time.sleep(60)
"""
#: Ignores SIGTERM and has a child of its own that does, too.
STUBBORN = """
import os, signal, sys, time
name, folder = sys.argv[1:3]
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    open(f"{folder}/{name}.grandchild", "w").write(str(os.getpid()))
else:
    while not os.path.exists(f"{folder}/{name}.grandchild"): time.sleep(0.01)
    open(f"{folder}/{name}.ready", "w").write(str(os.getpid()))
while True: time.sleep(60)
"""
FALLING = "import sys; sys.exit('the reason why')"

Events = list[tuple[str, dict[str, Any]]]
MakeSpec = Callable[..., Spec]


@pytest.fixture
def make_spec(tmp_path: Path) -> MakeSpec:
    def make(name: str, code: str = POLITE, **more: Any) -> Spec:
        ready_file = tmp_path / f"{name}.ready"
        return Spec(
            name=name,
            argv=[sys.executable, "-c", code, name, str(tmp_path)],
            log=tmp_path / "logs" / f"{name}.log",
            ready=ready_file.exists,
            ready_file=ready_file,
            **{"ready_timeout": 10.0, "stop_timeout": 5.0, **more},
        )

    return make


@pytest.fixture
def events() -> Events:
    return []


@pytest.fixture
def supervisor(events: Events) -> Iterator[Supervisor]:
    started = Supervisor(lambda event, details: events.append((event, details)))
    yield started
    started.hurry.set()
    started.stop()


def names(events: Events) -> list[str]:
    return [event for event, _ in events]


def test_children_stop_in_reverse_order(supervisor: Supervisor, make_spec: MakeSpec, tmp_path: Path) -> None:
    for name in ("first", "second", "third"):
        supervisor.start(make_spec(name))
    assert list(supervisor.pids) == ["first", "second", "third"]
    supervisor.stop()
    lines = (tmp_path / "diary").read_text().splitlines()
    assert lines == [f"{name} runs" for name in ("first", "second", "third")] + [
        f"{name} ends" for name in ("third", "second", "first")
    ]


def test_dead_child_is_restarted_and_reported(supervisor: Supervisor, make_spec: MakeSpec, events: Events) -> None:
    supervisor.start(make_spec("worker"))
    first = supervisor.pids["worker"]
    supervisor.signal("worker", signal.SIGKILL)
    wait_until(lambda: "child_restarted" in names(events))
    assert supervisor.pids["worker"] != first
    event, details = events[0]
    assert (event, details["child"], details["pid"], details["ended_with"]) == (
        "child_died",
        "worker",
        first,
        "signal SIGKILL",
    )


def test_restarts_back_off(supervisor: Supervisor, make_spec: MakeSpec, events: Events, tmp_path: Path) -> None:
    once = "import os, sys; sys.exit(3) if os.path.exists(sys.argv[2] + '/fall') else None\n"
    supervisor.start(make_spec("worker", once + POLITE))
    (tmp_path / "fall").touch()
    supervisor.signal("worker", signal.SIGKILL)
    wait_until(lambda: names(events).count("child_died") >= 3)
    waits = [details["restart_in"] for _, details in events[:3]]
    assert waits == sorted(set(waits))
    (tmp_path / "fall").unlink()
    wait_until(lambda: "child_restarted" in names(events))


def test_stopped_child_stays_down_until_started(supervisor: Supervisor, make_spec: MakeSpec, events: Events) -> None:
    supervisor.start(make_spec("redis"))
    supervisor.start(make_spec("other"))
    supervisor.stop_child("redis")
    supervisor.signal("other", signal.SIGKILL)
    wait_until(lambda: "child_restarted" in names(events))
    assert list(supervisor.pids) == ["other"]
    supervisor.start_child("redis")
    assert set(supervisor.pids) == {"redis", "other"}
    assert {details["child"] for _, details in events} == {"other"}


def test_stubborn_child_is_killed_with_its_own_children(
    supervisor: Supervisor, make_spec: MakeSpec, tmp_path: Path
) -> None:
    supervisor.start(make_spec("stubborn", STUBBORN, stop_timeout=0.2))
    pids = [supervisor.pids["stubborn"], int((tmp_path / "stubborn.grandchild").read_text())]
    supervisor.stop()
    wait_until(lambda: not any(alive(pid) for pid in pids))


def test_hurry_ends_the_wait(supervisor: Supervisor, make_spec: MakeSpec) -> None:
    supervisor.start(make_spec("stubborn", STUBBORN, stop_timeout=600.0))
    pid = supervisor.pids["stubborn"]
    supervisor.hurry.set()
    supervisor.stop()
    assert not alive(pid)


def test_child_that_falls_is_explained_by_its_log(supervisor: Supervisor, make_spec: MakeSpec) -> None:
    with pytest.raises(ChildFailed, match="exit code 1 while starting") as raised:
        supervisor.start(make_spec("falling", FALLING))
    assert "the reason why" in str(raised.value)
    assert supervisor.pids == {}


def test_child_that_is_never_ready_is_ended(supervisor: Supervisor, make_spec: MakeSpec, tmp_path: Path) -> None:
    silent = POLITE.replace(".ready", ".started")
    with pytest.raises(ChildFailed, match="not ready after"):
        supervisor.start(make_spec("silent", silent, ready_timeout=1.0))
    assert not alive(int((tmp_path / "silent.started").read_text()))


def test_one_that_falls_takes_the_others_of_its_start_along(supervisor: Supervisor, make_spec: MakeSpec) -> None:
    with pytest.raises(ChildFailed, match="falling"):
        supervisor.start_all([make_spec("worker"), make_spec("falling", FALLING)])
    assert supervisor.pids == {}


def test_cancelling_ends_a_start(supervisor: Supervisor, make_spec: MakeSpec) -> None:
    supervisor.cancelled.set()
    with pytest.raises(ChildFailed, match="was stopped while starting"):
        supervisor.start(make_spec("slow", "import time; time.sleep(600)"))


def test_large_log_makes_room(supervisor: Supervisor, make_spec: MakeSpec, tmp_path: Path) -> None:
    log = tmp_path / "logs" / "worker.log"
    log.parent.mkdir()
    log.write_bytes(b"x" * (6 * 1024 * 1024))
    supervisor.start(make_spec("worker"))
    assert log.stat().st_size < 1024
    assert (tmp_path / "logs" / "worker.log.1").stat().st_size == 6 * 1024 * 1024


SUPERVISED = """
import sys
from pathlib import Path
from tests.cli.test_supervisor import POLITE, STUBBORN, Spec
from cli import leftovers
from cli.lock import DirectoryLock
from cli.supervisor import Supervisor
folder = Path(sys.argv[1])
lock = DirectoryLock(folder)
lock.take()
supervisor = Supervisor(lambda event, details: None, keep_open=[lock.descriptor], grace=0.5)
for name, code in (("polite", POLITE), ("stubborn", STUBBORN)):
    ready = folder / f"{name}.ready"
    argv = [sys.executable, "-c", code, name, str(folder)]
    supervisor.start(Spec(name=name, argv=argv, log=folder / f"{name}.log", ready=ready.exists))
leftovers.record(folder / "children.json", supervisor.pids)
print(supervisor._guard.pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def supervised(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], list[int], int]]:
    """A supervisor in a process of its own, the pids of its children and grandchild, and its guard's."""
    process = subprocess.Popen(
        [sys.executable, "-c", SUPERVISED, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    with process:
        assert process.stdout is not None
        guard = int(process.stdout.readline())
        files = ("polite.ready", "stubborn.ready", "stubborn.grandchild")
        pids = [int((tmp_path / name).read_text()) for name in files]
        yield process, pids, guard
        process.kill()
        for pid in pids:
            if alive(pid):
                os.kill(pid, signal.SIGKILL)


def test_children_do_not_outlive_a_killed_supervisor(
    supervised: tuple[subprocess.Popen[str], list[int], int], tmp_path: Path
) -> None:
    process, pids, guard = supervised
    process.kill()
    wait_until(lambda: not any(alive(pid) for pid in [*pids, guard]), 15.0)
    assert "polite ends" in (tmp_path / "diary").read_text()


def test_lock_is_held_until_the_last_child_has_ended(
    supervised: tuple[subprocess.Popen[str], list[int], int], tmp_path: Path
) -> None:
    from cli.lock import DirectoryLock

    process, pids, _ = supervised
    process.kill()
    process.wait()
    waited: list[bool] = []
    lock = DirectoryLock(tmp_path)
    lock.take(on_wait=lambda: waited.append(alive(pids[1])))
    assert waited == [True]
    assert not any(alive(pid) for pid in pids)
    lock.release()


def test_next_start_ends_what_outlived_supervisor_and_guard(
    supervised: tuple[subprocess.Popen[str], list[int], int], tmp_path: Path
) -> None:
    process, pids, guard = supervised
    os.kill(guard, signal.SIGKILL)
    wait_until(lambda: not alive(guard))
    process.kill()
    process.wait()
    assert all(alive(pid) for pid in pids)
    assert set(leftovers.clear(tmp_path / "children.json", grace=0.5)) == {"polite", "stubborn"}
    wait_until(lambda: not any(alive(pid) for pid in pids))
    assert leftovers.clear(tmp_path / "children.json") == []


def test_recorded_number_of_another_process_is_left_alone(tmp_path: Path) -> None:
    leftovers.record(tmp_path / "children.json", {"me": os.getpid()})
    text = (tmp_path / "children.json").read_text()
    (tmp_path / "children.json").write_text(text.replace('"started": 1', '"started": 2'))
    assert leftovers.clear(tmp_path / "children.json") == []


def test_broken_report_ends_no_watch(make_spec: MakeSpec) -> None:
    told: list[str] = []

    def report(event: str, details: dict[str, Any]) -> None:
        told.append(event)
        if event == "child_died":
            raise OSError("no space left on device")

    supervisor = Supervisor(report)
    try:
        supervisor.start(make_spec("worker"))
        for _ in range(2):
            count = told.count("child_restarted")
            supervisor.signal("worker", signal.SIGKILL)
            wait_until(lambda count=count: told.count("child_restarted") > count)
        assert "watching_failed" in told
    finally:
        supervisor.stop()
