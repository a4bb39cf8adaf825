"""Pacing: never more than the limit in any second, over processes and threads, with Redis and without.

Nobody waits here: a send is counted at the moment the pacer allowed it for.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, NamedTuple
from uuid import uuid4

import pytest
import redis

from core.domain.identifiers import parse_id
from core.orchestration import jobs, pacing, provider_manager
from core.orchestration.pacing import MAX_PAUSE, Pacer, PrivatePacer, SharedPacer, Slot, slots_for
from core.providers.base import Pacing
from core.providers.registry import PROVIDERS
from tests.orchestration import by_hand
from tests.support.broker import Broker
from tests.support.world import World

PUBLISHED = Pacing(per_operation=25, total_test=25, total_live=100)
#: Seconds that clock and scheduling may blur a moment by.
BLUR = 0.05


def slots(rate: float, account: str | None = None, operation: str = "start", total: float | None = None) -> list[Slot]:
    own = {"pacing": {"per_operation": rate, "total": total}}
    return slots_for(account or uuid4().hex, "test", operation, PUBLISHED, own)


class Moment(NamedTuple):
    """When a send may go out: its turn was given between question and answer, which a busy machine draws apart."""

    earliest: float
    latest: float


def told(pacer: Pacer, wanted: list[Slot]) -> tuple[float, Moment]:
    """The pause, and when it ends."""
    before = time.monotonic()
    pause = pacer.pause(wanted)
    return pause, Moment(before + pause, time.monotonic() + pause)


def allowed(pacers: list[Pacer], wanted: list[Slot], tries: int) -> list[Moment]:
    """When the sends of several threads may go out; those told to come back later are left out."""

    def ask(pacer: Pacer) -> list[Moment]:
        answers = [told(pacer, wanted) for _ in range(tries // len(pacers))]
        return [moment for pause, moment in answers if pause <= MAX_PAUSE]

    return sorted(moment for found in by_hand.at_once([lambda one=one: ask(one) for one in pacers]) for moment in found)


def busiest(moments: list[Moment]) -> int:
    """The most sends that any one second holds for certain."""
    return max(
        sum(1 for other in moments if moment.earliest <= other.earliest and other.latest < moment.earliest + 1 - BLUR)
        for moment in moments
    )


def steady(rate: float) -> float:
    """A rate less the three that may go at once, and less what is taken ahead where that is two or more."""
    return (rate - 3) / 1.05 if rate > 42 else rate - 3


class TestSlots:
    def test_published_figures_by_mode(self) -> None:
        for mode, rates in (("test", (25, 25)), ("live", (25, 100))):
            found = slots_for("acc_1", mode, "start", PUBLISHED, {})
            assert [slot.key for slot in found] == ["tollgate:pace:acc_1:start", "tollgate:pace:acc_1"]
            assert [1 / slot.interval for slot in found] == pytest.approx([steady(rate) for rate in rates])

    def test_the_accounts_own_settings_win(self) -> None:
        own = {"pacing": {"per_operation": 10, "total": 50}}
        found = slots_for("acc_1", "live", "refund", PUBLISHED, own)
        assert [1 / slot.interval for slot in found] == pytest.approx([7, 47 / 1.05])

    def test_where_nothing_is_published_nothing_is_counted(self) -> None:
        assert slots_for("acc_1", "test", "start", Pacing(None, None, None), {}) == []
        assert len(slots_for("acc_1", "test", "start", PUBLISHED, {"pacing": {"total": None}})) == 1

    def test_paystack_is_not_paced_and_stripe_is(self) -> None:
        figures = {name: kind.capabilities.pacing for name, kind in PROVIDERS.items()}
        assert figures == {"stripe": PUBLISHED, "paystack": Pacing(None, None, None)}


@pytest.fixture(params=["shared", "private"])
def pacers(request: pytest.FixtureRequest, world: World) -> list[Pacer]:
    """Four users of one schedule: two processes with Redis between them, or four threads of one."""
    if request.param == "shared":
        one, other = (SharedPacer(world.settings.redis_url) for _ in range(2))
        return [one, other, one, other]
    return [PrivatePacer()] * 4


class TestLimit:
    @pytest.mark.parametrize("rate", [1, 2, 3, 4, 5, 10, 25, 100])
    def test_no_second_holds_more(self, pacers: list[Pacer], rate: int) -> None:
        moments = allowed(pacers, slots(rate), 4 * rate + 40)
        assert busiest(moments) <= rate
        assert len(moments) > MAX_PAUSE * rate / 2, "and it is no slower than it must be"

    def test_a_few_may_go_out_together(self, pacers: list[Pacer]) -> None:
        wanted = slots(25)
        pauses = [pacer.pause(wanted) for pacer in pacers]
        assert pauses[:3] == [0, 0, 0]
        assert 0 < pauses[3] <= 1 / 22

    def test_operations_share_the_total(self, pacers: list[Pacer]) -> None:
        account = uuid4().hex
        both = [slots(25, account, operation, total=10) for operation in ("start", "refund")]
        moments = sorted(moment for wanted in both for moment in allowed(pacers, wanted, 40))
        assert busiest(moments) <= 10

    def test_operations_and_accounts_do_not_wait_for_each_other(self, pacers: list[Pacer]) -> None:
        account = uuid4().hex
        busy = slots(2, account, "start", total=10**6)
        while pacers[0].pause(busy) <= MAX_PAUSE:
            pass
        assert pacers[0].pause(slots(2, account, "refund", total=10**6)) == 0
        assert pacers[0].pause(slots(2)) == 0

    def test_who_is_told_to_come_back_has_reserved_nothing(self, pacers: list[Pacer]) -> None:
        wanted = slots(10)
        while (first := pacers[0].pause(wanted)) <= MAX_PAUSE:
            pass
        later = [pacer.pause(wanted) for pacer in pacers * 25]
        assert all(MAX_PAUSE - 1 < pause <= first for pause in later), "the wait does not grow by asking"


class TestAhead:
    """A fast account does not ask Redis for every send, and a slow one asks for each."""

    @pytest.mark.parametrize(("rate", "tries", "most"), [(1000, 100, 20), (25, 40, 40)])
    def test_sends_are_taken_off_the_schedule_together(self, world: World, rate: float, tries: int, most: int) -> None:
        pacer = SharedPacer(world.settings.redis_url)
        wanted = slots(rate)
        pacer.pause(wanted)
        with redis.Redis.from_url(world.settings.redis_url) as client:
            asked = client.info("commandstats")["cmdstat_evalsha"]["calls"]
            moments = [told(pacer, wanted)[1] for _ in range(tries)]
            asked = client.info("commandstats")["cmdstat_evalsha"]["calls"] - asked
        assert 2 <= asked <= most
        assert (asked == tries) == (rate == 25)
        assert busiest(moments) <= rate


class TestWithoutRedis:
    @pytest.fixture
    def broker(self) -> Iterator[Broker]:
        broker = Broker(started=False)
        yield broker
        broker.close()

    def test_each_process_keeps_half_the_pace(self, broker: Broker) -> None:
        pacer = SharedPacer(broker.url)
        moments = allowed([pacer] * 4, slots(25), 200)
        assert busiest(moments) <= 25 / 2 + 3
        assert len(moments) > MAX_PAUSE * 8

    def test_a_dead_one_is_left_alone_for_a_while(self, broker: Broker) -> None:
        pacer = SharedPacer(broker.url)
        pacer.pause(slots(25))
        begun = time.monotonic()
        for _ in range(500):
            pacer.pause(slots(25))
        assert time.monotonic() - begun < 1

    def test_is_asked_again_when_it_is_back(self, broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
        pacer, wanted = SharedPacer(broker.url), slots(25)
        pacer.pause(wanted)
        broker.start()
        pacer.pause(wanted)
        assert broker.client.keys() == []
        monkeypatch.setattr(pacing, "time", SimpleNamespace(monotonic=lambda: time.monotonic() + 6))
        pacer.pause(wanted)
        assert broker.client.keys() == [wanted[0].key.encode()]

    def test_one_that_hangs_costs_a_fraction_of_a_second_once(self, broker: Broker) -> None:
        broker.start()
        pacer, wanted = SharedPacer(broker.url), slots(25)
        pacer.pause(wanted)
        broker.client.execute_command("CLIENT", "PAUSE", "3000", "ALL")
        begun = time.monotonic()
        for _ in range(20):
            pacer.pause(wanted)
        assert time.monotonic() - begun < 1.5

    def test_nothing_stays_in_redis(self, world: World) -> None:
        wanted = slots(25)
        SharedPacer(world.settings.redis_url).pause(wanted)
        client = redis.Redis.from_url(world.settings.redis_url)
        assert 0 < client.ttl(wanted[0].key) <= 60  # type: ignore[operator]
        client.close()


class TestOnTheRoad:
    @pytest.fixture(autouse=True)
    def one_a_long_while(self, world: World) -> Iterator[None]:
        """The first send may go, the next in twenty seconds of the machine's own time."""
        self._pace(world, 0.05)
        before = world.worker
        world.worker = replace(world.worker, pacer=PrivatePacer())
        yield
        world.worker = before
        self._pace(world, 100000)

    def _pace(self, world: World, rate: float) -> None:
        figures = f'{{"pacing": {{"per_operation": {rate}, "total": {rate}}}}}'
        with world.owner.begin() as connection:
            update = "UPDATE provider_accounts SET settings = %s::jsonb WHERE id = %s"
            connection.exec_driver_sql(update, (figures, str(world.accounts["stripe"])))
        provider_manager.forget(world.worker, world.accounts["stripe"])

    def _jobs(self, world: World, payment: Any) -> Any:
        return world.one("SELECT * FROM jobs WHERE payment_id = :id", id=parse_id("payment", payment["id"]))

    def test_what_has_to_wait_is_put_back_and_counts_as_no_try(self, world: World) -> None:
        first, second = world.create(), world.create()
        for _ in range(2 * len(world.settings.retry_delays)):
            world.work()
            world.advance(30)
        assert world.payment(first["id"])["status"] == "succeeded"
        assert (world.payment(second["id"])["status"], self._jobs(world, second)["status"]) == ("processing", "queued")
        (sent,) = world.transactions(second["id"])
        assert (sent["status"], sent["ambiguous"], sent["send_count"]) == ("sent", False, 0)
        assert world.charges("stripe", second["id"]) == []

        world.worker = replace(world.worker, pacer=PrivatePacer())
        with world.fault("stripe", operation="payment_intents.create", effect="status_before", status=429):
            world.work()
        assert self._jobs(world, second)["status"] == "queued", "a first refusal is not the last"
        world.worker = replace(world.worker, pacer=PrivatePacer())
        world.advance(30)
        world.settle()
        assert world.payment(second["id"])["status"] == "succeeded"
        (sent,) = world.transactions(second["id"])
        assert sent["send_count"] == 2
        assert len(world.charges("stripe", second["id"])) == 1

    def test_a_look_up_that_has_to_wait_says_nothing_about_the_charge(self, world: World) -> None:
        with world.fault("stripe", operation="payment_intents.create", effect="reset_after"):
            payment = world.create()
            world.work(("payments",))
        (before,) = world.transactions(payment["id"])
        for _ in range(3):
            world.advance(7)
            world.work(("payments",))
        (after,) = world.transactions(payment["id"])
        unchanged = ("status", "send_count", "lookup_count", "not_found_count", "ambiguous")
        assert [after[name] for name in unchanged] == [before[name] for name in unchanged]
        assert self._jobs(world, payment)["status"] == "queued"
        assert jobs.claim(world.worker.database, "payments", 1, "early", 6.0) == []
