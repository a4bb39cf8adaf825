"""Rows about requests alone: payments accepted, webhooks acknowledged, reads. The workers stand still meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bench import generator
from bench.end_to_end import Say
from bench.machine import Spent
from bench.subjects import Subject

#: Connections that keep a gate of 16 threads busy, without a queue that hides its own length.
BUSY = 48
Make = Callable[[int], Sequence[str]]


@dataclass
class Gate:
    """How many requests a second were answered at most, and how fast at half of that; CPU in ms a request."""

    subject: str
    per_second: float
    per_core: float
    half_rate: float
    p50: float
    p99: float
    refused: int
    asked: int
    cpu: dict[str, float]
    late_p99: float


def measure(
    subject: Subject, what: str, make: Make, say: Say, *, seconds: float, most: int, repeat: bool = False
) -> Gate:
    """As fast as answers come first, then open loop at half of that rate.

    `make` gives so many requests; `most` is how many a second are prepared for the first part. Processor time that
    counts for `per_core` is that of the gate's processes and of Postgres.
    """
    generator.run(subject.url, make(200), seconds=5.0, connections=16)  # connections and caches are there afterwards
    spent = Spent(subject.all_groups())
    full = generator.run(
        subject.url, make(200 if repeat else int(most * seconds)), seconds=seconds, connections=BUSY, repeat=repeat
    )
    cpu = spent.stop()
    rate = max(10.0, full.per_second / 2)
    count = 200 if repeat else int(rate * seconds) + 1
    half = generator.run(subject.url, make(count), seconds=seconds, rate=rate, repeat=repeat)
    busy = cpu.get("api", 0.0) + cpu.get("postgres", 0.0)
    found = Gate(
        subject=subject.name,
        per_second=full.per_second,
        per_core=full.good / busy if busy else 0.0,
        half_rate=rate,
        p50=half.p(0.50),
        p99=half.p(0.99),
        refused=full.sent - full.good + half.sent - half.good,
        asked=full.sent + half.sent,
        cpu={part: value / max(1, full.good) * 1000 for part, value in cpu.items()},
        late_p99=generator.percentile(half.late, 0.99),
    )
    say(
        f"{subject.name}: {what} {found.per_second:.0f}/s, {found.per_core:.0f} a core-second; at {rate:.0f}/s p50 "
        f"{found.p50:.1f} p99 {found.p99:.1f} ms; {found.refused} refused"
    )
    return found


def reads(path: str, key: str, ids: Sequence[str]) -> Make:
    headers = {"Authorization": f"Bearer {key}"}

    def make(count: int) -> list[str]:
        return [generator.request("GET", f"{path}/{one}", headers) for one in (list(ids) * count)[:count]]

    return make


def duplicates(subject: Subject, requests: Sequence[str], rows: Callable[[], int]) -> dict[str, Any]:
    """The same webhooks a second time: answered well, and no row more."""
    before = rows()
    report = generator.run(subject.url, requests, seconds=20.0, connections=16)
    return {"sent_again": report.sent, "answered": report.good, "rows_more": rows() - before}
