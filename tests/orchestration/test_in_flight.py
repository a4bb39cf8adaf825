"""Places in flight: shared out so that a frozen party leaves room for the others, and who finds none is not tried."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from core.domain.identifiers import parse_id
from core.orchestration import in_flight, webhook_endpoints
from core.orchestration.context import Caller
from core.orchestration.in_flight import LATEST, RETURNS, SOONEST, Places
from tests.support.receiver import Receiver
from tests.support.world import World

LANE = 150
MANY = 10**6


class Taken:
    """Takes places and keeps them."""

    def __init__(self, stack: ExitStack, places: int = LANE, most: int = MANY) -> None:
        self.table = Places("provider_account", "account_id")
        self._stack, self._places, self._most = stack, places, most

    def take(self, party: UUID, group: str = "stripe") -> float:
        return self._stack.enter_context(self.table.place(party, group, places=self._places, most=self._most))

    def fill(self, party: UUID, group: str = "stripe") -> int:
        while not self.take(party, group):
            pass
        return self.table.held(party)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as made:
        yield made


class TestSharing:
    def test_one_party_takes_two_thirds_at_most(self, stack: ExitStack) -> None:
        assert Taken(stack).fill(uuid4()) == 100

    def test_and_no_more_than_it_is_allowed(self, stack: ExitStack) -> None:
        assert Taken(stack, most=8).fill(uuid4()) == 8

    def test_another_of_the_same_provider_finds_a_place(self, stack: ExitStack) -> None:
        taken = Taken(stack)
        taken.fill(uuid4())
        assert taken.fill(uuid4()) > 10

    @pytest.mark.parametrize("frozen", [1, 2, 5, 20, 100])
    def test_a_whole_provider_leaves_a_sixth_to_the_others(self, stack: ExitStack, frozen: int) -> None:
        taken = Taken(stack)
        held = sum(taken.fill(uuid4(), "stripe") for _ in range(frozen))
        assert held <= LANE * 5 / 6
        assert taken.fill(uuid4(), "paystack") >= 15

    @pytest.mark.parametrize("places", [1, 2, 3, 4])
    def test_a_small_lane_still_works(self, stack: ExitStack, places: int) -> None:
        assert Taken(stack, places=places).fill(uuid4()) >= 1

    def test_a_place_given_back_is_free(self) -> None:
        party, table = uuid4(), Places("provider_account", "account_id")
        for _ in range(5):
            with table.place(party, "stripe", places=1, most=1) as pause:
                assert pause == 0
                with table.place(party, "stripe", places=1, most=1) as second:
                    assert second > 0
                assert table.held(party) == 1
        assert table.held(party) == 0


class TestComingBack:
    def test_soon_at_first_and_spread_when_there_are_many(self, stack: ExitStack) -> None:
        taken, party = Taken(stack, most=1), uuid4()
        taken.fill(party)
        pauses = [taken.take(party) for _ in range(2000)]
        assert SOONEST * 0.7 < pauses[0] < 1
        in_order = sorted(pauses[:200])
        assert all(later - earlier > 1 for earlier, later in zip(in_order, in_order[int(2 * RETURNS) :], strict=False))
        assert max(pauses) <= LATEST
        assert min(pauses[1000:]) > LATEST / 2, "thousands do not come back at once"

    def test_a_party_that_is_only_busy_gets_its_work_back_faster(self, stack: ExitStack) -> None:
        taken, busy, frozen = Taken(stack, most=1), uuid4(), uuid4()
        for _ in range(600):
            with taken.table.place(busy, "stripe", places=LANE, most=1):
                pass
        for party in (busy, frozen):
            taken.fill(party)
        last = {party: [taken.take(party) for _ in range(200)][-1] for party in (busy, frozen)}
        assert last[busy] < last[frozen] / 2


@contextmanager
def full(table: Places, party: UUID, group: str, most: int) -> Iterator[None]:
    """Somebody else's calls hold all that the party may have."""
    with ExitStack() as held:
        while not held.enter_context(table.place(party, group, places=LANE, most=most)):
            pass
        yield


@contextmanager
def frozen(world: World) -> Iterator[None]:
    with full(in_flight.CALLS, world.accounts["stripe"], "stripe", world.settings.calls_per_account):
        yield


def due(world: World) -> None:
    world.advance(LATEST)
    world.settle()


def test_a_payment_that_finds_no_place_is_not_sent_and_loses_no_try(world: World) -> None:
    payment = world.create()
    with frozen(world):
        assert world.work(("payments",)) == 1
        assert world.charges("stripe", payment["id"]) == []
        (held,) = world.transactions(payment["id"])
        assert (held["status"], held["send_count"], held["ambiguous"]) == ("sent", 0, False)
        job = world.one("SELECT * FROM jobs WHERE id = (SELECT max(id::text)::uuid FROM jobs WHERE lane = 'payments')")
        assert (job["status"], job["attempts"]) == ("queued", 0)
    due(world)
    assert world.payment(payment["id"])["status"] == "succeeded"
    assert len(world.charges("stripe", payment["id"])) == 1
    assert [row["send_count"] for row in world.transactions(payment["id"])] == [1]


def test_a_look_up_that_finds_no_place_says_nothing(world: World) -> None:
    with world.without_webhooks("stripe"):
        with world.fault("stripe", effect="reset_after"):
            payment = world.create()
            world.work(("payments",))
        assert [row["status"] for row in world.transactions(payment["id"])] == ["unknown"]
        world.advance(6)
        with frozen(world):
            world.work(("payments",))
        (asked,) = world.transactions(payment["id"])
        assert (asked["status"], asked["lookup_count"]) == ("unknown", 0)
        world.advance(LATEST)
        world.work(("payments",))
    assert world.payment(payment["id"])["status"] == "succeeded"
    assert len(world.charges("stripe", payment["id"])) == 1


def test_a_question_by_the_clock_that_finds_no_place_asks_nobody(world: World) -> None:
    payment = world.pay(**world.redirect_body())
    waits = "SELECT status, run_after > app_now() AS later FROM jobs WHERE kind = 'sync_payment' AND payment_id = :id"
    with frozen(world), world.fault("stripe", effect="status_before", status=500) as fault:
        assert world.post(f"/v1/payments/{payment['id']}/sync").status_code == 202
        world.work(("payments",))
        found = world.sandboxes["stripe"].get("faults")["faults"]
        assert [one["fired"] for one in found if one["id"] == fault["id"]] == [0]
    assert tuple(world.one(waits, id=parse_id("payment", payment["id"])).values()) == ("queued", True)
    assert world.payment(payment["id"])["status"] == "requires_action"


@pytest.fixture
def endpoint(world: World) -> Iterator[Mapping[str, Any]]:
    receiver = Receiver()
    caller = Caller(world.scope, "key:test")
    made = webhook_endpoints.create(world.api, caller, None, url=receiver.url, event_types=["payment.processing"])
    yield {**made.body, "receiver": receiver}
    receiver.close()
    with world.owner.begin() as connection:
        connection.execute(sa.text("DELETE FROM jobs"))
        connection.execute(sa.text("DELETE FROM webhook_endpoints"))


def test_a_delivery_that_finds_no_place_is_no_attempt(world: World, endpoint: Mapping[str, Any]) -> None:
    payment, party = parse_id("payment", world.create()["id"]), parse_id("webhook_endpoint", endpoint["id"])
    with full(in_flight.DELIVERIES, party, str(world.merchant_id), world.settings.deliveries_per_endpoint):
        assert world.work(("deliveries",)) == 1
        job = world.one("SELECT * FROM jobs WHERE lane = 'deliveries' AND payment_id = :id", id=payment)
        assert (job["status"], job["attempts"]) == ("queued", 0)
    assert endpoint["receiver"].got == []
    due(world)
    (row,) = world.rows("SELECT * FROM deliveries WHERE payment_id = :id", id=payment)
    assert (row["attempt"], row["outcome"]) == (1, "delivered")
    assert len(endpoint["receiver"].got) == 1
