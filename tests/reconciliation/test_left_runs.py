"""A run whose job nobody carries on ends, and its account is compared again; whoever comes late writes nothing."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from core.domain.errors import StateConflict
from core.domain.identifiers import public_id
from core.orchestration import execute, jobs, provider_manager, review
from core.orchestration.review import Person
from core.reconciliation import handlers, planned, runs
from tests.reconciliation.test_runs import Made, carry, last, with_own
from tests.support.world import World

WHO = Person("tests", "its worker was killed by the kernel")


def shown(world: World, run_id: UUID) -> dict[str, Any]:
    return runs.shown(runs.find(world.admin, world.scope, run_id))


def job_of(world: World, run_id: UUID) -> Any:
    return world.one("SELECT j.* FROM jobs j JOIN reconciliation_runs r ON r.job_id = j.id WHERE r.id = :id", id=run_id)


def lose_workers(world: World) -> None:
    """Until the job has lost one worker too many, and waits for a person."""
    for _ in range(jobs.MAX_LEASE_LOSSES + 2):
        jobs.claim(world.worker.database, "maintenance", 5, "dies", 60.0)
        world.advance(61)
    jobs.claim(world.worker.database, "maintenance", 5, "looks", 60.0)


@pytest.fixture
def in_review(world: World, monkeypatch: pytest.MonkeyPatch) -> UUID:
    run_id = with_own(world, Made(), monkeypatch)
    lose_workers(world)
    assert job_of(world, run_id)["status"] == "needs_review"
    assert shown(world, run_id)["status"] in ("queued", "running")
    return run_id


def begin(world: World) -> UUID:
    return runs.start(world.admin, world.scope, world.accounts["stripe"], "two_way", last(world, hours=8), "test")


class TestAJobInReview:
    def test_a_person_compares_again_at_once(self, world: World, in_review: UUID) -> None:
        after = begin(world)
        found = shown(world, in_review)
        assert (found["status"], found["error"]["code"]) == ("failed", "job_ended")
        name = public_id("job", job_of(world, in_review)["id"])
        assert found["error"]["message"] == f"nobody carries it on: {name} is needs_review (worker_lost)"
        assert found["finished_at"] is not None
        carry(world)
        assert shown(world, after)["status"] == "succeeded"
        told = world.rows("SELECT action FROM audit_log WHERE subject_id = :id ORDER BY number", id=in_review)
        assert [row["action"] for row in told] == ["reconciliation.started", "reconciliation.failed"]

    def test_the_clock_compares_again(self, world: World, in_review: UUID) -> None:
        planned.find_missed_events(world.worker)  # of another kind: whatever comes first cleans up
        assert shown(world, in_review)["status"] == "failed"
        carry(world)
        world.advance(planned.PLANS["two_way"].every.total_seconds() + 1)
        assert planned.compare_books(world.worker) == len(world.accounts)
        carry(world)

    def test_asked_again_it_goes_on_where_nobody_has_ended_it(self, world: World, in_review: UUID) -> None:
        review.requeue(world.admin, job_of(world, in_review)["id"], WHO)
        carry(world)
        found = shown(world, in_review)
        assert (found["status"], found["counts"]) == ("succeeded", {"lines": 40})

    def test_asked_again_it_ends_calmly_where_the_run_has_ended(self, world: World, in_review: UUID) -> None:
        planned.compare_books(world.worker)
        review.requeue(world.admin, job_of(world, in_review)["id"], WHO)
        carry(world)
        assert job_of(world, in_review)["status"] == "succeeded"
        found = shown(world, in_review)
        assert (found["status"], found["error"]["code"], found["counts"]) == ("failed", "job_ended", {})

    def test_decided_as_failed_it_is_not_in_the_way(self, world: World, in_review: UUID) -> None:
        review.resolve(world.admin, job_of(world, in_review)["id"], "failed", WHO)
        after = begin(world)
        assert shown(world, in_review)["status"] == "failed"
        carry(world)
        assert shown(world, after)["status"] == "succeeded"


def test_one_whose_job_lives_is_left_alone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = with_own(world, Made(), monkeypatch)
    planned.compare_books(world.worker)
    with pytest.raises(StateConflict, match="under way"):
        begin(world)
    assert shown(world, run_id)["status"] == "queued"
    carry(world)


def test_a_worker_that_wakes_up_writes_nothing_into_a_run_that_has_ended(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    woken = []

    class Slept(Made):
        def __call__(self, *arguments: Any) -> Any:
            if not woken:
                woken.append(True)
                lose_workers(world)
                begin(world)  # ends the one under way
            return super().__call__(*arguments)

    run_id = with_own(world, Slept(), monkeypatch)
    (job,) = jobs.claim(world.worker.database, "maintenance", 1, "sleeps", 60.0)
    assert execute.run(world.worker, job) is True
    found = shown(world, run_id)
    assert (found["status"], found["slices_done"], found["counts"]) == ("failed", 0, {})
    carry(world)


class TestAFaultOfOurs:
    """Whatever fails: the run ends after as many tries as a list has."""

    @staticmethod
    def _tried(world: World, run_id: UUID) -> dict[str, Any]:
        for _ in range(len(runs.RETRIES) + 1):
            carry(world)
            world.advance(301)
        return shown(world, run_id)

    def test_a_statement_that_postgres_refuses(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(core: Any, scope: Any, *_: Any) -> Any:
            with core.transaction(scope) as connection:
                connection.execute(sa.text("SELECT 1 / 0"))

        monkeypatch.setattr(handlers, "COMPARISONS", {**handlers.COMPARISONS, "two_way": refuse})
        found = self._tried(world, begin(world))
        assert (found["status"], found["error"]["code"]) == ("failed", "internal_error")

    def test_an_account_that_cannot_be_opened(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_: Any) -> Any:
            raise ValueError("sealed under a key that is gone")

        run_id = begin(world)
        monkeypatch.setattr(provider_manager, "open_account", refuse)
        found = self._tried(world, run_id)
        assert (found["status"], found["error"]["message"]) == ("failed", "ValueError")
