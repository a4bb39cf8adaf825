"""The hook by which a process dies at a crash point, planted into real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.chaos.arming import PLANT, Crashes

ROOT = Path(__file__).parents[2]


@pytest.fixture
def crashes(tmp_path: Path) -> Crashes:
    return Crashes(tmp_path)


def ends(crashes: Crashes | None, script: str, **more: str) -> int:
    """The exit code of a process that runs `script`; minus the number of the signal it died of."""
    env: Mapping[str, str] = {**os.environ, "PYTHONPATH": str(PLANT), **more}
    if crashes is not None:
        env = {**env, "CHAOS_DIRECTORY": str(crashes.directory)}
    code = f"from core import points\n{script}"
    return subprocess.run([sys.executable, "-c", code], env=env, cwd=ROOT, timeout=30).returncode


VISIT = "points.reached('job.claimed', 'create_payment')\n"


def test_one_process_dies_at_the_point_and_the_next_lives(crashes: Crashes) -> None:
    order = crashes.arm("job.claimed", "create_*")
    assert ends(crashes, "points.reached('job.claimed', 'refund_payment'); points.reached('job.settled')") == 0
    assert ends(crashes, VISIT) == -signal.SIGKILL
    assert ends(crashes, VISIT) == 0
    (death,) = crashes.fired()
    assert (death["name"], death["point"], death["kind"]) == (order, "job.claimed", "create_payment")
    assert crashes.wait(order, 1) == death
    assert crashes.seen() == {
        ("job.claimed", "refund_payment"),
        ("job.settled", ""),
        ("job.claimed", "create_payment"),
    }


def test_the_nth_visit_of_all_processes_counts(crashes: Crashes) -> None:
    crashes.arm("job.claimed", nth=3)
    assert ends(crashes, VISIT) == 0
    assert ends(crashes, VISIT * 2) == -signal.SIGKILL
    assert len(crashes.fired()) == 1


def test_a_death_in_the_middle_of_anothers_is_one_too(crashes: Crashes) -> None:
    order = crashes.arm("job.claimed")
    armed = crashes.directory / "armed" / order
    armed.rename(crashes.directory / "fired" / f"{order}.dying")
    assert [one["name"] for one in crashes.fired()] == [order]
    assert crashes.disarm(order) == []


def test_what_is_taken_back_kills_nobody(crashes: Crashes) -> None:
    order = crashes.arm("job.claimed")
    assert crashes.disarm(order) == [order]
    assert ends(crashes, VISIT) == 0


def test_without_a_folder_there_is_no_hook() -> None:
    assert ends(None, "assert points.hook is None\n" + VISIT, CHAOS_DIRECTORY="") == 0


def test_only_points_that_there_are_can_be_armed(crashes: Crashes) -> None:
    with pytest.raises(ValueError, match=r"job.clamed is no crash point; they are: accept.written"):
        crashes.arm("job.clamed")
