"""Starts the load generator, lets the caller watch while it runs, and reads its report."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench.numbers import percentile

ROOT = Path(__file__).resolve().parent.parent
CONNECTIONS = 128


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
    watch: Callable[[float], None] | None = None,
    every: float = 0.25,
) -> Report:
    """Sends at `rate` a second (rising evenly to `final_rate`), or as fast as answers come with `rate` 0.

    `watch` is called every so many seconds with the seconds since the begin.
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
    try:
        assert child.stdin is not None and child.stdout is not None
        child.stdin.write(json.dumps(plan) + "\n")
        child.stdin.close()
        child.stdout.readline()
        _watch(seconds, every, watch)
        told = json.loads(child.stdout.readline())
        child.wait(10)
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()
    told["statuses"] = {int(status): count for status, count in told["statuses"].items()}
    return Report(**told)


def _watch(seconds: float, every: float, watch: Callable[[float], None] | None) -> None:
    begun = time.monotonic()
    while (passed := time.monotonic() - begun) < seconds:
        if watch is not None:
            watch(passed)
        time.sleep(max(0.0, min(every, seconds - (time.monotonic() - begun))))
