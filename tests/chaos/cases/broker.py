"""Redis away, frozen, emptied, restarted, lied to: it holds nothing that matters."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from uuid import uuid4

import redis

from cli import children
from core.settings import Settings
from tests.chaos.cases import alerting
from tests.chaos.cases.case import Case, Ground, expect
from tests.chaos.stage import Stage
from tests.support.waiting import wait_until
from workers.configuration import LANES, RUN_SCHEDULED, make_app
from workers.hints import Hints

#: An answer without Redis may take this long, in seconds; a publish never waits for it.
ANSWERED_WITHIN = 2.0
#: The bound of the case for a worker that listens again, in seconds.
HEARS_WITHIN = 60.0
IN_FLIGHT, FLUSHES, RESTARTS = 500, 10, 20


def _client(ground: Ground) -> redis.Redis:
    return redis.Redis.from_url(ground.stage.service.redis_url, socket_timeout=5)


def settings(ground: Ground) -> Settings:
    """Straight to Redis, past the proxy."""
    service = ground.stage.service
    return Settings.model_validate({"DATABASE_URL": service.worker_database_url, "REDIS_URL": service.redis_url})


def hears(ground: Ground) -> None:
    """Some worker takes what is put into each queue."""
    hints = Hints(settings(ground))
    try:
        for lane in LANES:
            hints.wake(lane, [uuid4()])
    finally:
        hints.close()
    _emptied(ground)


def _emptied(ground: Ground) -> None:
    def look() -> bool:
        with contextlib.closing(_client(ground)) as client:
            return not any(client.llen(f"tollgate:{lane}") for lane in LANES)

    wait_until(look, "the workers to take every message", HEARS_WITHIN, every=0.1)


def flushed(ground: Ground) -> None:
    done = threading.Event()

    def flush() -> None:
        for _ in range(FLUSHES):
            if done.wait(0.2 + ground.rng.random()):
                return
            ground.stage.service.flush_redis()
            ground.hurt("redis.FLUSHALL")

    flusher = threading.Thread(target=flush)
    flusher.start()
    try:
        payments = ground.pay_many(IN_FLIGHT)
        flusher.join()
    finally:
        done.set()
        flusher.join()
    ground.stage.quiet(60)
    charged = [one["metadata"].get("tollgate_payment") for one in ground.stage.ledger("stripe")["charges"]]
    ids = set(payments)
    expect(sorted(one for one in charged if one in ids) == sorted(ids), "a payment was charged twice, or never")


def away(ground: Ground) -> None:
    ground.stage.service.stop_child("redis")
    ground.hurt("redis.stopped")
    try:
        payments = []
        for _ in range(20):
            begun = time.monotonic()
            payments.append(ground.stage.pay()["id"])
            took = time.monotonic() - begun
            expect(took < ANSWERED_WITHIN, f"an answer took {took:.1f} s without Redis")
        for payment in payments:
            ground.paid_once(payment)
    finally:
        ground.stage.service.start_child("redis")
    ground.since()
    hears(ground)


def told_twice(ground: Ground) -> None:
    proxy = ground.proxy("redis")
    before = proxy.fired["drop_reply"]
    proxy.drop_reply(b"LPUSH", times=3)
    payments = ground.pay_many(20)
    wait_until(lambda: proxy.fired["drop_reply"] >= before + 3 or ground.stage.pay(), "three hints to go wrong")
    ground.since()
    for payment in payments:
        ground.paid_once(payment)


def half_open(ground: Ground) -> None:
    proxy = ground.proxy("redis")
    proxy.freeze()
    ground.since()
    try:
        for payment in [ground.stage.pay()["id"] for _ in range(5)]:
            ground.paid_once(payment)
    finally:
        proxy.thaw()
    ground.since()
    hears(ground)


def restarted(ground: Ground) -> None:
    payments = []
    for _ in range(RESTARTS):
        ground.stage.service.stop_child("redis")
        payments.append(ground.stage.pay()["id"])
        ground.stage.service.start_child("redis")
        ground.hurt("redis.restarted")
        payments.append(ground.stage.pay()["id"])
    for payment in payments:
        ground.paid_once(payment)
    hears(ground)


#: What must not be taken for a hint: no message, a strange one, one of another version, one that carries code.
GARBAGE = (
    b"x",
    b"",
    b"\xff\xfe\x00",
    b"[]",
    b"{}",
    b'{"body": "W10=", "headers": {}, "properties": {}}',
    json.dumps(
        {
            "body": "gASVFAAAAAAAAACMBXBvc2l4lIwGc3lzdGVtlJOULg==",
            "content-type": "application/x-python-serialize",
            "content-encoding": "binary",
            "headers": {"task": "tollgate.wake", "id": "1"},
            "properties": {"delivery_tag": "1", "delivery_info": {"routing_key": "payments", "exchange": ""}},
        }
    ).encode(),
)


def garbage(ground: Ground) -> None:
    pids = {name: pid for name, pid in ground.stage.service.children.items() if name.startswith("worker")}
    with contextlib.closing(_client(ground)) as client:
        for lane in LANES:
            client.lpush(f"tollgate:{lane}", *GARBAGE)
            ground.hurt("redis.garbage", len(GARBAGE))
    app = make_app(settings(ground))
    wrong: tuple[tuple[object, ...], ...] = ((), ("payments",), ("nowhere", ["x"]), ("payments", [1]), (1, 2, 3))
    with app.connection_for_write() as connection:
        for arguments in wrong:
            app.send_task("tollgate.wake", args=arguments, queue="payments", connection=connection)
        app.send_task("tollgate.of_an_older_version", args=[1], queue="payments", connection=connection)
    payment = ground.stage.pay()["id"]
    ground.paid_once(payment)
    _emptied(ground)
    hears(ground)
    now = {name: pid for name, pid in ground.stage.service.children.items() if name.startswith("worker")}
    expect(now == pids, "a worker has died of a message")


def two_beats(ground: Ground) -> None:
    service = ground.stage.service
    context = children.Context(service.data_dir / "second", service.environment())
    (service.data_dir / "second").mkdir()
    spec = children.beat(context, service.worker_database_url)
    with open(os.devnull, "wb") as sink:
        env = {**os.environ, **(spec.env or {})}
        second = subprocess.Popen(spec.argv, env=env, cwd=spec.cwd, stdout=sink, stderr=sink)
    try:
        ground.hurt("beat.second")
        app = make_app(settings(ground))
        payments = ground.pay_many(20)
        with app.connection_for_write() as connection:
            for _ in range(10):
                for name in ("sweep", "resolve_unknown", "synchronise_open", "close_abandoned", "deliver_events"):
                    app.send_task(RUN_SCHEDULED, args=[name], queue="maintenance", connection=connection)
        ground.stage.quiet(30)
        expect(second.poll() is None, "the second beat did not run")
        for payment in payments:
            ground.paid_once(payment)
    finally:
        second.send_signal(signal.SIGKILL)
        second.wait(10)


def without_beat(ground: Ground) -> None:
    """An hour of the database's time without one tick: what came due is done without beat."""
    ground.stage.service.stop_child("beat")
    ground.hurt("beat.stopped")
    try:
        with ground.without_webhooks("stripe"):
            ground.stage.fault("stripe", operation="payment_intents.create", effect="timeout_after", times=3)
            lost = [ground.stage.pay()["id"] for _ in range(3)]
            for payment in lost:
                ground.paid_once(payment)
        ground.stage.quiet(30)
        ground.stage.advance(3600)
        for payment in ground.pay_many(5):
            ground.paid_once(payment)
    finally:
        ground.stage.service.start_child("beat")


def broker_alert(ground: Ground) -> None:
    """Sockets to Redis that say nothing any more: the alert of a Redis that is away goes off, and ends."""
    stage, name, proxy = ground.stage, "TollgateRedisAway", ground.proxy("redis")
    before = alerting.shown(stage)
    expect(not alerting.fires(stage, name, before), "it fires while Redis answers")
    proxy.freeze()
    try:
        wait_until(lambda: alerting.fires(stage, name, before), "the alert of a Redis that is away", 30, every=0.5)
    finally:
        proxy.thaw()
    ground.since()
    wait_until(lambda: not alerting.fires(stage, name, before), "the alert to end", 30, every=0.5)


def sweep_alert(ground: Ground) -> None:
    """Nobody is left who sweeps: the alarm goes off once the last sweep is a minute old, and ends with the next."""
    stage, name = ground.stage, "TollgateSweepLate"
    wait_until(lambda: _swept(stage), "a sweep", 30, every=0.5)
    before = alerting.shown(stage)
    workers = [one for one in stage.service.children if one.startswith("worker-")]
    for one in workers:
        stage.service.stop_child(one)
    ground.hurt("worker.stopped", len(workers))
    try:
        stage.advance(61)
        wait_until(lambda: alerting.fires(stage, name, before), "the alarm", 15, every=0.5)
    finally:
        for one in workers:
            stage.service.start_child(one)
    ground.since()
    wait_until(lambda: not alerting.fires(stage, name, before), "the alarm to end", 30, every=0.5)


def _swept(stage: Stage) -> bool:
    """Somebody sweeps, and the alarm is silent: a case before this one may have moved the time."""
    now = alerting.shown(stage)
    return 'schedule="sweep"' in (now or "") and not alerting.fires(stage, "TollgateSweepLate", now)


CASES = (
    Case("10", "broker", "FLUSHALL during 500 payments", "all end, 1 charge each", FLUSHES, flushed),
    Case("11", "broker", "Redis down", "202 in time, work done meanwhile", 1, away, note="5 minutes: chaos-outage"),
    Case("12", "broker", "the answer to a hint lost: hinted twice", "one effect", 3, told_twice),
    Case("13a", "broker", "half-open sockets to Redis", "work goes on; workers listen again < 60 s", 1, half_open),
    Case("13b", "broker", "the same, and an alert", "TollgateRedisAway fires", 1, broker_alert),
    Case("14", "broker", "Redis restarted 20 times", "workers listen", RESTARTS, restarted),
    Case("15", "broker", "garbage and old messages in the queues", "refused, no worker dies", 20, garbage),
    Case("16a", "broker", "two beats, and each tick ten times", "no double effect", 1, two_beats),
    Case("16b", "broker", "beat dead for an hour", "nothing waits for it", 1, without_beat),
    Case("16c", "broker", "nobody sweeps for a minute", "TollgateSweepLate fires", 1, sweep_alert),
)  # fmt: skip
