"""Payments a second held end to end: the highest open-loop rate at which everything sent becomes final at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
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
#: Seconds over which the load rises for a first guess.
RISE = 6.0

Say = Callable[[str], None]


@dataclass
class Step:
    """One window at a constant rate. `cpu` in milliseconds a payment, by part; latencies of the POST in ms."""

    rate: float
    sent: int
    final: int
    told: int | None
    drain: float
    open_mean: float
    grew: bool
    p50: float
    p99: float
    bad: dict[int, int]
    late_p99: float
    #: Of Postgres as a whole, a payment; the looks of the bench itself are among the commits.
    commits: float
    wal_kb: float
    cpu: dict[str, float] = field(default_factory=dict)

    @property
    def held(self) -> bool:
        return not self.why_not

    @property
    def why_not(self) -> str:
        """What kept it from being held, or nothing."""
        if self.bad:
            return f"refused {self.bad}"
        if self.final != self.sent:
            return f"{self.sent - self.final} not final"
        if self.told is not None and self.told < self.sent:
            return f"{self.sent - self.told} events not received"
        if self.drain > DRAIN:
            return "all final too late"
        return "a queue grew" if self.grew else ""


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
    before, told = subject.done(), subject.told()
    queue = Watch(subject.open)
    written = subject.stack.written()
    spent = Spent(subject.all_groups())
    report = generator.run(
        subject.url, subject.payments(int(rate * seconds) + 1), seconds=seconds, rate=rate, watch=queue
    )
    wait_for(lambda: subject.settled(told + report.good))
    # From the last request due, not from its answer: a late answer is a queue, too.
    drain = time.time() - (report.began + seconds)
    cpu = {**spent.stop(), "load": report.cpu}
    commits, wal = (after - before for after, before in zip(subject.stack.written(), written, strict=True))
    sent = max(1, report.sent)
    return Step(
        rate=rate,
        sent=report.sent,
        final=subject.done() - before,
        told=subject.told() - told if subject.receiver is not None else None,
        drain=drain,
        open_mean=sum(queue.counts) / max(1, len(queue.counts)),
        grew=grows(queue.times, queue.counts, rate),
        p50=report.p(0.50),
        p99=report.p(0.99),
        bad={status: count for status, count in report.statuses.items() if not 200 <= status < 300},
        late_p99=generator.percentile(report.late, 0.99),
        commits=commits / sent,
        wal_kb=wal / 1024 / sent,
        cpu={name: value / sent * 1000 for name, value in cpu.items()},
    )


def wait_for(ready: Callable[[], bool], seconds: float = GIVE_UP) -> bool:
    """Whether it became true in time."""
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.04)
    return True


def estimate(subject: Subject, low: float, high: float, seconds: float) -> float:
    """Payments a second that become final while the load rises evenly from `low` to `high`, until a queue forms."""
    final = Watch(subject.done)

    def watch(passed: float) -> bool:
        final(passed)
        offered = low + (high - low) * passed / seconds
        # Those whose call is under way are no queue; beyond them a second's worth is left to form.
        return subject.open() > offered * 1.3 + 20

    told, asked = subject.told(), subject.payments(int((low + high) / 2 * seconds) + 2)
    report = generator.run(subject.url, asked, seconds=seconds, rate=low, final_rate=high, watch=watch)
    wait_for(lambda: subject.settled(told + report.good))
    return best_window(final.times, final.counts, 1.5)


def measure(subject: Subject, low: float, high: float, say: Say, *, seconds: float, steps: int) -> Held:
    """Finds the rate a started subject holds, from a rising load first and then window by window."""
    window(subject, low, 2.0)  # connections, caches and imports are there afterwards
    guess = estimate(subject, low, high, RISE)
    say(f"{subject.name}: about {guess:.0f}/s while the load rises")
    done: list[Step] = []

    def holds(rate: float) -> bool:
        step = window(subject, rate, seconds)
        done.append(step)
        say(describe(subject.name, step))
        return step.held

    found = search(max(5.0, guess * 0.95), holds, steps)
    return Held(subject.name, found.held, found.failed, guess, done)


def describe(name: str, step: Step) -> str:
    verdict = f"NOT held, {step.why_not}" if step.why_not else "held"
    return (
        f"{name}: {step.rate:.0f}/s {verdict}; all final {step.drain:.2f} s after the last was due, "
        f"{step.open_mean:.0f} open; POST p50 {step.p50:.1f} p99 {step.p99:.1f} ms; {step.commits:.1f} commits and "
        f"{step.wal_kb:.1f} kB of WAL a payment; CPU ms a payment: {cpu_text(step.cpu)}"
    )


def cpu_text(cpu: Mapping[str, float]) -> str:
    """Milliseconds by part and in all."""
    parts = " ".join(f"{part} {value:.2f}" for part, value in cpu.items() if value >= 0.005)
    return f"{parts} = {sum(cpu.values()):.2f}"


def lanes(subject: Any, rate: float, seconds: float) -> dict[str, Any]:
    """Tollgate under a constant load: the queue of each lane, and whether it grew."""
    names = ("payments", "webhooks", "deliveries")
    watches = {name: Watch(lambda name=name: subject.lane(name)) for name in names}

    def watch(passed: float) -> None:
        for one in watches.values():
            one(passed)

    report = generator.run(
        subject.url, subject.payments(int(rate * seconds) + 1), seconds=seconds, rate=rate, watch=watch
    )
    drained = wait_for(subject.settled)
    drain = time.time() - (report.began + seconds)
    shown: dict[str, Any] = {"rate": rate, "drain": drain, "all_good": report.all_good and drained}
    for name, one in watches.items():
        quarter = max(1, len(one.counts) // 4)
        shown[name] = {
            "mean": sum(one.counts) / max(1, len(one.counts)),
            "last_quarter": sum(one.counts[-quarter:]) / quarter,
            "grew": grows(one.times, one.counts, rate),
        }
    return shown
