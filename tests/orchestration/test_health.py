"""Health of accounts: what counts as a failure, what processes tell each other through Redis, and being without it."""

from __future__ import annotations

import time as clock
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID, uuid4

import pytest
import redis

from core.domain.identifiers import public_id
from core.domain.outcomes import (
    ActionRequired,
    Canceled,
    Decline,
    DeclineCategory,
    Declined,
    Facts,
    NotExecuted,
    NotExecutedReason,
    NotFound,
    Pending,
    Succeeded,
    Unknown,
)
from core.orchestration import accounts, breaker, health, health_changes
from core.orchestration.breaker import KeptBack, Permit, State
from core.orchestration.health import Health
from core.orchestration.health_windows import BOUNDS, Tally, Windows
from tests.support.broker import Broker
from tests.support.waiting import wait_until
from tests.support.world import World

NO_CONNECTION = NotExecuted(NotExecutedReason.CONNECTION, "refused")
ANSWERED = Succeeded(Facts())
#: Let through as soon as any share is, and among the last.
FIRST, LAST = UUID(int=0), UUID(int=999)


class Process:
    """One process's memory of one account, as the road of a call uses it."""

    def __init__(self, world: World, own: Health, account_id: UUID) -> None:
        self.world, self.health = world, own
        self.account: Any = SimpleNamespace(scope=world.scope, account_id=account_id)

    def see(self, answer: object, operation: str = "start", ms: int = 20, times: int = 1) -> None:
        for _ in range(times):
            self.health.observe(self.world.worker, self.account, operation, answer, ms)

    def ask(self, operation: str = "start", payment: UUID = LAST) -> Permit | KeptBack:
        return self.health.permit(self.world.worker, self.account, operation, payment)

    def may(self, operation: str = "start") -> bool:
        """Is a call let through, be it as a probe, which is given back at once?"""
        found = self.ask(operation)
        if isinstance(found, Permit):
            found.end()
        return isinstance(found, Permit)

    def standing(self, operation: str = "start") -> health.Standing:
        ids = [self.account.account_id]
        found = self.health.standings(self.world.worker, self.world.scope, ids, operation)
        return found[self.account.account_id]


class Time:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def alone(world: World, time: Time) -> Process:
    """Without Redis, by a clock that the test moves."""
    return Process(world, Health(clock=time), world.accounts["stripe"])


@pytest.fixture
def together(world: World) -> Callable[[], Process]:
    """Processes that share Redis, about an account of this test's own."""
    account_id = world.add_account("stripe", name=f"stripe.{uuid4().hex}")
    return lambda: Process(world, Health(world.settings.redis_url), account_id)


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """By Redis' clock nobody wants to wait five seconds."""
    monkeypatch.setattr(breaker, "FIRST_WAIT", 0.1)


class TestWhatCounts:
    @pytest.mark.parametrize(
        "answer",
        [
            Succeeded(Facts()),
            Pending(Facts()),
            ActionRequired(Facts(), None),
            Canceled(Facts()),
            NotFound(),
            *(Declined(Facts(), Decline("code", category, "No.")) for category in DeclineCategory),
            NotExecuted(NotExecutedReason.INVALID_REQUEST, "refused as such"),
            [],
        ],
        ids=lambda one: type(one).__name__,
    )
    def test_whatever_is_answered_is_an_answer(self, alone: Process, answer: object) -> None:
        alone.see(answer, times=30)
        assert (alone.standing().success, alone.standing().calls, alone.may()) == (1.0, 30, True)

    @pytest.mark.parametrize("answer", [NO_CONNECTION, Unknown({"http_status": 500})])
    def test_no_connection_and_no_outcome_are_failures(self, alone: Process, answer: object) -> None:
        alone.see(answer, times=10)
        assert (alone.standing().success, alone.standing().state, alone.may()) == (0.0, State.OPEN, False)

    @pytest.mark.parametrize(
        "answer",
        [
            NotExecuted(NotExecutedReason.MISCONFIGURED, "401"),
            NotExecuted(NotExecutedReason.LOCK_TIMEOUT, "429"),
            Unknown({}, refused_key=True),
            Unknown({}, key_taken=True),
        ],
    )
    def test_our_own_doing_is_neither(self, alone: Process, answer: object) -> None:
        alone.see(answer, times=30)
        assert (alone.standing().calls, alone.may()) == (0, True)

    def test_operations_and_accounts_are_told_apart(self, alone: Process, world: World) -> None:
        alone.see(NO_CONNECTION, times=10)
        assert not alone.may("start")
        assert alone.may("refund")
        assert Process(world, alone.health, world.accounts["paystack"]).may("start")


class TestAfter429:
    def test_the_named_time_is_kept_for_this_operation(self, alone: Process, time: Time) -> None:
        alone.see(NotExecuted(NotExecutedReason.RATE_LIMITED, "429", retry_after=30.0))
        kept = alone.ask()
        assert isinstance(kept, KeptBack)
        assert (kept, kept.reason) == (30.0, NotExecutedReason.RATE_LIMITED)
        assert alone.standing().paused == 30.0
        assert alone.may("look_up")
        time.now += 30
        assert alone.may()
        assert alone.standing().calls == 0, "it says nothing about the provider's health"

    def test_without_a_time_it_is_a_second_that_the_thread_waits_out(self, alone: Process) -> None:
        alone.see(NotExecuted(NotExecutedReason.RATE_LIMITED, "429"))
        permit = alone.ask()
        assert isinstance(permit, Permit)
        assert permit.wait == health.PAUSE_AFTER_429

    def test_a_day_is_asked_again_within_the_hour(self, alone: Process) -> None:
        alone.see(NotExecuted(NotExecutedReason.RATE_LIMITED, "429", retry_after=86400.0))
        assert alone.ask() == health.LONGEST_PAUSE

    def test_a_shorter_one_does_not_begin_the_longer_one_anew(self, alone: Process, time: Time) -> None:
        alone.see(NotExecuted(NotExecutedReason.RATE_LIMITED, "429", retry_after=600.0))
        time.now += 599
        alone.see(NotExecuted(NotExecutedReason.RATE_LIMITED, "429", retry_after=5.0))
        assert alone.standing().paused == 5.0
        alone.see(NotExecuted(NotExecutedReason.RATE_LIMITED, "429", retry_after=2.0))
        assert alone.standing().paused == 5.0


class TestAlone:
    def test_open_half_open_closed(self, alone: Process, time: Time) -> None:
        alone.see(NO_CONNECTION, times=10)
        kept = alone.ask()
        assert isinstance(kept, KeptBack)
        assert (kept, kept.reason) == (5.0, NotExecutedReason.BREAKER_OPEN)
        time.now += 5
        probe = alone.ask()
        assert isinstance(probe, Permit)
        assert alone.ask() == breaker.COME_BACK, "one at a time"
        alone.see(ANSWERED)
        assert alone.ask(payment=LAST) == breaker.COME_BACK
        assert isinstance(alone.ask(payment=FIRST), Permit), "the share goes beside the probe"
        probe.end()
        assert alone.may()
        alone.see(ANSWERED, times=9)
        assert (alone.standing().state, alone.standing().calls) == (State.CLOSED, 0)

    def test_a_probe_that_was_not_used_is_given_back(self, alone: Process, time: Time) -> None:
        alone.see(NO_CONNECTION, times=10)
        time.now += 5
        for _ in range(3):
            assert alone.may()

    def test_a_lost_probe_is_forgotten(self, alone: Process, time: Time) -> None:
        alone.see(NO_CONNECTION, times=10)
        time.now += 5
        alone.ask()
        time.now += 44
        assert not alone.may()
        time.now += 1
        assert alone.may()

    def test_old_failures_are_forgotten(self, alone: Process, time: Time) -> None:
        alone.see(NO_CONNECTION, times=9)
        time.now += 660
        alone.see(NO_CONNECTION, times=9)
        assert alone.may()
        alone.see(NO_CONNECTION)
        assert not alone.may()

    def test_an_answered_question_brings_the_probe_forward(self, alone: Process, time: Time) -> None:
        alone.see(NO_CONNECTION, times=10)
        time.now += 5
        assert alone.may()
        alone.see(NO_CONNECTION)
        assert alone.ask() == 10.0
        alone.see(NotFound(), "look_up")
        assert alone.ask() == 5.0


class TestTogether:
    def test_what_one_process_sees_the_others_know(self, together: Callable[[], Process]) -> None:
        one, other = together(), together()
        assert other.standing().state is State.CLOSED
        one.see(NO_CONNECTION, times=10)
        one.health.tell()
        other.standing()
        other.health.tell()
        assert (other.standing().state, other.may()) == (State.OPEN, False)
        assert (other.standing().calls, other.standing().success) == (10, 0.0)

    def test_failures_of_all_are_added_up(self, together: Callable[[], Process]) -> None:
        processes = [together() for _ in range(4)]
        for one in processes:
            one.see(NO_CONNECTION, times=3)
            one.health.tell()
        assert not processes[-1].may()

    def test_one_probe_for_all_of_them(self, together: Callable[[], Process], soon: None) -> None:
        one, other = together(), together()
        one.see(NO_CONNECTION, times=10)
        one.health.tell()
        other.standing()
        other.health.tell()
        wait_until(lambda: one.standing().state is State.HALF_OPEN, "the wait to be over")
        wait_until(lambda: other.standing().state is State.HALF_OPEN, "the wait to be over there, too")
        probe = one.ask()
        assert isinstance(probe, Permit)
        assert other.ask() == breaker.COME_BACK
        probe.end()
        wait_until(other.may, "the probe to be free")

    def test_all_close_when_one_closes(self, together: Callable[[], Process], soon: None) -> None:
        one, other = together(), together()
        one.see(NO_CONNECTION, times=10)
        one.health.tell()
        other.standing()
        other.health.tell()
        wait_until(one.may, "a probe")
        one.see(ANSWERED, times=10)
        one.health.tell()

        def closed() -> bool:
            other.ask()
            other.health.tell()
            return other.standing().state is State.CLOSED

        wait_until(closed, "the others to hear of it")
        other.see(NO_CONNECTION)
        assert other.may(), "the windows begin anew"

    def test_a_step_of_two_at_once_is_written_down_once(self, together: Callable[[], Process], world: World) -> None:
        one, other = together(), together()
        for process in (one, other):
            process.see(NO_CONNECTION, times=10)
        for process in (one, other):
            process.health.tell()

        def history() -> list[Any]:
            with world.worker.transaction(world.scope) as connection:
                return health_changes.history(connection, world.scope, one.account.account_id)

        wait_until(lambda: bool(history()), "the step to be kept")
        (step,) = history()
        assert (step["operation"], step["from_state"], step["to_state"]) == ("start", "closed", "open")
        assert step["details"] == {"opens": 1, "seconds": 5.0}

    def test_a_pause_is_kept_by_all(self, together: Callable[[], Process]) -> None:
        one, other = together(), together()
        one.see(NotExecuted(NotExecutedReason.RATE_LIMITED, "429", retry_after=30.0))
        one.health.tell()
        other.standing()
        other.health.tell()
        kept = other.ask()
        assert isinstance(kept, KeptBack)
        assert 28 < kept <= 30

    def test_a_report_is_of_all_processes(self, together: Callable[[], Process], world: World) -> None:
        one, gate = together(), together()
        one.see(ANSWERED, ms=150, times=19)
        one.see(Unknown({}), ms=4000)
        one.see(ANSWERED, "refund")
        one.health.tell()
        found = gate.health.report(world.api, world.scope, one.account.account_id, health.OPERATIONS)
        assert set(found) == {"start", "refund"}
        start = found["start"]
        assert (start.calls, start.success, start.p95_ms) == (20, 0.95, 200)

    def test_nothing_stays_in_redis(self, together: Callable[[], Process], world: World) -> None:
        one = together()
        one.see(NO_CONNECTION, times=10)
        one.health.tell()
        with redis.Redis.from_url(world.settings.redis_url) as client:
            keys = list(client.scan_iter(f"tollgate:health:*{one.account.account_id}*"))
            assert len(keys) == 2
            assert all(0 < cast(int, client.ttl(key)) <= 3600 for key in keys)


class TestWithoutRedis:
    @pytest.fixture
    def broker(self) -> Iterator[Broker]:
        broker = Broker(started=False)
        yield broker
        broker.close()

    @pytest.fixture
    def process(self, world: World, broker: Broker) -> Process:
        return Process(world, Health(broker.url), world.accounts["stripe"])

    def test_each_goes_by_what_it_sees_itself(self, process: Process, soon: None) -> None:
        process.see(NO_CONNECTION, times=10)
        process.health.tell()
        assert not process.may()
        wait_until(process.may, "a probe, which nobody else can be asked about")
        process.see(ANSWERED, times=10)
        process.health.tell()
        assert process.standing().state is State.CLOSED

    def test_of_a_pause_only_what_is_left_is_told_when_it_is_back(
        self, world: World, broker: Broker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(health, "_REST", 0.0)
        moved = 0.0
        process = Process(world, Health(broker.url, clock=lambda: clock.time() + moved), world.accounts["stripe"])
        process.see(NotExecuted(NotExecutedReason.RATE_LIMITED, "429", retry_after=30.0))
        process.health.tell()
        moved = 20.0
        broker.start()
        other = Process(world, Health(broker.url), world.accounts["stripe"])

        def heard() -> float:
            process.health.tell()
            other.standing()
            other.health.tell()
            return other.standing().paused

        wait_until(lambda: heard() > 0, "the pause to be told")
        assert 5 < heard() <= 10

    def test_what_was_seen_meanwhile_is_told_when_it_is_back(
        self, process: Process, broker: Broker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        process.see(NO_CONNECTION, times=9)
        process.health.tell()
        broker.start()
        monkeypatch.setattr(health, "_REST", 0.0)
        process.health._rest_until = 0.0
        process.health.tell()
        other = Process(process.world, Health(broker.url), process.account.account_id)
        other.standing()
        other.health.tell()
        assert other.standing().calls == 9

    def test_an_emptied_redis_learns_of_an_open_breaker_again(self, process: Process, broker: Broker) -> None:
        broker.start()
        process.see(NO_CONNECTION, times=10)
        process.health.tell()
        broker.client.flushall()
        assert not process.may()
        process.health.tell()
        assert not process.may()
        other = Process(process.world, Health(broker.url), process.account.account_id)

        def told() -> bool:
            process.may()
            process.health.tell()
            other.standing()
            other.health.tell()
            return not other.may()

        wait_until(told, "the state to be there again")


class TestWindows:
    def test_the_last_minute_and_the_last_ten(self) -> None:
        windows, begun = Windows(), 999_960.0
        for second in range(-300, 600, 10):
            windows.count(True, 10, begun + second)
        sums = windows.sums(begun + 599)
        assert {seconds: tally.answered for seconds, tally in sums.items()} == {60: 6, 600: 60}

    @pytest.mark.parametrize(
        ("times", "p95"),
        [([], None), ([10] * 100, 50), ([10] * 95 + [900] * 5, 50), ([10] * 94 + [900] * 6, 1000), ([99999], 30000)],
    )
    def test_p95(self, times: list[int], p95: int | None) -> None:
        tally = Tally()
        for ms in times:
            tally.count(True, ms)
        assert tally.p95_ms == p95
        assert p95 is None or p95 in BOUNDS


def test_it_is_shown_with_its_history_over_http(world: World) -> None:
    account = world.accounts["stripe"]
    process = Process(world, world.api.health, account)
    merchant = public_id("merchant", world.merchant_id)
    home = f"/admin/v1/merchants/{merchant}/provider_accounts/{public_id('provider_account', account)}/health"
    key = world.make_key("admin", ["admin:read"])

    def seen(**query: str) -> Any:
        answer = world.get(home, key=key, params={"mode": "test", **query})
        assert answer.status_code == 200, answer.text
        return answer.json()

    quiet = seen()
    assert (quiet["status"], quiet["operations"]) == ("enabled", [])
    process.see(ANSWERED, "refund", ms=40)
    process.see(NO_CONNECTION, "capture", times=20)
    wait_until(lambda: len(seen()["history"]) > len(quiet["history"]), "the step to be written down")
    found = seen()
    assert [(one["operation"], one["circuit"], one["calls"], one["success"]) for one in found["operations"]] == [
        ("capture", "open", 20, 0.0),
        ("refund", "closed", 1, 1.0),
    ]
    step = found["history"][0]
    assert (step["operation"], step["from_state"], step["to_state"]) == ("capture", "closed", "open")
    assert (step["opened_in_a_row"], step["seconds"]) == (1, 5.0)
    assert step not in seen(before=step["at"])["history"]
    other = home.replace(merchant, public_id("merchant", accounts.create_merchant(world.admin, "Other")))
    assert world.get(other, key=key, params={"mode": "test"}).status_code == 404
