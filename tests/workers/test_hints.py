"""Hints over a real broker: what is sent, and that a dead broker costs nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from uuid import uuid4

import pytest

from core.settings import Settings
from tests.support.broker import Broker
from tests.support.waiting import wait_until
from workers.gather import BATCH
from workers.hints import Hints


def hints_for(url: str) -> Hints:
    return Hints(Settings.model_validate({"DATABASE_URL": "postgresql://nobody@127.0.0.1/none", "REDIS_URL": url}))


@pytest.fixture
def broker() -> Iterator[Broker]:
    made = Broker()
    yield made
    made.close()


@pytest.fixture
def hints(broker: Broker) -> Iterator[Hints]:
    made = hints_for(broker.url)
    yield made
    made.close()


def test_a_hint_names_lane_and_jobs(broker: Broker, hints: Hints) -> None:
    job = uuid4()
    hints.wake("payments", [job])
    wait_until(lambda: broker.messages("payments"), "the hint")
    assert broker.messages("payments") == [["payments", [str(job)]]]
    assert hints.dropped == 0


def test_many_hints_are_few_messages(broker: Broker, hints: Hints) -> None:
    jobs = [uuid4() for _ in range(10 * BATCH)]
    for job in jobs:
        hints.wake("payments", [job])
    hints.close()
    messages = broker.messages("payments")
    assert [name for _, ids in messages for name in ids] == [str(job) for job in jobs]
    assert len(messages) <= 60


def test_an_emptied_broker_gets_the_next_hint(broker: Broker, hints: Hints) -> None:
    hints.wake("payments", [uuid4()])
    wait_until(lambda: broker.messages("payments"), "the hint")
    broker.client.flushall()
    job = uuid4()
    hints.wake("payments", [job])
    wait_until(lambda: broker.messages("payments"), "the next hint")
    assert broker.messages("payments") == [["payments", [str(job)]]]


def test_a_restarted_broker_gets_the_next_hint(broker: Broker, hints: Hints) -> None:
    hints.wake("payments", [uuid4()])
    wait_until(lambda: broker.messages("payments"), "the hint")
    broker.kill()
    broker.start()
    hints.wake("payments", [uuid4()])
    wait_until(lambda: broker.messages("payments"), "the next hint")
    assert hints.dropped == 0


def test_a_dead_broker_costs_nothing_and_is_used_again(broker: Broker, hints: Hints) -> None:
    broker.kill()
    started = time.monotonic()
    for _ in range(1000):
        hints.wake("payments", [uuid4()])
    assert time.monotonic() - started < 0.5
    wait_until(lambda: hints.dropped == 1000, "the hints to be dropped", 5)
    broker.start()

    def published() -> bool:
        hints.wake("payments", [uuid4()])
        return bool(broker.messages("payments"))

    wait_until(published, "hints to be published again", 5)


def test_a_broker_that_does_not_answer_never_holds_up_the_caller(broker: Broker, hints: Hints) -> None:
    broker.client.execute_command("CLIENT", "PAUSE", "3000", "ALL")
    started = time.monotonic()
    for _ in range(10_000):
        hints.wake("payments", [uuid4()])
    assert time.monotonic() - started < 1.0
    wait_until(lambda: hints.dropped > 0, "hints to be dropped", 15)
