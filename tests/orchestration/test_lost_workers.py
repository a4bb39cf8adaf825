"""Jobs whose workers die, and keys that have grown too old: what is counted, what runs alone, what is never sent."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
import structlog

from core.domain.identifiers import parse_id
from core.orchestration import asking, execute, jobs
from core.orchestration.jobs import Job
from core.settings import Settings
from tests.support.world import World

DAY = 24 * 3600.0
LOOKS = Settings.model_fields["lookup_delays"].default


def job_of(world: World, payment: dict[str, Any]) -> Any:
    return world.one("SELECT * FROM jobs WHERE payment_id = :id", id=parse_id("payment", payment["id"]))


def claim(world: World, limit: int = 20, suspects: int = 1) -> list[Job]:
    return jobs.claim(world.worker.database, "payments", limit, "one that dies", 6.0, suspects=suspects)


def claim_of(world: World, ids: set[UUID]) -> list[Job]:
    return [job for job in claim(world) if job.id in ids]


def lose(world: World) -> None:
    """Whoever holds anything is dead, and its leases have run out."""
    world.advance(7)


def test_a_claim_is_no_attempt_and_an_announcement_is_one(world: World) -> None:
    payment = world.create()
    (job,) = claim(world)
    assert (job.attempts, job_of(world, payment)["attempts"]) == (1, 0)
    lose(world)
    (again,) = claim(world)
    assert (again.attempts, again.lease_losses) == (1, 1)
    execute.prepare(world.worker, [again])  # a job that lost a worker is announced when it runs
    assert job_of(world, payment)["attempts"] == 0
    begun = execute._begin(world.worker, again)
    assert begun.step is not None
    assert job_of(world, payment)["attempts"] == 1
    lose(world)
    world.settle()
    found = job_of(world, payment)
    assert (found["status"], found["attempts"]) == ("succeeded", 2)
    assert world.payment(payment["id"])["status"] == "succeeded"
    assert len(world.charges("stripe", payment["id"])) == 1


def test_a_poison_job_goes_to_review_and_burns_no_attempt_of_its_batch(world: World) -> None:
    payments = [world.create() for _ in range(4)]
    by_job = {job_of(world, payment)["id"]: payment for payment in payments}
    poison = next(iter(by_job))
    assert {job.id for job in claim(world)} == set(by_job)  # they are claimed together, and their worker dies
    lose(world)
    # Each of them runs alone from here on. The poison kills its worker each time, the others are carried out.
    for _ in range(jobs.MAX_LEASE_LOSSES + 1):
        for job in claim(world):
            if job.id != poison:
                assert job.lease_losses == 1
                execute.run(world.worker, job)
        lose(world)
    world.settle()
    poisoned = job_of(world, by_job.pop(poison))
    assert (poisoned["status"], poisoned["error"]["code"], poisoned["attempts"]) == ("needs_review", "worker_lost", 0)
    for payment in by_job.values():
        found = job_of(world, payment)
        assert (found["status"], found["attempts"], found["lease_losses"]) == ("succeeded", 1, 1)
        assert world.payment(payment["id"])["status"] == "succeeded"
    findings = world.rows("SELECT kind FROM findings WHERE job_id = :id AND status = 'open'", id=poisoned["id"])
    assert [row["kind"] for row in findings] == ["worker_lost"]


def test_of_jobs_that_lost_two_workers_one_is_taken_at_a_time(world: World) -> None:
    ids = {job_of(world, world.create())["id"] for _ in range(5)}
    for expected in (5, 5):
        assert len(claim_of(world, ids)) == expected
        lose(world)
    assert len(claim_of(world, ids)) == 1  # the process that takes it is charged with its death alone
    assert claim(world, suspects=0) == []
    fresh = world.create()
    assert [job.payment_id for job in claim(world, suspects=0)] == [parse_id("payment", fresh["id"])]
    lose(world)
    world.settle()
    left = world.rows("SELECT 1 FROM jobs WHERE id = ANY(:ids) AND status <> 'succeeded'", ids=list(ids))
    assert left == []


def test_a_poison_job_stops_also_where_its_account_is_at_its_limit(world: World) -> None:
    """Between deaths it is kept back untried: that says nothing about the job, and must not make it look sound."""
    payment = world.create()
    for death in range(jobs.MAX_LEASE_LOSSES + 1):
        (job,) = claim(world)
        assert job.lease_losses == death
        with world.worker.transaction(job.scope) as connection:
            jobs.keep_back(connection, job, 0.0)
        (job,) = claim(world)
        assert job.lease_losses == death
        lose(world)
    assert claim(world) == []
    found = job_of(world, payment)
    assert (found["status"], found["error"]["code"], found["attempts"]) == ("needs_review", "worker_lost", 0)


def test_a_worker_that_sleeps_in_the_commit_before_a_charge_sends_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The charge is announced in the commit that keeps the customer just made, and there the worker sleeps."""
    person = world.post("/v1/customers", {"email": "sleeper@example.com"}).json()["id"]
    payment = world.create(customer=person, save_payment_method=True)
    settle, slept, moment = execute._settle, 0.0, asking.moment

    def sleeping(core: Any, job: Job, step: Any, result: Any) -> Any:
        nonlocal slept
        following = settle(core, job, step, result)
        slept += DAY  # longer than Stripe knows a key
        return following

    with monkeypatch.context() as patched:
        patched.setattr(execute, "_settle", sleeping)
        patched.setattr(asking, "moment", lambda: moment() + slept)
        (job,) = claim(world)
        execute.run(world.worker, job)
    assert slept == DAY, "it was put to sleep once, before the charge"
    assert world.charges("stripe", payment["id"]) == []
    (sent,) = world.transactions(payment["id"])
    assert sent["status"] == "sent", "announced, and left to whoever takes the job over"
    lose(world)
    world.settle()
    assert world.payment(payment["id"])["status"] == "succeeded"
    assert len(world.charges("stripe", payment["id"])) == 1


@pytest.fixture
def read_only(world: World) -> Iterator[Callable[[], None]]:
    """Has every connection that the worker opens from here on refuse to write, until it is called."""
    database = world.one("SELECT current_database() AS name")["name"]

    def change(to: str) -> None:
        with world.owner.begin() as connection:
            connection.execute(sa.text(f'ALTER DATABASE "{database}" {to}'))

    world.worker.database.engine.dispose()
    change("SET default_transaction_read_only = on")
    yield lambda: change("RESET default_transaction_read_only")
    with contextlib.suppress(sa.exc.SQLAlchemyError):
        change("RESET default_transaction_read_only")


def test_a_postgres_that_is_failed_over_is_trouble_and_no_fault_of_the_job(
    world: World, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment = world.create()
    (job,) = claim(world)
    writable = request.getfixturevalue("read_only")
    told = structlog.testing.CapturingLogger()
    monkeypatch.setattr(execute, "log", told)
    assert execute.run(world.worker, job) is False
    assert [call.args[0] for call in told.calls] == ["database_trouble", "left_to_the_lease"]
    writable()
    # No session was ended: those that could not write were given up, and the next lead to the server that can.
    lose(world)
    world.settle()
    assert job_of(world, payment)["status"] == "succeeded"
    assert len(world.charges("stripe", payment["id"])) == 1


class TestAnOldKey:
    """Stripe may have forgotten a key after a day: a repetition would be a second charge."""

    def test_what_never_left_is_not_sent_a_day_later(self, world: World) -> None:
        payment = world.create()
        with world.fault("stripe", effect="status_before", status=429, operation="payment_intents.create", times=1):
            world.work()
        (sent,) = world.transactions(payment["id"])
        assert (sent["status"], sent["ambiguous"]) == ("sent", False)
        world.advance(DAY)
        world.settle()
        (after,) = world.transactions(payment["id"])
        assert (after["status"], after["send_count"]) == ("not_executed", 1)
        assert world.payment(payment["id"])["status"] == "failed"
        assert world.charges("stripe", payment["id"]) == []

    @pytest.mark.parametrize("age", [DAY, 22 * 3600.0])
    def test_what_is_not_found_is_sent_again_only_while_its_key_is_young(self, world: World, age: float) -> None:
        payment = world.create()
        with world.fault("stripe", effect="timeout_before", operation="payment_intents.*", times=100):
            world.work()
            # The look-ups meet nobody either.
            for delay in LOOKS[:3]:
                world.advance(delay)
                world.work()
        world.advance(age)
        world.settle()
        world.advance(DAY / 4)
        world.settle()
        (after,) = world.transactions(payment["id"])
        young = age < 23 * 3600
        assert after["send_count"] == (2 if young else 1)
        assert world.payment(payment["id"])["status"] == ("succeeded" if young else "failed")
        assert len(world.charges("stripe", payment["id"])) == (1 if young else 0)

    def test_a_capture_that_never_left_fails_and_can_be_asked_for_again(self, world: World) -> None:
        payment = world.pay(capture="manual")
        with world.fault("stripe", effect="status_before", status=429, operation="payment_intents.capture", times=1):
            world.post(f"/v1/payments/{payment['id']}/capture")
            world.work()
        world.advance(DAY)
        world.settle()
        job = world.one("SELECT * FROM jobs WHERE kind = 'capture_payment' AND payment_id = :id",
                        id=parse_id("payment", payment["id"]))  # fmt: skip
        assert (job["status"], job["error"]["code"]) == ("failed", "not_executed_not_found")
        assert world.payment(payment["id"])["status"] == "authorized"
        assert world.post(f"/v1/payments/{payment['id']}/capture").status_code == 202
        world.settle()
        assert world.payment(payment["id"])["status"] == "succeeded"
