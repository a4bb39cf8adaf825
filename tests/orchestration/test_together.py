"""What is announced or settled with others: one commit for all that is well, and each alone where one is not."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.pool import NullPool

from core.domain.identifiers import parse_id
from core.orchestration import execute, jobs
from core.orchestration.together import Together
from core.persistence.database import driver_url
from tests.orchestration import by_hand
from tests.support.waiting import wait_until
from tests.support.world import World

KEPT_BACK = by_hand.keep_webhooks_back


def claim(world: World, limit: int = 50) -> list[jobs.Job]:
    return jobs.claim(world.worker.database, "payments", limit, "holder", 60.0)


@contextmanager
def locked(world: World, payment: str) -> Iterator[sa.Connection]:
    """The payment's row in somebody's hands."""
    engine = sa.create_engine(driver_url(world.urls.owner), poolclass=NullPool)
    with engine.connect() as connection:
        key = str(parse_id("payment", payment))
        connection.exec_driver_sql("SELECT 1 FROM payments WHERE id = %s FOR UPDATE", (key,))
        yield connection


def commits(world: World, payments: list[dict[str, Any]], status: str) -> int:
    """In how many transactions the payments' charges came to a status: rows of one carry the same number."""
    ids = [parse_id("payment", one["id"]) for one in payments]
    found = world.rows(
        "SELECT DISTINCT xmin::text AS number FROM audit_log WHERE payment_id = ANY(:ids) "
        "AND subject_kind = 'transaction' AND to_status = :status",
        ids=ids,
        status=status,
    )
    return len(found)


def assert_charged_once(world: World, payments: list[dict[str, Any]]) -> None:
    for one in payments:
        assert world.payment(one["id"])["status"] == "succeeded"
        assert len(world.charges("stripe", one["id"])) == 1


def test_new_payments_of_a_merchant_are_announced_in_one_commit(world: World) -> None:
    KEPT_BACK(world)
    made = [world.create() for _ in range(5)]
    runs = execute.prepare(world.worker, claim(world))
    assert commits(world, made, "sent") == 1
    for run in runs:
        run()
    assert_charged_once(world, made)


def test_one_that_is_locked_keeps_none_of_the_others_from_being_announced(world: World) -> None:
    KEPT_BACK(world)
    made = [world.create() for _ in range(3)]
    claimed = claim(world)
    with locked(world, made[1]["id"]):
        runs = execute.prepare(world.worker, claimed)
        assert commits(world, made, "sent") == 0
        for job, run in zip(claimed, runs, strict=True):
            if job.payment != parse_id("payment", made[1]["id"]):
                run()
    assert_charged_once(world, [made[0], made[2]])
    world.advance(61)
    world.settle()
    assert_charged_once(world, made)


def test_a_job_that_was_claimed_before_is_not_begun_anew(world: World) -> None:
    """Its worker may have sent: only the first claim of all knows that nobody did."""
    KEPT_BACK(world)
    payment = world.create()
    (first,) = claim(world)
    assert first.fence == 1
    with world.worker.transaction(first.scope) as connection:
        jobs.requeue(connection, first, 0.0)
    (again,) = claim(world)
    (run,) = execute.prepare(world.worker, [again])
    assert world.transactions(payment["id"]) == []
    run()
    assert_charged_once(world, [payment])


def test_a_job_whose_lease_was_lost_is_neither_announced_nor_sent(world: World) -> None:
    KEPT_BACK(world)
    made = [world.create() for _ in range(2)]
    kept, lost = claim(world)
    with world.worker.transaction(lost.scope) as connection:
        jobs.requeue(connection, lost, 3600.0)
    for run in execute.prepare(world.worker, [kept, lost]):
        run()
    sent = [one for one in made if world.transactions(one["id"])]
    assert [parse_id("payment", one["id"]) for one in sent] == [kept.payment]
    assert_charged_once(world, sent)


class Gathered(Together):
    """Settles nothing until it is let go."""

    def let_go(self) -> None:
        super()._ensure_thread()

    def _ensure_thread(self) -> None:
        """Not yet."""

    @property
    def waiting(self) -> int:
        return self._waiting.qsize()


@pytest.fixture
def gathered(world: World) -> Iterator[tuple[Gathered, list[dict[str, Any]], list[threading.Thread]]]:
    """Four payments that are charged, and whose outcomes come in at the same time."""
    KEPT_BACK(world)
    made, together = [world.create() for _ in range(4)], Gathered()
    core = replace(world.worker, together=together)
    threads = [threading.Thread(target=run) for run in execute.prepare(core, claim(world))]
    for thread in threads:
        thread.start()
    wait_until(lambda: together.waiting == len(made), "the outcomes")
    yield together, made, threads
    together.let_go()
    for thread in threads:
        thread.join(30)


def test_outcomes_that_come_in_at_the_same_time_are_settled_in_one_commit(world: World, gathered: Any) -> None:
    together, made, threads = gathered
    together.let_go()
    for thread in threads:
        thread.join(30)
    assert_charged_once(world, made)
    assert commits(world, made, "succeeded") == 1
    own = "SELECT DISTINCT status FROM jobs WHERE kind = 'create_payment' AND payment_id = ANY(:ids)"
    found = world.rows(own, ids=[parse_id("payment", one["id"]) for one in made])
    assert [row["status"] for row in found] == ["succeeded"]


def test_where_one_cannot_be_settled_each_is_settled_alone(world: World, gathered: Any) -> None:
    together, made, threads = gathered
    with locked(world, made[2]["id"]):
        together.let_go()
        others = [one for one in made if one is not made[2]]
        wait_until(
            lambda: all(world.payment(one["id"])["status"] == "succeeded" for one in others), "the others to be settled"
        )
    for thread in threads:
        thread.join(30)
    world.advance(61)
    world.settle()
    assert_charged_once(world, made)
    assert commits(world, made, "succeeded") == len(made)


def test_a_lost_lease_among_them_writes_nothing_and_costs_the_others_nothing(world: World, gathered: Any) -> None:
    together, made, threads = gathered
    with world.owner.begin() as connection:
        lost = "UPDATE jobs SET fence = fence + 1 WHERE kind = 'create_payment' AND payment_id = %s"
        connection.exec_driver_sql(lost, (str(parse_id("payment", made[0]["id"])),))
    together.let_go()
    for thread in threads:
        thread.join(30)
    assert_charged_once(world, made[1:])
    assert world.payment(made[0]["id"])["status"] == "processing"
