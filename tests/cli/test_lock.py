"""One supervisor a data directory."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cli.lock import AlreadyRunning, DirectoryLock, running


def test_second_one_is_told_who_has_it(tmp_path: Path) -> None:
    first, second = DirectoryLock(tmp_path), DirectoryLock(tmp_path)
    first.take()
    with pytest.raises(AlreadyRunning, match=f"process {os.getpid()}, still starting"):
        second.take()
    first.tell({"api": "http://127.0.0.1:1"})
    with pytest.raises(AlreadyRunning, match=f"process {os.getpid()}, http://127.0.0.1:1"):
        second.take()
    first.release()
    second.take()
    second.release()


def test_running_names_a_living_holder_only(tmp_path: Path) -> None:
    assert running(tmp_path) is None
    lock = DirectoryLock(tmp_path)
    lock.take()
    lock.tell({"api": "http://127.0.0.1:1"})
    found = running(tmp_path)
    assert found is not None
    assert (found["pid"], found["api"]) == (os.getpid(), "http://127.0.0.1:1")
    lock.release()
    (tmp_path / "lock").write_text('{"pid": 1, "started": 1.0}')
    assert running(tmp_path) is None
