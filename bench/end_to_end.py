"""Payments a second held end to end: the highest open-loop rate at which everything sent becomes final at once."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from bench import generator
from bench.machine import Spent
from bench.numbers import best_window, grows, search
from bench.subjects import Subject

#: Seconds after the last request by which all must be final: the provider's 300 ms, and as much again and more for
#: noise. A queue that grew by a tenth over the window needs longer.
DRAIN = 1.0
#: Nothing waits for ever: what is not final by then is lost.
GIVE_UP = 60.0

Say = Callable[[str], None]


@dataclass
class Step:
    """One window at a constant rate. `cpu` in milliseconds a payment, by part; latencies of the POST in ms."""

    rate: float
    sent: int
    final: int
    drain: float
    open_mean: float
    grew: bool
    p50: float
    p99: float
    bad: dict[int, int]
    late_p99: float
    cpu: dict[str, float] = field(default_factory=dict)

    @property
    def held(self) -> bool:
        return not self.bad and self.final == self.sent and self.drain <= DRAIN and not self.grew


@dataclass
class Held:
    """What a search came to; `at` is the window at the rate held."""

    subject: str
    rate: float
    failed: float | None
    estimate: float
    steps: list[Step]

    @property
    def at(self) -> Step | None:
        return next((step for step in self.steps if step.rate == self.rate), None)

    def shown(self) -> dict[str, Any]:
        return asdict(self)


class Watch:
    """Counts while a load runs."""

    def __init__(self, count: Callable[[], int]) -> None:
        self._count = count
        self.times: list[float] = []
        self.counts: list[float] = []

    def __call__(self, passed: float) -> None:
        self.counts.append(self._count())
        self.times.append(time.monotonic())


def window(subject: Subject, rate: float, seconds: float) -> Step:
    """A constant load, and whether it was held."""
    before = subject.done()
    queue = Watch(subject.open)
    spent = Spent(subject.all_groups())
    report = generator.run(
        subject.url, subject.payments(int(rate * seconds) + 1), seconds=seconds, rate=rate, watch=queue
    )
    ended = time.time()
    _wait(lambda: subject.done() - before >= report.good)
    # From the last request due, not from its answer: a late answer is a queue, too.
    drain = max(time.time() - (report.began + seconds), time.time() - ended)
    cpu = {**spent.stop(), "load": report.cpu}
    sent = max(1, report.sent)
    return Step(
        rate=rate,
        sent=report.sent,
        final=subject.done() - before,
        drain=drain,
        open_mean=sum(queue.counts) / max(1, len(queue.counts)),
        grew=grows(queue.times, queue.counts, rate),
        p50=report.p(0.50),
        p99=report.p(0.99),
        bad={status: count for status, count in report.statuses.items() if not 200 <= status < 300},
        late_p99=generator.percentile(report.late, 0.99),
        cpu={name: value / sent * 1000 for name, value in cpu.items()},
    )


def _wait(ready: Callable[[], bool], seconds: float = GIVE_UP) -> bool:
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def estimate(subject: Subject, low: float, high: float, seconds: float) -> float:
    """Payments a second that become final while the load rises evenly from `low` to `high`."""
    final = Watch(subject.done)
    before = subject.done()
    asked = subject.payments(int((low + high) / 2 * seconds) + 2)
    report = generator.run(subject.url, asked, seconds=seconds, rate=low, final_rate=high, watch=final)
    _wait(lambda: subject.done() - before >= report.good)
    return best_window(final.times, final.counts, 2.0)


def measure(subject: Subject, low: float, high: float, say: Say, *, seconds: float, steps: int) -> Held:
    """Finds the rate held, from a rising load first and then window by window."""
    subject.start()
    try:
        window(subject, low, 2.0)  # connections, caches and imports are there afterwards
        guess = estimate(subject, low, high, 8.0)
        say(f"{subject.name}: about {guess:.0f}/s while the load rises")
        done: list[Step] = []

        def holds(rate: float) -> bool:
            step = window(subject, rate, seconds)
            done.append(step)
            say(describe(subject.name, step))
            return step.held

        found = search(max(5.0, guess * 0.95), holds, steps)
    finally:
        subject.stop()
    return Held(subject.name, found.held, found.failed, guess, done)


def describe(name: str, step: Step) -> str:
    why = "" if step.held else f", {(len(step.bad) and step.bad) or ''} {step.sent - step.final} not final"
    cpu = " ".join(f"{part} {value:.2f}" for part, value in step.cpu.items())
    return (
        f"{name}: {step.rate:.0f}/s {'held' if step.held else 'not held'}{why}; all final {step.drain:.2f} s after the "
        f"last, {step.open_mean:.0f} open; POST p50 {step.p50:.1f} p99 {step.p99:.1f} ms; CPU ms a payment: {cpu}"
    )
