"""A real worker process, as the service starts it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any

from cli import children
from core.persistence import key_sources
from tests.support.waiting import wait_until
from tests.support.world import World


def write_keys(world: World, file: Path) -> Path:
    """The world's sealing keys in the form of a key file."""
    file.touch(0o600)
    file.write_text(key_sources.write_keys(world.keys))
    return file


class WorkerProcess:
    """`settings` are TOLLGATE_… variables without the prefix; `lanes` is what follows `-Q`."""

    def __init__(
        self, world: World, directory: Path, redis_url: str, number: int = 1, lanes: str = "", **settings: Any
    ) -> None:
        env = {
            **os.environ,
            "REDIS_URL": redis_url,
            "TOLLGATE_KEY_FILE": str(write_keys(world, directory / "keys.json")),
            "TOLLGATE_ALLOW_PRIVATE_WEBHOOK_TARGETS": "true",
            **{f"TOLLGATE_{name.upper()}": str(value) for name, value in settings.items()},
        }
        context = children.Context(directory=directory, env=env)
        self.spec = children.worker(context, number, world.urls.worker)
        argv = [lanes if lanes and before == "-Q" else word for before, word in pairwise(["", *self.spec.argv])]
        self.log = directory / f"worker-{number}.log"
        self._stream = self.log.open("ab")
        self.process = subprocess.Popen(
            argv, env=dict(self.spec.env), cwd=self.spec.cwd, stdout=self._stream, stderr=self._stream
        )
        wait_until(self._ready, "the worker to be ready", 30)

    def _ready(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        return bool(self.spec.ready())

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def wait(self, seconds: float = 40.0) -> int:
        return self.process.wait(seconds)

    def events(self, name: str) -> list[Any]:
        """The worker's log lines of one kind."""
        lines = [line for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [found for found in map(json.loads, lines) if found["event"] == name]

    def close(self) -> None:
        if self.alive:
            self.process.kill()
            self.process.wait()
        self._stream.close()
