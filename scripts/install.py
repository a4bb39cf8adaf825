"""Makes .venv from a lock, once for every change of it, showing that it moves (standard library alone)."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
# A clone runs everything by itself, servers and local providers too; an image takes requirements.lock alone.
LOCKS = {"runtime": "requirements-local.lock", "dev": "requirements-dev.lock"}
# Without a terminal a line now and then is enough to tell a slow download from a stuck one.
PLAIN_INTERVAL = 10.0


class StepFailedError(Exception):
    """A step ended with an error; the text is for the person at the terminal."""


class Progress:
    """One line on standard error that changes while a step runs."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.detail = ""
        self._live = sys.stderr.isatty()
        self._started = time.monotonic()
        self._ended = threading.Event()

    def _line(self) -> str:
        return f"{self.title} {self.detail} ({time.monotonic() - self._started:.0f} s)".replace("  ", " ")

    def _tick(self) -> None:
        while not self._ended.wait(0.2 if self._live else PLAIN_INTERVAL):
            if self._live:
                sys.stderr.write(f"\r\033[K{self._line()}"[:200])
            else:
                sys.stderr.write(f"{self._line()}\n")
            sys.stderr.flush()

    @contextmanager
    def shown(self) -> Iterator[Progress]:
        if not self._live:
            sys.stderr.write(f"{self.title}\n")
            sys.stderr.flush()
        ticker = threading.Thread(target=self._tick, daemon=True)
        ticker.start()
        try:
            yield self
        finally:
            self._ended.set()
            ticker.join()
            if self._live:
                sys.stderr.write(f"\r\033[K{self._line()}\n")
                sys.stderr.flush()


def environment() -> dict[str, str]:
    """Pip must put things into this environment and nowhere else, whatever the user's settings say."""
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("PYTHONHOME", "PYTHONPATH", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT"))
    }
    return kept | {"PIP_USER": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}


def run(progress: Progress, arguments: list[str], total: int = 0) -> None:
    """Runs one command, its output into .venv/install.log, counting the packages it gets to."""
    seen = 0
    with (VENV / "install.log").open("a", encoding="utf-8") as log:
        child = subprocess.Popen(
            arguments,
            cwd=ROOT,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        tail: list[str] = []
        for line in child.stdout or ():
            log.write(line)
            tail = [*tail[-14:], line]
            if re.match(r"Collecting |Requirement already satisfied", line):
                seen = min(seen + 1, total)
                progress.detail = f"{seen} of {total}" if total else ""
            elif line.startswith("Installing collected"):
                progress.detail = f"unpacking {total}" if total else ""
        if child.wait() != 0:
            raise StepFailedError(f"{progress.title}: failed (all of it: .venv/install.log)\n{''.join(tail)}")


def fingerprint(kind: str) -> str:
    """Changes with whatever the installation is made from, its place included (the scripts name it)."""
    parts = [sys.version.encode(), os.fsencode(ROOT), Path(__file__).read_bytes()]
    parts += [(ROOT / name).read_bytes() for name in (LOCKS[kind], "pyproject.toml")]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def stamped(kind: str) -> bool:
    stamp = VENV / f"installed-{kind}"
    return PYTHON.exists() and stamp.is_file() and stamp.read_text().strip() == fingerprint(kind)


def make_environment() -> None:
    """A fresh environment if there is none, or if it was made by another Python or in another place."""
    made_for = f"{sys.version}\n{ROOT}\n"
    marker = VENV / "made-for"
    if PYTHON.exists() and marker.is_file() and marker.read_text(encoding="utf-8") == made_for:
        return
    VENV.mkdir(exist_ok=True)
    with Progress("Making the virtual environment .venv").shown() as progress:
        run(progress, [sys.executable, "-I", "-m", "venv", "--clear", str(VENV)])
    marker.write_text(made_for, encoding="utf-8")


def install(kind: str) -> None:
    lock = LOCKS[kind]
    # Lines with a condition (after a semicolon) are for other versions of Python.
    total = sum("==" in line and ";" not in line for line in (ROOT / lock).read_text().splitlines())
    pip = [str(PYTHON), "-I", "-m", "pip", "install", "--progress-bar", "off", "--no-color"]
    what = "the packages" if kind == "runtime" else "the packages for the tests"
    with Progress(f"Installing {what} of {lock}").shown() as progress:
        run(progress, [*pip, "--require-hashes", "-r", lock], total)
    with Progress("Installing tollgate itself").shown() as progress:
        run(progress, [*pip, "--no-deps", "--no-build-isolation", "--no-index", "-e", "."])
    for covered in ("runtime", kind):  # the tests' lock holds the whole of the other one
        (VENV / f"installed-{covered}").write_text(fingerprint(covered) + "\n")


def main(kind: str) -> int:
    if stamped(kind):
        return 0
    try:
        make_environment()
        install(kind)
    except StepFailedError as failure:
        sys.stderr.write(f"{failure}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "runtime"))
