"""Long outages under load, with the product's own leases and time-outs: Redis, Postgres, a provider, and beat."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import redis
import requests

from core.domain.identifiers import parse_id
from core.settings import Settings
from tests.chaos.looking import Stuck
from tests.chaos.recovery import BOUNDS, Recovery
from tests.chaos.report import Options, Report, Row
from tests.chaos.settings import SHORTENED
from tests.chaos.shop import PAYSTACK_CARD, submit
from tests.chaos.soak import rest
from tests.chaos.stage import Stage
from tests.chaos.stream import Answer, Stream, ask, middle_and_p95
from tests.chaos.tally import tally
from tests.support.waiting import wait_until

#: Payments a second.
RATE = 12.0
#: Seconds of load before the outage, by which it is measured.
BEFORE = 30.0
#: Of Redis and of the provider within it; of Postgres gone and frozen. The short form is for trying the code out.
REDIS, SHORT_REDIS = 300.0, 30.0
PROVIDER, SHORT_PROVIDER = 60.0, 10.0
GONE, FROZEN = 30.0, 20.0
RESTARTS, SHORT_RESTARTS = 50, 5
#: What a request may take longer while Redis is gone, in seconds.
LONGER = 0.1
#: Seconds after the last restart within which every worker listens again: the pauses between its tries have grown.
LISTEN = 60.0
#: A hint is obeyed within this, while polling alone takes up to a second: so many of so many are to be.
HINTED, TRIES, ENOUGH = 0.2, 8, 6
#: Payments asked for while Postgres is gone.
ASKED = 12
#: The local Stripe tries a webhook again after 2, 24 and 72 s: longer than any outage here.
RETRY_SCALE = 1 / 150


@dataclass
class Scene:
    stage: Stage
    recovery: Recovery
    report: Report
    short: bool

    def row(self, name: str, begun: int, bad: list[str], recovered: float | None = None, note: str = "") -> None:
        """`begun` is how many faults had fired before."""
        faults = max(1, sum(self.stage.faults_fired.values()) - begun)
        text = "\n".join(bad[:8]) or note
        jobs = len(self.stage.accepted)
        self.report.add(Row(name, faults, jobs, recovered, "FAILED" if bad else "ok", text))

    @property
    def fired(self) -> int:
        return sum(self.stage.faults_fired.values())


def own_settings() -> dict[str, Any]:
    """What is shortened elsewhere, as an installation has it; the rate limit alone stays out of the way."""
    shown = {name: Settings.model_fields[name].default for name in SHORTENED if name != "rate_limit"}
    return {name: ",".join(map(str, one)) if isinstance(one, tuple) else one for name, one in shown.items()}


def run(options: Options) -> Report:
    report = Report("chaos-outage", options.seed)
    settings = own_settings()
    with Stage(options.scratch / "outage", settings=settings, seed=options.seed) as stage:
        for provider in stage.service.sandbox_urls:
            stage.sandbox(provider, "settings", {"webhook_retry_scale": RETRY_SCALE})
        stage.service.stop_child("beat")
        with Recovery(stage, float(settings["lease"])) as recovery:
            scene = Scene(stage, recovery, report, options.short)
            for part in PARTS:
                if options.only is None or options.only in part.__name__:
                    part(scene)
        _end(scene)
        report.summary |= {"faults": scene.fired, "jobs": len(stage.accepted)}
        report.summary["longest recovery"] = {cause: round(recovery.seconds(cause), 2) for cause in BOUNDS}
    return report


def _redis_gone(scene: Scene) -> None:
    stage, before = scene.stage, scene.fired
    seconds = SHORT_REDIS if scene.short else REDIS
    with Stream(stage, RATE) as stream:
        stage.pause(3.0)  # connections are made
        begun = time.time()
        stage.pause(BEFORE)
        gone = time.time()
        stage.service.stop_child("redis")
        _provider_gone(scene)
        stage.pause(max(0.0, gone + seconds - time.time()))
        back = time.time()
        stage.service.start_child("redis")
        stage.pause(3.0)
    usual, then = stream.during(begun, gone), stream.during(gone, back)
    _answered_as_usual(scene, before, usual, then, seconds)
    _completed(scene, before, (begun, gone), (gone, back))


def _answered_as_usual(scene: Scene, before: int, usual: list[Answer], then: list[Answer], seconds: float) -> None:
    wrong = Counter(one.status for one in then if one.status != 202)
    bad = [f"answered {dict(wrong)} instead of 202"] if wrong else []
    figures = {}
    for what, normal, now in zip(("median", "p95"), middle_and_p95(usual), middle_and_p95(then), strict=True):
        figures[what] = {"before_ms": round(normal * 1000, 1), "during_ms": round(now * 1000, 1)}
        if now > normal + LONGER:
            bad.append(f"the {what} rose from {normal * 1000:.0f} to {now * 1000:.0f} ms")
    scene.report.summary["answers while Redis was gone"] = {"requests": len(then), **figures}
    note = ", ".join(f"{what} {one['before_ms']} -> {one['during_ms']} ms" for what, one in figures.items())
    scene.row(f"Redis gone for {seconds:.0f} s: {len(then)} requests answered as before", before, bad, note=note)


def _completed(scene: Scene, before: int, usual: tuple[float, float], then: tuple[float, float]) -> None:
    def rate(span: tuple[float, float]) -> float:
        found = scene.stage.query(_COMPLETED, *span)
        return float(found[0]["n"]) / (span[1] - span[0])

    normal, now = rate(usual), rate(then)
    scene.report.summary["payments completed a second"] = {"before": round(normal, 2), "during": round(now, 2)}
    bad = [] if now >= normal / 2 else [f"{now:.1f} payments a second were completed, {normal:.1f} before"]
    scene.row("Redis gone: payments completed", before, bad, note=f"{normal:.1f} -> {now:.1f} a second")


def _provider_gone(scene: Scene) -> None:
    """Nobody listens at Paystack for a minute: its payments wait, the others do not notice."""
    stage, before = scene.stage, scene.fired
    seconds = SHORT_PROVIDER if scene.short else PROVIDER
    stage.proxies["paystack"].refuse()
    body = {"amount": 500000, "currency": "NGN", "provider": "paystack"}
    made = [stage.pay_by_page(**body)["id"] for _ in range(6)]
    try:
        stage.pause(seconds)
    finally:
        stage.proxies["paystack"].heal()
    ended = time.monotonic()
    bad = []
    for payment in made:
        try:
            submit(stage.open_page(payment, 90), {"action": "pay", "card": PAYSTACK_CARD})
        except AssertionError:
            bad.append(f"{payment} got no page after the provider was back: {stage.payment(payment)['status']}")
    scene.row(f"a provider gone for {seconds:.0f} s", before, bad, time.monotonic() - ended)


def _broker_restarts(scene: Scene) -> None:
    stage, before = scene.stage, scene.fired
    count = SHORT_RESTARTS if scene.short else RESTARTS
    with Stream(stage, RATE) as stream:
        for _ in range(count):
            known = len(stream.answers)
            stage.service.restart("redis")
            wait_until(lambda known=known: len(stream.answers) >= known + 8, "requests between restarts", 30)  # type: ignore[misc]
    wrong = Counter(one.status for one in stream.answers if one.status != 202)
    bad = [f"answered {dict(wrong)} instead of 202"] if wrong else []
    begun = time.monotonic()
    workers = [name for name in stage.service.children if name.startswith("worker")]
    try:
        stage.quiet(60)
        wait_until(lambda: _listeners(stage) >= len(workers), "every worker to listen again", LISTEN, every=0.1)
    except AssertionError as error:
        bad.append(str(error))
    listening = time.monotonic() - begun
    taken = {name: _hinted(stage, name, workers) for name in workers}
    bad += [f"{name} obeyed {n} of {TRIES} hints" for name, n in taken.items() if n < ENOUGH]
    if len(workers) < 2:
        bad.append(f"only {workers} are left")
    note = ", ".join(f"{name} obeyed {n} of {TRIES} hints at once" for name, n in taken.items())
    scene.report.summary["hints obeyed after the restarts"] = taken
    row = f"the broker restarted {count} times: no worker dead or deaf"
    scene.row(row, before - count, bad, listening, note)


def _listeners(stage: Stage) -> int:
    """How many wait for messages at Redis: one connection a worker."""
    with redis.Redis.from_url(stage.service.redis_url) as client:
        return sum(one["cmd"] == "brpop" for one in client.client_list())


def _hinted(stage: Stage, name: str, workers: list[str]) -> int:
    """How many lone payments the worker takes up faster than polling would, the others being stopped."""
    others = [one for one in workers if one != name]
    for one in others:
        stage.kill(one, signal.SIGSTOP)
    try:
        made = []
        # A stopped worker still stands in the broker's queue for one message, which it takes along.
        for number in range(TRIES + len(others)):
            payment = stage.pay()["id"]
            if number >= len(others):
                made.append(payment)
            stage.pause(1.7)  # the lane is cold again, and the next one depends on its hint
        rows = stage.query(_STARTED, [str(parse_id("payment", one)) for one in made])
        return sum(float(row["seconds"]) < HINTED for row in rows)
    finally:
        for one in others:
            stage.kill(one, signal.SIGCONT)


def _postgres_gone(scene: Scene) -> None:
    """Stopped at once, as a power cut would; 503 with Retry-After, no webhook acknowledged, nothing half-written."""
    stage, before = scene.stage, scene.fired
    page = stage.pay_by_page(provider="stripe")["id"]
    address = stage.open_page(page)
    keys = [str(uuid4()) for _ in range(ASKED)]
    with Stream(stage, RATE):
        stage.pause(3.0)
        gone = time.time()
        scene.recovery.hurt("postgres", gone + GONE)
        stage.kill("postgres", signal.SIGQUIT)
        stage.service.stop_child("postgres")
        submit(address, {"action": "pay", "card": "4242424242424242"})
        answers = []
        for key in keys:
            answers.append(ask(stage, key))
            stage.pause(GONE / ASKED)
        stage.pause(max(0.0, gone + GONE - time.time()))
        undelivered = stage.sandbox("stripe", "webhooks?limit=200")["pending"]
        back = time.monotonic()
        stage.service.start_child("postgres")
        served = _first_success(stage)
        recovered = served - back
        stage.pause(5.0)
    bad = [f"answered {one.status} with Retry-After {one.retry_after}" for one in answers if not _refused(one)]
    if not undelivered:
        bad.append("every webhook was acknowledged while nothing could be stored")
    again = [ask(stage, key).status for key in keys]
    if set(again) != {202}:
        bad.append(f"the same keys were answered {again} afterwards")
    try:
        wait_until(lambda: stage.payment(page)["status"] == "succeeded", "the webhook to come again", 90)
    except AssertionError as error:
        bad.append(str(error))
    bad += _late(scene)
    scene.row(f"Postgres gone for {GONE:.0f} s: 503, and back by itself", before, bad, recovered)


def _refused(answer: Answer) -> bool:
    return answer.status == 503 and answer.retry_after is not None


def _first_success(stage: Stage) -> float:
    def look() -> bool:
        try:
            return stage.request("GET", "/v1/payments?limit=1", timeout=5).status_code == 200
        except requests.RequestException:
            return False

    wait_until(look, "the service to be back", 60)
    return time.monotonic()


def _postgres_frozen(scene: Scene) -> None:
    """Its connections stay open and nothing comes: every wait for it has to end by itself."""
    stage, before = scene.stage, scene.fired
    with Stream(stage, RATE / 3) as stream:
        stage.pause(2.0)
        frozen = time.time()
        scene.recovery.hurt("postgres", frozen + FROZEN)
        stage.proxies["postgres"].freeze()
        stage.pause(FROZEN)
        stage.proxies["postgres"].heal()
        thawed = time.monotonic()
        recovered = _first_success(stage) - thawed
        stage.pause(5.0)
    wrong = Counter(one.status for one in stream.answers if one.status not in (0, 202, 429, 503))
    bad = [f"answered {dict(wrong)}"] if wrong else []
    bad += _late(scene)
    scene.row(f"Postgres frozen for {FROZEN:.0f} s", before, bad, recovered)


def _late(scene: Scene) -> list[str]:
    found = scene.recovery.verdict()
    return [f"{one.kind} {one.job} waited {one.seconds:.1f} s ({one.cause})" for one in found]


def _end(scene: Scene) -> None:
    """Beat comes back last; nothing has needed it."""
    stage = scene.stage
    trouble = rest(stage, 60)
    found = tally(stage)
    scene.report.summary |= found.figures()
    try:
        broken = [str(one) for one in stage.invariants()]
    except Stuck as stuck:
        broken = [str(stuck)]
    scene.row(
        "beat dead throughout: all at rest, nothing lost, doubled or wrong", scene.fired, found.bad + trouble + broken
    )


Part = Callable[[Scene], None]
PARTS: tuple[Part, ...] = (_redis_gone, _broker_restarts, _postgres_gone, _postgres_frozen)

_COMPLETED = """
SELECT count(*) AS n FROM jobs WHERE kind = 'create_payment' AND status = 'succeeded'
AND finished_at >= to_timestamp(%s) AND finished_at < to_timestamp(%s)
"""
_STARTED = """
SELECT extract(epoch FROM started_at - created_at) AS seconds FROM jobs
WHERE kind = 'create_payment' AND started_at IS NOT NULL AND payment_id = ANY(%s::uuid[])
"""
