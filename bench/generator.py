"""Starts the load generator, lets the caller watch while it runs, and reads its report."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import IO, Any
from urllib.parse import urlsplit

from bench.numbers import percentile

ROOT = Path(__file__).resolve().parent.parent
CONNECTIONS = 128
#: Seconds beyond its time after which a generator is given up: it waits 20 s for the last answers.
LONGEST = 40.0


@dataclass(frozen=True)
class Report:
    """What a load came to; latencies in milliseconds from the moment each request was due, sorted."""

    began: float
    sent: int
    statuses: Mapping[int, int]
    seconds: float
    latencies: Sequence[float]
    late: Sequence[float]
    most_waiting: int
    cpu: float

    @property
    def good(self) -> int:
        return sum(count for status, count in self.statuses.items() if 200 <= status < 300)

    @property
    def all_good(self) -> bool:
        return self.good == self.sent

    @property
    def per_second(self) -> float:
        return self.good / self.seconds if self.seconds else 0.0

    def p(self, share: float) -> float:
        return percentile(self.latencies, share)


def request(method: str, path: str, headers: Mapping[str, str], body: str = "") -> str:
    """The text of one HTTP/1.1 request as it goes over the wire."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *(f"{name}: {value}" for name, value in headers.items())]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body.encode())}"]
    return "\r\n".join(lines) + "\r\n\r\n" + body


def run(
    url: str,
    requests: Sequence[str],
    *,
    seconds: float,
    rate: float = 0.0,
    final_rate: float | None = None,
    connections: int = CONNECTIONS,
    repeat: bool = False,
    watch: Callable[[float], bool | None] | None = None,
    every: float = 0.25,
) -> Report:
    """Sends at `rate` a second (rising evenly to `final_rate`), or as fast as answers come with `rate` 0.

    `watch` is called every so many seconds with the seconds since the begin; once it says True no more is sent.
    """
    parts = urlsplit(url)
    plan: dict[str, Any] = {"host": parts.hostname, "port": parts.port, "seconds": seconds, "rate": rate}
    plan |= {"final_rate": rate if final_rate is None else final_rate, "connections": connections}
    plan |= {"requests": list(requests), "repeat": repeat}
    child = subprocess.Popen(
        [sys.executable, "-m", "bench.load"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        text=True,
    )
    lines: Queue[str] = Queue()
    try:
        assert child.stdin is not None
        assert child.stdout is not None
        Thread(target=_read, args=(child.stdout, lines), daemon=True).start()
        child.stdin.write(json.dumps(plan) + "\n")
        child.stdin.close()
        lines.get(timeout=60)
        line = _watch(lines, seconds, every, watch, child.terminate)
        child.wait(10)
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()
    told = json.loads(line)
    told["statuses"] = {int(status): count for status, count in told["statuses"].items()}
    return Report(**told)


def _read(stream: IO[str], lines: Queue[str]) -> None:
    for line in stream:
        lines.put(line)
    lines.put("")


def _watch(
    lines: Queue[str],
    seconds: float,
    every: float,
    watch: Callable[[float], bool | None] | None,
    end: Callable[[], None],
) -> str:
    """Watches until the report is there, and returns it."""
    begun, ended = time.monotonic(), False
    while True:
        passed = time.monotonic() - begun
        if passed < seconds and not ended and watch is not None and watch(passed):
            ended = True
            end()
        with suppress(Empty):
            return lines.get(timeout=every)
        if passed > seconds + LONGEST:
            raise RuntimeError("the load generator does not end")
