"""Lists take their turn: pace, places, breaker and pauses hold for their pages, and no payment stops for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from core.domain.outcomes import NotExecuted, NotExecutedReason, Unknown
from core.orchestration import execute, health, in_flight, jobs, pacing, provider_manager
from core.orchestration.breaker import State
from core.orchestration.context import Core
from core.providers.base import ChargeSeen, ListingBroken
from core.providers.paging import Page, in_turn
from core.providers.stripe import StripeProvider
from core.reconciliation import pages, runs
from tests.reconciliation.test_runs import carry, last
from tests.support.world import World

BUSY = NotExecuted(NotExecutedReason.RATE_LIMITED, "429", retry_after=600.0)
FAILED = Unknown({"http_status": 500})


@pytest.fixture
def name(world: World) -> str:
    """An account of the test's own, whose health nobody else has touched."""
    made = f"stripe.{uuid4().hex}"
    world.add_account("stripe", name=made)
    return made


class Listed:
    """Stripe's list of charges, a page a call: each empty, or failed as the test says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls = 0
        self.answers: Callable[[int], NotExecuted | Unknown | None] = lambda number: None
        self.seen: Callable[[], None] = lambda: None
        monkeypatch.setattr(StripeProvider, "list_charges", lambda _, since, until: self._read(since, until))

    def _read(self, since: datetime, until: datetime) -> Iterator[ChargeSeen]:
        page = in_turn(self._page)
        if page.failed is not None:
            raise ListingBroken(page.failed)
        yield from ()

    def _page(self) -> Page[None]:
        self.calls += 1
        self.seen()
        return Page(None, self.answers(self.calls))


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch) -> Listed:
    return Listed(monkeypatch)


class Pacer:
    """Says what the test wants said; above MAX_PAUSE nothing is reserved."""

    def __init__(self, *waits: float) -> None:
        self.waits, self.asked = list(waits), 0

    def pause(self, slots: list[pacing.Slot]) -> float:
        self.asked += 1
        return self.waits.pop(0) if self.waits else 0.0


def start(world: World, name: str, kind: Any = "two_way", **span: float) -> UUID:
    return runs.start(world.admin, world.scope, world.accounts[name], kind, last(world, **(span or {"hours": 2})), "t")


def shown(world: World, run_id: UUID) -> dict[str, Any]:
    return runs.shown(runs.find(world.admin, world.scope, run_id))


def job_of(world: World, run_id: UUID) -> Any:
    query = (
        "SELECT j.*, extract(epoch FROM j.run_after - app_now())::float AS due_in FROM jobs j "
        "JOIN reconciliation_runs r ON r.job_id = j.id WHERE r.id = :id"
    )
    return world.one(query, id=run_id)


def carry_by(core: Core) -> None:
    for job in jobs.claim(core.database, "maintenance", 20, "stepped", 60.0):
        execute.run(core, job)


def standing(world: World, name: str, operation: str) -> health.Standing:
    account = world.accounts[name]
    return health.standing(world.worker, world.scope, [account], operation)[account]


@pytest.mark.parametrize(
    ("kind", "operation"),
    [("missed_events", "list_changes"), ("two_way", "list_charges"), ("statement", "list_statement")],
)
@pytest.mark.parametrize("provider", ["stripe", "paystack"])
def test_each_page_is_counted_under_its_list(world: World, provider: str, kind: str, operation: str) -> None:
    name = f"{provider}.{uuid4().hex}"
    world.add_account(provider, name=name)
    run_id = start(world, name, kind)
    carry(world)
    assert shown(world, run_id)["status"] == "succeeded"
    found = standing(world, name, operation)
    assert found.calls >= 1
    assert found.success == 1.0


def test_a_page_holds_a_place_of_its_account(world: World, name: str, listed: Listed) -> None:
    held = []
    listed.seen = lambda: held.append(in_flight.CALLS.held(world.accounts[name]))
    start(world, name)
    carry(world)
    assert held == [1]
    assert in_flight.CALLS.held(world.accounts[name]) == 0


class TestPace:
    def test_nothing_is_asked_before_its_moment_is_reserved(
        self, world: World, name: str, listed: Listed, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(pacing, "MAX_PAUSE", 0.01)
        pacer, at = Pacer(0.05, 0.05, 0.05, 0.005), []
        listed.seen = lambda: at.append(pacer.asked)
        run_id = start(world, name)
        carry_by(replace(world.worker, pacer=pacer))
        assert at == [4], "three times nothing was reserved"
        assert shown(world, run_id)["status"] == "succeeded"

    def test_what_is_too_far_away_goes_back_with_its_slices_kept(
        self, world: World, name: str, listed: Listed, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(pages, "PATIENCE", 0.05)
        run_id = start(world, name, hours=8)
        carry_by(replace(world.worker, pacer=Pacer(0.0, 7.0)))
        found, job = shown(world, run_id), job_of(world, run_id)
        assert (found["status"], found["slices_done"], found["slices"], found["error"]) == ("running", 1, 2, None)
        assert (job["status"], job["attempts"], 5 < job["due_in"] <= 7) == ("queued", 0, True)
        world.advance(8)
        carry(world)
        assert (shown(world, run_id)["status"], listed.calls) == ("succeeded", 2)


class TestTooManyRequests:
    def test_the_named_time_is_heeded_by_the_job_and_by_health(self, world: World, name: str, listed: Listed) -> None:
        listed.answers = lambda number: BUSY if number == 1 else None
        run_id = start(world, name)
        carry(world)
        job = job_of(world, run_id)
        assert shown(world, run_id)["error"]["code"] == "list_broken"
        assert 599 <= job["due_in"] <= 720
        assert 590 < standing(world, name, "list_charges").paused <= 600
        assert standing(world, name, "start").paused == 0.0
        assert standing(world, name, "list_changes").paused == 0.0

        with world.owner.begin() as connection:  # somebody hurries it
            connection.exec_driver_sql("UPDATE jobs SET run_after = app_now() WHERE id = %s", (str(job["id"]),))
        carry(world)
        assert listed.calls == 1, "the provider has asked to wait"
        assert 500 < job_of(world, run_id)["due_in"] <= 600
        world.advance(601)
        carry(world)
        assert (shown(world, run_id)["status"], listed.calls) == ("succeeded", 2)


class TestFailures:
    def test_they_open_their_own_circuit_and_no_other(
        self, world: World, name: str, listed: Listed, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(runs, "RETRIES", (1.0,) * 11)
        monkeypatch.setattr(pages, "PATIENCE", 0.1)
        listed.answers = lambda number: FAILED
        run_id = start(world, name)
        for _ in range(10):
            carry(world)
            world.advance(1.3)
        assert listed.calls == 10
        assert standing(world, name, "list_charges").state is not State.CLOSED
        for operation in ("start", "capture", "refund", "look_up", "list_changes"):
            assert standing(world, name, operation).state is State.CLOSED
        listed.answers = lambda number: None
        for _ in range(10):
            world.advance(3)
            carry(world)
        assert shown(world, run_id)["status"] == "succeeded"

    def test_that_there_is_no_such_object_is_an_answer(self, world: World, name: str) -> None:
        with world.worker.transaction(world.scope) as connection:
            account = provider_manager.open_account(world.worker, connection, world.scope, world.accounts[name])
        for _ in range(30):
            pages.ask(world.worker, account, lambda: Unknown({"http_status": 404}))
        found = standing(world, name, "look_up")
        assert (found.state, found.success, found.calls) == (State.CLOSED, 1.0, 30)


class TestABusyProvider:
    """What would begin anew and meet its limit in the same place is not begun for ever."""

    def test_a_list_whose_turn_never_comes_fails_the_run_in_the_end(
        self, world: World, name: str, listed: Listed, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(pages, "PATIENCE", 0.05)
        run_id = start(world, name)
        for _ in range(runs.MOST_WAITS + 1):
            assert shown(world, run_id)["status"] in ("queued", "running")
            carry_by(replace(world.worker, pacer=Pacer(7.0)))
            world.advance(9)
        assert (shown(world, run_id)["status"], shown(world, run_id)["error"]["code"]) == ("failed", "provider_busy")
        assert (job_of(world, run_id)["status"], listed.calls) == ("failed", 0)
        after = start(world, name)
        carry(world)
        assert shown(world, after)["status"] == "succeeded", "the next one is not kept from it"

    def test_a_question_whose_turn_is_too_far_away_is_left_to_the_next_run(
        self, world: World, listed: Listed, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Three charges that the list does not have are asked for by name, and the provider has asked to wait."""
        for _ in range(3):
            world.pay(provider="stripe")
        world.advance(1200)
        monkeypatch.setattr(pages, "PATIENCE", 0.05)
        pacer = Pacer(0.0, *(9.0,) * 9)
        run_id = start(world, "stripe")
        carry_by(replace(world.worker, pacer=pacer))
        found = shown(world, run_id)
        assert found["status"] == "succeeded"
        assert found["counts"]["absent"] == found["counts"]["unsure"] >= 3
        assert pacer.asked == 2, "once it is busy nothing more is asked"
