"""The program as it was before the newest migration, with a service of its own that runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from core.persistence.revisions import revisions

ROOT = Path(__file__).resolve().parents[2]
VERSIONS = "core/persistence/migrations/versions"
PROGRAM = Path(__file__).with_name("older_program.py")


def git(*arguments: str) -> bytes:
    """Fails the test where the history is not there: an upgrade cannot be shown without what it begins with."""
    try:
        return subprocess.run(["git", "-C", str(ROOT), *arguments], check=True, capture_output=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.fail(
            "the program before the newest migration is read from the history: this test needs git and a full clone "
            f"(`git fetch --unshallow`). {error}",
            pytrace=False,
        )


def before_newest_migration() -> str:
    """The commit before the one that added it; the newest where it is not committed yet."""
    (file,) = (ROOT / VERSIONS).glob(f"{revisions()[-1]}_*.py")
    added = git("log", "--diff-filter=A", "--format=%H", "--", f"{VERSIONS}/{file.name}").decode().split()
    return f"{added[-1]}^" if added else "HEAD"


def unpack(commit: str, to: Path) -> Path:
    with tarfile.open(fileobj=BytesIO(git("archive", "--format=tar", commit))) as archive:
        archive.extractall(to, filter="data")
    return to


class OlderService:
    """Its api listens at `port`; providers send their events to `hooks`."""

    def __init__(self, tree: Path, directory: Path, port: int, hooks: int) -> None:
        self._log = (directory / "older.log").open("wb")
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(PROGRAM), str(directory / "data"), str(port), str(hooks)],
            cwd=tree,
            env={**os.environ, "PYTHONPATH": str(tree)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        try:
            told = self._answer()
        except BaseException:
            self.close()
            raise
        self.url = f"http://127.0.0.1:{port}"
        self.environment: dict[str, str] = {**told["environment"], "PYTHONPATH": str(ROOT)}
        self.owner_url, self.api_url, self.worker_url = told["databases"]
        self.test_key: str = told["test_key"]
        self.sandbox_urls: dict[str, str] = told["sandbox_urls"]

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"the older program ended: {Path(self._log.name).read_text()}"
        return json.loads(line)

    def stop(self, name: str) -> None:
        """Returns when the child has ended."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{name}\n")
        self._process.stdin.flush()
        assert self._answer() == {"stopped": name}

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._log.close()
