"""RabbitMQ as the broker: hints go through it, and its crash, its freeze and its being full harm nobody."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from statistics import median
from typing import Any

import psycopg2
import psycopg2.extras
import pytest

from cli.service import Service
from core.domain.identifiers import parse_id
from tests.faults.load import send
from tests.rabbitmq.server import RabbitMQ
from tests.support.databases import plain
from tests.support.waiting import wait_until
from workers.configuration import LANES

#: So rare that what is picked up within a second was hinted.
POLL = 8
#: A stalled publish would take two seconds or for ever; a request waits for Postgres only.
IN_TIME = 1.9
#: Far from the 35 s after which the supervisor kills.
ENDS_WITHIN = 15.0
WORKERS = ("worker-1", "worker-2")


@pytest.fixture(scope="module")
def rabbit() -> Iterator[RabbitMQ]:
    made = RabbitMQ()
    yield made
    made.close()


class House:
    """The service as `tollgate up` starts it, with RabbitMQ beside its Redis."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.ended: list[str] = []

    def pay(self, count: int) -> list[str]:
        """Payments, each accepted in time."""
        made = []
        for _ in range(count):
            began = time.monotonic()
            status, payment = send(self.service.api_url, self.service.test_key)
            assert (status, time.monotonic() - began < IN_TIME) == (202, True)
            assert payment is not None
            made.append(payment)
        return made

    def query(self, sql: str, *values: Any) -> list[dict[str, Any]]:
        connection = psycopg2.connect(plain(self.service.owner_database_url))
        try:
            with connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor:
                cursor.execute(sql, values)
                return [dict(row) for row in cursor.fetchall()]
        finally:
            connection.close()

    def pick_ups(self, payments: list[str], seconds: float) -> list[float]:
        """Seconds from accepted to sent, once all have succeeded."""
        ids = [str(parse_id("payment", one)) for one in payments]
        ended = "SELECT count(*) AS n FROM payments WHERE id = ANY(%s::uuid[]) AND status = 'succeeded'"
        wait_until(lambda: self.query(ended, ids)[0]["n"] == len(ids), "every payment to succeed", seconds, every=0.1)
        rows = self.query(
            "SELECT extract(epoch FROM t.first_sent_at - p.created_at) AS s FROM transactions t "
            "JOIN payments p ON p.id = t.payment_id WHERE p.id = ANY(%s::uuid[])",
            ids,
        )
        assert len(rows) == len(ids)
        return sorted(float(row["s"]) for row in rows)

    def assert_hinted(self, count: int = 20) -> None:
        waits = self.pick_ups(self.pay(count), 3 * POLL)
        # Polling alone would take half of POLL in the middle, and nearly all of it at the end.
        assert median(waits) < 1.0, waits
        assert waits[int(count * 0.9)] < 2.0, waits

    def workers(self) -> list[int]:
        return [self.service.children[name] for name in WORKERS]


@pytest.fixture(scope="module")
def house(rabbit: RabbitMQ, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    environ = {"BROKER_URL": rabbit.url, "TOLLGATE_POLL_INTERVAL": str(POLL)}
    ended: list[str] = []

    def report(event: str, details: dict[str, Any]) -> None:
        ended.append(f"{event} {details}")

    service = Service(tmp_path_factory.mktemp("rabbitmq"), workers=2, env=environ, report=report, temporary=True)
    with service:
        house = House(service)
        house.ended = ended
        yield house


def listening(rabbit: RabbitMQ) -> bool:
    return all(rabbit.consumers(lane) == len(WORKERS) for lane in LANES)


@pytest.fixture(autouse=True)
def hints_flow(house: House, rabbit: RabbitMQ) -> None:
    wait_until(lambda: listening(rabbit), "both workers to listen in every lane", 60, every=0.2)


def test_hints_go_through_it(house: House, rabbit: RabbitMQ) -> None:
    house.assert_hinted()
    # Taken without acknowledgement: nothing waits, and nothing would come back.
    told = rabbit.control("--quiet", "list_queues", "name", "messages", "durable", "arguments")
    rows = {row.split("\t")[0]: row for row in told.splitlines()}
    assert set(LANES) <= set(rows)
    assert all(rows[lane].split("\t")[1:3] == ["0", "true"] for lane in LANES)
    assert "x-message-ttl" in rows["payments"]


def test_a_crash_neither_kills_workers_nor_makes_them_deaf(house: House, rabbit: RabbitMQ) -> None:
    before = house.workers()
    rabbit.kill()
    accepted = house.pay(10)
    # Found by polling, as without any broker.
    house.pick_ups(accepted, 3 * POLL)
    rabbit.start()
    wait_until(lambda: listening(rabbit), "the workers to come back by themselves", 60, every=0.2)
    house.assert_hinted()
    assert house.workers() == before
    assert house.ended == []


def test_a_frozen_one_holds_nobody(house: House, rabbit: RabbitMQ) -> None:
    rabbit.signal(signal.SIGSTOP)
    try:
        accepted = house.pay(30)
        house.pick_ups(accepted, 3 * POLL)
        # To hang up takes an answer, too.
        began = time.monotonic()
        house.service.stop_child("worker-1")
        assert time.monotonic() - began < ENDS_WITHIN
        house.service.start_child("worker-1")
    finally:
        rabbit.signal(signal.SIGCONT)
    wait_until(lambda: listening(rabbit), "the workers to listen again", 60, every=0.2)
    house.assert_hinted()


def test_a_full_one_holds_nobody(house: House, rabbit: RabbitMQ) -> None:
    # Over the mark it reads no more from who publishes ("connection.blocked").
    rabbit.control("--quiet", "set_vm_memory_high_watermark", "absolute", "1MB")
    try:
        accepted = house.pay(30)
        house.pick_ups(accepted, 3 * POLL)
    finally:
        rabbit.control("--quiet", "set_vm_memory_high_watermark", "0.4")
    house.assert_hinted()
