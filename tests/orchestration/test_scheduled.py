"""What happens by the clock: lost hints, orphaned outcomes, open payments, abandoned pages, due deliveries."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest
import requests

from core.domain.identifiers import parse_id
from core.orchestration import accounts, jobs, scheduled
from core.orchestration.context import Core
from core.persistence.database import Scope
from tests.orchestration import by_hand
from tests.support.world import World

NEEDS_3DS = {"type": "token", "token": "pm_card_authenticationRequired"}
DAY = 86400.0


@dataclass
class Woken:
    """What the workers were told."""

    hints: list[tuple[str, UUID]] = field(default_factory=list)

    def __call__(self, lane: str, ids: Any) -> None:
        self.hints += [(lane, one) for one in ids]


@pytest.fixture(autouse=True, scope="module")
def webhooks_by_hand(world: World) -> None:
    by_hand.keep_webhooks_back(world)


@pytest.fixture(autouse=True)
def nothing_due(world: World) -> None:
    """Each test begins with no job due and no payment to be asked about."""
    world.work()
    run(world, "UPDATE payments SET next_sync_at = NULL, expires_at = NULL, watch_until = NULL")
    run(world, "UPDATE jobs SET status = 'canceled' WHERE status IN ('queued', 'running')")


@pytest.fixture
def woken() -> Woken:
    return Woken()


@pytest.fixture
def core(world: World, woken: Woken) -> Core:
    """The worker's, whose hints can be read."""
    return replace(world.worker, wake=woken)


def run(world: World, statement: str, *values: Any) -> None:
    with world.owner.begin() as connection:
        connection.exec_driver_sql(statement, values or None)


def stored(world: World, payment: Any) -> Any:
    return world.one("SELECT *, app_now() AS now FROM payments WHERE id = :id", id=parse_id("payment", payment["id"]))


def jobs_of(world: World, payment: Any, kind: str) -> list[str]:
    query = "SELECT status FROM jobs WHERE payment_id = :id AND kind = :kind ORDER BY id"
    return [row["status"] for row in world.rows(query, id=parse_id("payment", payment["id"]), kind=kind)]


class TestSweep:
    def test_hints_again_what_nobody_took(self, world: World, core: Core, woken: Woken) -> None:
        job = parse_id("job", world.post("/v1/payments", world.payment_body()).json()["job"]["id"])
        assert scheduled.sweep(core) == 0, "its own hint may still be on the way"
        world.advance(scheduled.HINT_LOST_AFTER + 1)
        assert (scheduled.sweep(core), woken.hints) == (1, [("payments", job)])
        assert jobs.claim(world.worker.database, "payments", 5, "w", 60.0, [job])
        assert scheduled.sweep(core) == 0

    def test_hints_what_a_dead_worker_held(self, world: World, core: Core, woken: Woken) -> None:
        world.create()
        (job,) = jobs.claim(world.worker.database, "payments", 5, "dead", 6.0)
        world.advance(5)
        assert scheduled.sweep(core) == 0
        world.advance(2)
        assert (scheduled.sweep(core), woken.hints) == (1, [("payments", job.id)])

    def test_leaves_what_is_not_due(self, world: World, core: Core) -> None:
        world.create()
        run(world, "UPDATE jobs SET run_after = app_now() + interval '1 hour' WHERE status = 'queued'")
        world.advance(60)
        assert scheduled.sweep(core) == 0


class TestResolveUnknown:
    def _orphan(self, world: World, **changes: Any) -> Any:
        """Charged, the answer lost, and the job that cared for it gone."""
        with world.fault("stripe", operation="payment_intents.create", effect="reset_after"):
            payment = world.create(**changes)
            world.work()
        run(world, "UPDATE jobs SET status = 'failed' WHERE status = 'queued' AND kind = 'create_payment'")
        assert [row["status"] for row in world.transactions(payment["id"])] == ["unknown"]
        return payment

    def test_an_outcome_no_job_cares_for_is_asked_about(self, world: World, core: Core, woken: Woken) -> None:
        payment = self._orphan(world)
        assert scheduled.resolve_unknown(core) == 0, "an answer may still come"
        world.advance(world.settings.not_found_after + 1)
        assert scheduled.resolve_unknown(core) == 1
        assert [lane for lane, _ in woken.hints] == ["payments"]
        assert scheduled.resolve_unknown(core) == 0, "one question is enough"
        world.work()
        assert world.payment(payment["id"])["status"] == "succeeded"
        assert len(world.charges("stripe", payment["id"])) == 1
        assert scheduled.resolve_unknown(core) == 0

    def test_one_whose_job_waits_is_left_to_it(self, world: World, core: Core) -> None:
        with world.fault("stripe", operation="payment_intents.create", effect="reset_after"):
            world.create()
            world.work()
        world.advance(world.settings.not_found_after + 1)
        assert scheduled.resolve_unknown(core) == 0

    def test_one_that_a_person_looks_at_is_left_to_them(self, world: World, core: Core) -> None:
        self._orphan(world)
        run(world, "UPDATE jobs SET status = 'needs_review' WHERE status = 'failed'")
        world.advance(world.settings.not_found_after + 1)
        assert scheduled.resolve_unknown(core) == 0
        run(world, "UPDATE jobs SET status = 'failed' WHERE status = 'needs_review'")

    def test_two_merchants_in_one_tick(self, world: World, core: Core) -> None:
        other = Scope(accounts.create_merchant(world.admin, "Other shop"), "test")
        world.add_account("stripe", other, name="stripe.other")
        by_hand.keep_webhooks_back(world, "stripe.other")
        key = world.make_key("test", merchant_id=other.merchant_id)
        ours = world.pay(payment_method=NEEDS_3DS)
        theirs = world.post("/v1/payments", world.payment_body(payment_method=NEEDS_3DS), key=key).json()["payment"]
        world.work()
        run(world, "UPDATE payments SET next_sync_at = app_now() WHERE status = 'requires_action'")
        assert scheduled.synchronise_open(core) >= 2
        query = "SELECT merchant_id FROM jobs WHERE kind = 'sync_payment' AND status = 'queued' AND payment_id = :id"
        for payment, merchant in ((ours, world.merchant_id), (theirs, other.merchant_id)):
            assert world.one(query, id=parse_id("payment", payment["id"]))["merchant_id"] == merchant


class TestSynchroniseOpen:
    def test_asks_less_and_less_often(self, world: World, core: Core) -> None:
        payment = world.pay(payment_method=NEEDS_3DS)
        delays = world.settings.sync_delays
        for expected in (*delays, delays[-1]):
            row = stored(world, payment)
            left = row["next_sync_at"] - row["now"]
            assert abs(left.total_seconds() - expected) < 5
            world.advance(expected - 10)
            assert scheduled.synchronise_open(core) == 0
            world.advance(10)
            assert (scheduled.synchronise_open(core), scheduled.synchronise_open(core)) == (1, 0)
            world.work()
        assert jobs_of(world, payment, "sync_payment") == ["succeeded"] * (len(delays) + 1)
        assert world.payment(payment["id"])["status"] == "requires_action"

    def test_finds_what_no_webhook_told_and_then_rests(self, world: World, core: Core) -> None:
        payment = world.pay(payment_method=NEEDS_3DS)
        page = payment["next_action"]["url"]
        requests.post(page, data={"action": "authorize"}, allow_redirects=False, timeout=10)
        world.advance(world.settings.sync_delays[0] + 1)
        scheduled.synchronise_open(core)
        world.work()
        assert world.payment(payment["id"])["status"] == "succeeded"
        assert stored(world, payment)["next_sync_at"] is None

    def test_a_hold_is_asked_about_until_it_ends(self, world: World, core: Core) -> None:
        payment = world.pay(capture="manual")
        by_hand.client(world).v1.payment_intents.cancel(by_hand.intent_of(world, payment))
        world.advance(world.settings.sync_delays[0] + 1)
        assert scheduled.synchronise_open(core) == 1
        world.work()
        assert world.payment(payment["id"])["status"] == "canceled"

    def test_several_ticks_at_once_ask_once(self, world: World, core: Core) -> None:
        payments = [world.pay(payment_method=NEEDS_3DS) for _ in range(5)]
        world.advance(world.settings.sync_delays[0] + 1)
        assert sum(by_hand.at_once([partial(scheduled.synchronise_open, core)] * 4)) == 5
        assert {tuple(jobs_of(world, payment, "sync_payment")) for payment in payments} == {("queued",)}


class TestCloseAbandoned:
    def _page(self, world: World, provider: str, hours: float | None = None) -> Any:
        money = {"currency": "NGN", "amount": 500000} if provider == "paystack" else {}
        created = world.post("/v1/payments", world.redirect_body(provider=provider, **money)).json()["payment"]
        world.work()
        if hours is not None:  # sooner than the provider ends it by itself
            sql = "UPDATE payments SET expires_at = app_now() + make_interval(secs => %s) WHERE id = %s"
            run(world, sql, hours * 3600, str(parse_id("payment", created["id"])))
        payment = world.payment(created["id"])
        assert payment["status"] == "requires_action"
        return payment

    @contextmanager
    def _closing(self, world: World, core: Core, hours: float) -> Iterator[None]:
        assert scheduled.close_abandoned(core) == 0
        world.advance(hours * 3600 + 1)
        assert (scheduled.close_abandoned(core), scheduled.close_abandoned(core)) == (1, 0)
        yield
        world.work()

    def test_a_checkout_is_expired_at_stripe_and_canceled(self, world: World, core: Core) -> None:
        payment = self._page(world, "stripe", hours=1)
        session = by_hand.intent_of(world, payment)
        with self._closing(world, core, 1):
            assert by_hand.client(world).v1.checkout.sessions.retrieve(session).status == "open"
        assert by_hand.client(world).v1.checkout.sessions.retrieve(session).status == "expired"
        done = world.payment(payment["id"])
        assert (done["status"], done["next_action"]) == ("canceled", None)
        sent = [(row["kind"], row["status"]) for row in world.transactions(payment["id"])]
        assert sent == [("charge", "canceled"), ("void", "succeeded")]
        assert by_hand.told(world, payment)[-1] == "payment.canceled"
        assert scheduled.close_abandoned(core) == 0

    def test_one_that_stripe_ended_itself_is_canceled(self, world: World, core: Core) -> None:
        payment = self._page(world, "stripe")
        with self._closing(world, core, 24):
            pass
        assert world.payment(payment["id"])["status"] == "canceled"
        assert [row["status"] for row in world.transactions(payment["id"])] == ["canceled"]

    def test_one_paid_at_the_last_moment_is_paid(self, world: World, core: Core) -> None:
        payment = self._page(world, "stripe", hours=1)
        with self._closing(world, core, 1):
            card = {"action": "pay", "card": "4242424242424242"}
            requests.post(payment["next_action"]["url"], data=card, allow_redirects=False, timeout=10)
        done = world.payment(payment["id"])
        assert (done["status"], done["amount_captured"]) == ("succeeded", 5000)
        assert jobs_of(world, payment, "cancel_payment") == []

    def test_nothing_is_closed_while_the_provider_does_not_answer(self, world: World, core: Core) -> None:
        payment = self._page(world, "stripe", hours=1)
        answer = {"effect": "status_before", "status": 500, "times": 5}
        with self._closing(world, core, 1):
            pass
        assert world.payment(payment["id"])["status"] == "canceled"
        silent = self._page(world, "stripe", hours=1)
        with world.fault("stripe", operation="checkout_sessions.retrieve", **answer), self._closing(world, core, 1):
            pass
        assert world.payment(silent["id"])["status"] == "requires_action"
        assert jobs_of(world, silent, "expire_payment") == ["queued"]
        world.advance(60)
        world.work()
        assert world.payment(silent["id"])["status"] == "canceled"

    def test_a_page_at_paystack_is_closed_here_and_watched_for_a_week(self, world: World, core: Core) -> None:
        payment = self._page(world, "paystack")
        with self._closing(world, core, 24):
            pass
        assert world.payment(payment["id"])["status"] == "canceled"
        row = stored(world, payment)
        watch = timedelta(seconds=world.settings.redirect_watch)
        assert abs(row["watch_until"] - row["now"] - watch) < timedelta(seconds=10)
        for _ in range(2):
            world.advance(world.settings.sync_delays[-1] + 1)
            assert scheduled.synchronise_open(core) == 1
            world.work()
        world.advance(8 * DAY)
        assert scheduled.synchronise_open(core) == 1
        world.work()
        assert stored(world, payment)["next_sync_at"] is None


def test_due_deliveries_wake_their_lane(world: World, core: Core, woken: Woken) -> None:
    endpoint = {"url": "http://127.0.0.1:9/hook", "event_types": ["payment.succeeded"]}
    assert world.post("/v1/webhook_endpoints", endpoint).status_code == 201
    world.pay()
    assert (scheduled.deliver_events(core), woken.hints) == (0, []), "the next try is in five seconds"
    world.advance(6)
    assert scheduled.deliver_events(core) == 1
    assert [lane for lane, _ in woken.hints] == ["deliveries"]


def test_partitions_are_made_as_months_go_by(world: World, core: Core) -> None:
    scheduled.ensure_partitions(core)
    assert scheduled.ensure_partitions(core) == 0
    world.advance(31 * DAY)
    assert scheduled.ensure_partitions(core) in (4, 8), "four tables, one month more or, around February, two"
    assert scheduled.ensure_partitions(core) == 0
    assert world.pay()["status"] == "succeeded"
