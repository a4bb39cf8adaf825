"""A Redis-compatible server of a test's own, which it may stop, freeze and empty."""

from __future__ import annotations

import base64
import json
import subprocess
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from cli.embedded_redis import server_program
from cli.ports import free_port
from tests.support.waiting import wait_until


class Broker:
    def __init__(self, started: bool = True) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.client = redis.Redis(port=self.port, socket_timeout=2, retry=Retry(NoBackoff(), 0))
        self._process: subprocess.Popen[bytes] | None = None
        if started:
            self.start()

    def start(self) -> None:
        command = [str(server_program()), "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(self._answers, "the broker to start")

    def _answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except redis.RedisError:
            return False

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def close(self) -> None:
        self.kill()
        self.client.close()

    def messages(self, lane: str) -> list[Any]:
        """Arguments of the messages that wait in a lane's queue, oldest first."""
        entries: Any = self.client.lrange(f"tollgate:{lane}", 0, -1)
        found = [json.loads(base64.b64decode(json.loads(entry)["body"]))[0] for entry in entries]
        return list(reversed(found))

    def push(self, lane: str, entry: bytes) -> None:
        self.client.lpush(f"tollgate:{lane}", entry)
