"""Whole worker processes against a real broker and a real Postgres, delivering events to a local receiver."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from core.domain.identifiers import parse_id
from core.orchestration import webhook_endpoints
from core.orchestration.context import Caller
from tests.support.broker import Broker
from tests.support.receiver import Receiver, Reply
from tests.support.waiting import wait_until
from tests.support.worker import WorkerProcess
from tests.support.world import World
from workers.hints import Hints

Start = Callable[..., WorkerProcess]


@pytest.fixture
def broker() -> Iterator[Broker]:
    made = Broker(started=False)
    yield made
    made.close()


@pytest.fixture
def start(world: World, broker: Broker, tmp_path: Path) -> Iterator[Start]:
    made: list[WorkerProcess] = []

    def start_one(**settings: Any) -> WorkerProcess:
        made.append(WorkerProcess(world, tmp_path, broker.url, len(made) + 1, **settings))
        return made[-1]

    yield start_one
    for worker in made:
        worker.close()


@pytest.fixture(autouse=True)
def endpoint(world: World, receiver: Receiver) -> Iterator[None]:
    caller = Caller(world.scope, "key:test")
    webhook_endpoints.create(world.api, caller, None, url=receiver.url, event_types=["payment.processing"])
    yield
    with world.owner.begin() as connection:
        connection.execute(sa.text("DELETE FROM jobs"))
        connection.execute(sa.text("DELETE FROM webhook_endpoints"))


def delivery(world: World) -> str:
    """A queued delivery and nothing else: its payment's own job is taken away."""
    payment = world.create()["id"]
    with world.owner.begin() as connection:
        query = "DELETE FROM jobs WHERE lane = 'payments' AND payment_id = :id"
        connection.execute(sa.text(query), {"id": parse_id("payment", payment)})
    return str(payment)


def ended(world: World) -> int:
    return len(world.rows("SELECT 1 FROM jobs WHERE lane = 'deliveries' AND status = 'succeeded'"))


def hint(broker: Broker, world: World) -> None:
    """Tell the workers of every waiting delivery, as the gate does."""
    hints = Hints(world.settings.model_copy(update={"broker_url": broker.url}))
    rows = world.rows("SELECT id FROM jobs WHERE lane = 'deliveries' AND status = 'queued'")
    hints.wake("deliveries", [row["id"] for row in rows])
    hints.close()


def test_a_worker_works_without_a_broker_and_stops_when_told(world: World, start: Start, receiver: Receiver) -> None:
    worker = start()
    delivery(world)
    wait_until(lambda: ended(world) == 1, "the delivery")
    assert len(receiver.got) == 1
    worker.terminate()
    assert worker.wait() == 0
    assert worker.events("worker_stopped")[0]["outcome"] == "drained"
    assert not worker.spec.ready()


def test_hints_are_consumed_also_after_the_broker_was_restarted(world: World, start: Start, broker: Broker) -> None:
    broker.start()
    # Rounds are an hour apart, so only hints can bring work.
    worker = start(poll_interval=3600)
    delivery(world)

    def hinted(number: int) -> bool:
        hint(broker, world)
        return ended(world) == number

    wait_until(lambda: hinted(1), "the first delivery", every=0.5)
    broker.kill()
    broker.start()
    delivery(world)
    wait_until(lambda: hinted(2), "the delivery after the restart", 30, every=0.5)
    assert worker.alive


def test_garbage_in_the_queue_harms_nobody(world: World, start: Start, broker: Broker) -> None:
    broker.start()
    worker = start(poll_interval=3600)
    good = {"content-encoding": "utf-8", "content-type": "application/json", "headers": {}}
    info = {"exchange": "", "routing_key": "deliveries"}
    properties = {"delivery_info": info, "delivery_tag": "1", "body_encoding": "base64"}
    pickled = {"task": "tollgate.wake", "id": "1"}
    task = {"lang": "py", "task": "tollgate.wake", "id": "1", "argsrepr": "", "kwargsrepr": ""}
    for entry in (
        b"garbage",
        b"\xff\xfe",
        b"[]",
        b"{}",
        json.dumps({**good, "body": "!!!", "properties": properties}).encode(),
        json.dumps({**good, "body": "e30=", "properties": properties}).encode(),
        json.dumps(
            {**good, "body": "e30=", "content-type": "application/x-python-serialize", "headers": pickled,
             "properties": properties}
        ).encode(),
        # [["deliveries", "no list"], {}, {}] and the same with an unknown task.
        json.dumps(
            {**good, "body": "W1siZGVsaXZlcmllcyIsICJubyBsaXN0Il0sIHt9LCB7fV0=", "headers": task,
             "properties": properties}
        ).encode(),
        json.dumps(
            {**good, "body": "W1tdLCB7fSwge31d", "headers": {**task, "task": "os.system"}, "properties": properties}
        ).encode(),
    ):  # fmt: skip
        broker.push("deliveries", entry)
    wait_until(lambda: broker.client.llen("tollgate:deliveries") == 0, "the garbage to be read")
    wait_until(lambda: worker.events("hint_refused"), "the wrong hint to be refused")
    delivery(world)
    hint(broker, world)
    wait_until(lambda: ended(world) == 1, "the delivery")
    assert worker.alive
    assert len(worker.events("message_refused")) >= 4


def test_a_stopped_worker_finishes_what_it_began(world: World, start: Start, receiver: Receiver) -> None:
    receiver.reply = Reply(delay=2.0)
    worker = start()
    delivery(world)
    wait_until(lambda: receiver.got, "the delivery to begin")
    worker.terminate()
    assert worker.wait() == 0
    assert ended(world) == 1
    assert worker.events("worker_stopped")[0]["outcome"] == "drained"


def test_a_second_signal_leaves_what_runs_to_its_lease(world: World, start: Start, receiver: Receiver) -> None:
    receiver.reply = Reply(delay=30.0)
    worker = start(delivery_timeout=30)
    delivery(world)
    wait_until(lambda: receiver.got, "the delivery to begin")
    worker.terminate()
    wait_until(lambda: not worker.spec.ready(), "the worker to drain")
    assert worker.alive
    worker.terminate()
    assert worker.wait(8) == 1
    assert worker.events("worker_stopped")[0]["outcome"] == "left_to_leases"
    assert world.one("SELECT status FROM jobs WHERE lane = 'deliveries'")["status"] == "running"


def test_a_worker_claims_the_lanes_it_consumes_and_no_others(world: World, start: Start, receiver: Receiver) -> None:
    deliveries = start(lanes="deliveries")
    payment = world.create()["id"]
    wait_until(lambda: ended(world) == 1, "the delivery")
    # Money comes first in every round, so the round that finds this delivery would have found the first payment.
    delivery(world)
    wait_until(lambda: ended(world) == 2, "the second delivery")
    job = world.one("SELECT * FROM jobs WHERE lane = 'payments'")
    assert (job["status"], job["attempts"]) == ("queued", 0)
    assert deliveries.events("worker_started")[0]["lane"] == "deliveries"
    start(lanes="payments")
    wait_until(lambda: world.payment(payment)["status"] == "succeeded", "the payment by a worker of money alone")


def test_a_killed_workers_job_is_taken_over(world: World, start: Start, receiver: Receiver) -> None:
    receiver.reply = Reply(delay=30.0)
    first = start()
    payment = delivery(world)
    wait_until(lambda: receiver.got, "the delivery to begin")
    first.process.send_signal(signal.SIGKILL)
    first.wait()
    receiver.reply = Reply()
    start()
    wait_until(lambda: ended(world) == 1, "the delivery by another worker", 15)
    job = world.one("SELECT * FROM jobs WHERE payment_id = :id", id=parse_id("payment", payment))
    assert (job["attempts"], job["lease_losses"]) == (1, 1)  # the first was told to nobody
