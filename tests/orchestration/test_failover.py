"""Failover on the road: where a payment goes on, where it waits, and where nothing more may be sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
import requests

from core.domain.identifiers import parse_id
from core.domain.outcomes import Decline, DeclineCategory, Declined, Facts
from core.orchestration import accounts, backoff, execute, failover, people, provider_manager, router
from core.orchestration.health import Health
from core.persistence.database import Scope
from core.persistence.vault import Place
from tests.orchestration import by_hand
from tests.support.world import World

HOUR = 3600
PERSON = {"email": "ada@example.com", "name": "Ada"}
SAVED_ON_PAYSTACK = "4084080000001002"  # pays, and is declined for want of money when it is charged again
SOFT_AT_STRIPE = "pm_card_chargeCustomerFail"


@pytest.fixture(autouse=True)
def exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits are not lengthened."""
    monkeypatch.setattr(backoff, "SPREAD", 0.0)


def statuses(world: World, payment: Any, kind: str = "charge") -> list[str]:
    return [row["status"] for row in world.transactions(payment["id"]) if row["kind"] == kind]


def job_of(world: World, payment: Any) -> Any:
    query = "SELECT * FROM jobs WHERE payment_id = :id AND kind = 'create_payment'"
    return world.one(query, id=parse_id("payment", payment["id"]))


def saved_at_paystack(world: World) -> dict[str, Any]:
    body = world.redirect_body(amount=500000, currency="NGN", provider="paystack", save_payment_method=True)
    payment = world.post("/v1/payments", body).json()["payment"]
    world.settle()
    url = world.payment(payment["id"])["next_action"]["url"]
    requests.post(url, data={"action": "pay", "card": SAVED_ON_PAYSTACK}, allow_redirects=False, timeout=10)
    world.settle()
    return {"type": "saved", "id": world.payment(payment["id"])["payment_method"]["id"]}


class SavedAtStripe:
    """A saved card whose token the test exchanges: for one that is declined softly, and for a good one."""

    def __init__(self, world: World) -> None:
        token = {"type": "token", "token": "pm_card_visa"}
        first = world.pay(payment_method=token, save_payment_method=True, customer=PERSON)
        self.world, self.method = world, {"type": "saved", "id": first["payment_method"]["id"]}
        self._row = world.one("SELECT * FROM payment_methods WHERE id = :id", id=parse_id("payment_method", self.id))
        self._kept = self._open()
        stripe = by_hand.client(world)
        made = stripe.v1.payment_methods.attach(SOFT_AT_STRIPE, {"customer": self._kept["provider_customer"]})
        self._put({**self._kept, "token": made.id})

    @property
    def id(self) -> str:
        return str(self.method["id"])

    def mend(self) -> None:
        self._put(self._kept)

    def _open(self) -> dict[str, Any]:
        with self.world.worker.transaction(self.world.scope) as connection:
            return dict(people.kept_of(self.world.worker, connection, self.world.scope, self._row) or {})

    def _put(self, kept: dict[str, Any]) -> None:
        world = self.world
        with world.worker.transaction(world.scope) as connection:
            key = world.worker.vault.customer_key(connection, world.scope, self._row["customer_id"])
            assert key is not None
            sealed = key.seal_json(Place("payment_methods", "sealed", self._row["id"]), kept)
        with world.owner.begin() as connection:
            update = "UPDATE payment_methods SET sealed = %s WHERE id = %s"
            connection.exec_driver_sql(update, (sealed, str(self._row["id"])))


@pytest.fixture
def stripe_card(world: World) -> SavedAtStripe:
    return SavedAtStripe(world)


class TestOffSession:
    def test_three_tries_in_three_days_and_one_payment(self, world: World) -> None:
        method = saved_at_paystack(world)
        payment = world.pay(amount=100000, currency="NGN", payment_method=method, off_session=True)
        assert (payment["status"], statuses(world, payment)) == ("processing", ["declined"])
        world.advance(24 * HOUR - 60)
        world.settle()
        assert statuses(world, payment) == ["declined"], "not before its time"
        world.advance(120)
        world.settle()
        assert statuses(world, payment) == ["declined"] * 2
        assert world.payment(payment["id"])["status"] == "processing"
        world.advance(34 * HOUR + 60)
        world.settle()
        failed = world.payment(payment["id"])
        assert (failed["status"], failed["decline"]["code"]) == ("failed", "insufficient_funds")
        world.advance(80 * HOUR)
        world.settle()
        sent = world.transactions(payment["id"])
        assert [(row["number"], row["send_count"]) for row in sent] == [(1, 1), (2, 1), (3, 1)]
        assert len({row["provider_key"] for row in sent}) == 3
        assert job_of(world, payment)["status"] == "succeeded"

    def test_while_the_customer_is_there_a_no_is_a_no(self, world: World) -> None:
        method = saved_at_paystack(world)
        payment = world.pay(amount=100000, currency="NGN", payment_method=method)
        assert (payment["status"], statuses(world, payment)) == ("failed", ["declined"])

    def test_what_was_left_payable_is_ended_before_the_next_try(self, world: World, stripe_card: SavedAtStripe) -> None:
        with world.fault("stripe", operation="payment_intents.cancel", effect="status_before", status=429):
            payment = world.pay(payment_method=stripe_card.method, off_session=True)
        assert (payment["status"], statuses(world, payment)) == ("processing", ["declined"])
        world.advance(60)
        world.settle()
        assert statuses(world, payment, "void") == ["succeeded"]
        assert world.payment(payment["id"])["status"] == "processing"
        stripe_card.mend()
        world.advance(24 * HOUR + 60)
        world.settle()
        paid = world.payment(payment["id"])
        assert (paid["status"], paid["amount_captured"]) == ("succeeded", 5000)
        assert statuses(world, payment) == ["declined", "succeeded"]
        charged = [one for one in world.charges("stripe", payment["id"]) if one["status"] == "succeeded"]
        assert len(charged) == 1

    def test_nothing_new_is_sent_while_it_is_still_payable(self, world: World, stripe_card: SavedAtStripe) -> None:
        refuse = {"operation": "payment_intents.cancel", "effect": "status_before", "status": 500, "times": 1000}
        with world.fault("stripe", **refuse):
            payment = world.pay(payment_method=stripe_card.method, off_session=True)
            stripe_card.mend()
            for _ in range(8):
                world.advance(4 * HOUR)
                world.work()
            assert statuses(world, payment) == ["declined"]
        for _ in range(4):
            world.advance(4 * HOUR)
            world.settle()
        assert len([one for one in statuses(world, payment) if one == "succeeded"]) <= 1
        charged = [one for one in world.charges("stripe", payment["id"]) if one["status"] == "succeeded"]
        assert len(charged) == statuses(world, payment).count("succeeded")

    def test_old_news_of_a_decline_does_not_end_the_next_try(self, world: World, stripe_card: SavedAtStripe) -> None:
        payment = world.pay(payment_method=stripe_card.method, off_session=True)
        intent = by_hand.intent_of(world, payment)
        news = by_hand.stripe_events(world, intent, "payment_intent.payment_failed")
        stripe_card.mend()
        with world.fault("stripe", operation="payment_intents.create", effect="timeout_before", times=2):
            world.advance(24 * HOUR + 60)
            world.work(("payments",))
        assert statuses(world, payment) == ["declined", "unknown"]
        for body in news:
            by_hand.deliver(world, body.replace(b'"evt_', b'"evt_again'))
        world.work(("webhooks",))
        assert world.payment(payment["id"])["status"] == "processing"
        world.advance(60)
        world.settle()
        assert world.payment(payment["id"])["status"] == "succeeded"

    def test_a_decline_that_a_webhook_told_first_is_tried_again_too(
        self, world: World, stripe_card: SavedAtStripe
    ) -> None:
        with world.fault("stripe", operation="payment_intents.create", effect="reset_after"):
            payment = world.pay(payment_method=stripe_card.method, off_session=True)
        assert (payment["status"], statuses(world, payment)) == ("processing", ["declined"])
        world.advance(60)
        world.settle()
        assert statuses(world, payment) == ["declined"], "the time of look-ups is not that of the next try"
        stripe_card.mend()
        world.advance(24 * HOUR)
        world.settle()
        assert world.payment(payment["id"])["status"] == "succeeded"
        assert statuses(world, payment) == ["declined", "succeeded"]

    def test_it_can_be_canceled_between_two_tries(self, world: World, stripe_card: SavedAtStripe) -> None:
        payment = world.pay(payment_method=stripe_card.method, off_session=True)
        assert world.post(f"/v1/payments/{payment['id']}/cancel").status_code == 202
        world.settle()
        assert world.payment(payment["id"])["status"] == "canceled"
        world.advance(80 * HOUR)
        world.settle()
        assert statuses(world, payment) == ["declined"]

    def test_money_that_came_late_for_one_try_leaves_no_room_for_another(
        self, world: World, stripe_card: SavedAtStripe
    ) -> None:
        payment = world.pay(payment_method=stripe_card.method, off_session=True)
        with world.owner.begin() as connection:
            late = (
                "UPDATE transactions SET status = 'succeeded', surplus = true WHERE kind = 'charge' AND payment_id = %s"
            )
            connection.exec_driver_sql(late, (str(parse_id("payment", payment["id"])),))
        stripe_card.mend()
        world.advance(24 * HOUR + 60)
        world.settle()
        assert world.payment(payment["id"])["status"] == "failed"
        assert len(statuses(world, payment)) == 1


#: Accounts that a shop tries before its others.
FIRST: set[UUID] = set()


class Shop:
    """A merchant of its own with accounts in order, each of which the test makes fail as it likes."""

    def __init__(self, world: World, count: int) -> None:
        self.world = world
        self.scope = Scope(accounts.create_merchant(world.admin, "Shop that fails over"), "test")
        self.key = world.make_key("test", merchant_id=self.scope.merchant_id)
        self.names = [f"stripe.{self.scope.merchant_id}.{number}" for number in range(count)]
        self.accounts: list[UUID] = []
        for number, name in enumerate(self.names):
            account = world.add_account("stripe", self.scope, name=name)
            self._set(account, "priority", number + 1)
            self.accounts.append(account)
        FIRST.add(self.accounts[0])

    def _set(self, account: UUID, column: str, value: object) -> None:
        with self.world.owner.begin() as connection:
            update = f"UPDATE provider_accounts SET {column} = %s WHERE id = %s"
            connection.exec_driver_sql(update, (value, str(account)))
        for core in (self.world.worker, self.world.api):
            provider_manager.forget(core, account)

    def cut_off(self, number: int) -> None:
        """Connections to the account are refused from here on."""
        self._set(self.accounts[number], "api_base", "http://127.0.0.1:9")

    def mend(self, number: int) -> None:
        self._set(self.accounts[number], "api_base", self.world.sandboxes["stripe"].url)

    def refuse(self, number: int, status: int, times: int = 1000, operation: str = "checkout_sessions.create") -> None:
        fault = {"effect": "status_before", "status": status, "times": times, "operation": operation}
        self.world.sandboxes["stripe"].post("faults", secret_key=self.world.secrets[self.names[number]], **fault)

    def create(self, **changes: Any) -> Any:
        answer = self.world.post("/v1/payments", {**self.world.redirect_body(**changes)}, key=self.key)
        assert answer.status_code == 202, answer.text
        return answer.json()["payment"]

    def pay(self, **changes: Any) -> Any:
        payment = self.create(**changes)
        self.world.work()
        return self.seen(payment)

    def seen(self, payment: Any) -> Any:
        return self.world.get(f"/v1/payments/{payment['id']}", key=self.key).json()

    def tried(self, payment: Any) -> list[tuple[int, str]]:
        sent = self.world.transactions(payment["id"])
        return [(self.accounts.index(row["provider_account_id"]), row["status"]) for row in sent]


@pytest.fixture
def shop(world: World) -> Iterator[Callable[[int], Shop]]:
    yield lambda count: Shop(world, count)
    world.sandboxes["stripe"].clear_faults()


class TestElsewhere:
    def test_refused_credentials_send_it_to_one_other_account(self, shop: Any) -> None:
        place = shop(3)
        place.refuse(0, 401)
        payment = place.pay()
        assert payment["status"] == "requires_action"
        assert place.tried(payment) == [(0, "not_executed"), (1, "requires_action")]

    def test_and_to_no_third(self, shop: Any) -> None:
        place = shop(3)
        place.refuse(0, 401)
        place.refuse(1, 403)
        payment = place.pay()
        assert (payment["status"], payment["decline"]["code"]) == ("failed", "provider_misconfigured")
        assert place.tried(payment) == [(0, "not_executed"), (1, "not_executed")]

    def test_refused_connections_cross_every_account(self, shop: Any) -> None:
        place = shop(3)
        place.cut_off(0)
        place.cut_off(1)
        payment = place.pay()
        assert place.tried(payment) == [(0, "not_executed"), (1, "not_executed"), (2, "requires_action")]

    @pytest.mark.parametrize(("status", "tried"), [(429, 2), (409, 1), (400, 1), (500, 1)])
    def test_what_else_crosses(self, shop: Any, status: int, tried: int) -> None:
        place = shop(2)
        place.refuse(0, status)
        assert len(place.tried(place.pay())) == tried

    def test_never_before_an_unknown_outcome_is_resolved(self, world: World, shop: Any) -> None:
        place = shop(2)
        place.refuse(0, 500)
        payment = place.pay()
        place.cut_off(0)
        for _ in range(8):
            world.advance(700)
            world.work()
        assert place.tried(payment) == [(0, "unknown")]
        assert place.seen(payment)["status"] == "processing"

    def test_how_long_the_call_took_is_kept_with_the_attempt(self, world: World, shop: Any) -> None:
        (sent,) = world.transactions(shop(1).pay()["id"])
        assert 0 <= sent["call_ms"] < 2000


class TestSoftDeclineOfARedirect:
    """No local provider declines before it has a page, so the test says no in its place."""

    @pytest.fixture(autouse=True)
    def the_first_account_says_no(self, monkeypatch: pytest.MonkeyPatch) -> None:
        perform, said = execute._perform, Declined(Facts(), Decline("insufficient_funds", DeclineCategory.SOFT, "No."))

        def no_from_the_first(step: Any) -> Any:
            return said if step.account.account_id in FIRST else perform(step)

        monkeypatch.setattr(execute, "_perform", no_from_the_first)

    @pytest.mark.parametrize(
        ("says_next", "status", "tried"),
        [(False, "failed", [(0, "declined")]), (True, "requires_action", [(0, "declined"), (1, "requires_action")])],
    )
    def test_goes_to_the_next_account_only_if_the_route_says_so(
        self, shop: Any, monkeypatch: pytest.MonkeyPatch, says_next: bool, status: str, tried: list[tuple[int, str]]
    ) -> None:
        monkeypatch.setattr(failover, "route_says_next", lambda payment: says_next)
        place = shop(2)
        payment = place.pay()
        assert (payment["status"], place.tried(payment)) == (status, tried)

    def test_and_fails_with_the_decline_where_there_is_no_other(self, shop: Any, monkeypatch: Any) -> None:
        monkeypatch.setattr(failover, "route_says_next", lambda payment: True)
        place = shop(1)
        payment = place.pay()
        assert (payment["status"], payment["decline"]["code"]) == ("failed", "insufficient_funds")
        assert place.tried(payment) == [(0, "declined")]


class Time:
    """Seconds, moved by hand."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time(world: World) -> Iterator[Time]:
    """The breakers' clock of a worker that knows nothing yet."""
    moved, before = Time(), world.worker
    world.worker = replace(before, health=Health(clock=moved))
    yield moved
    world.worker = before


TOKEN: dict[str, Any] = {"payment_method": {"type": "token", "token": "pm_card_visa"}}


class TestBreaker:
    def trip(self, place: Shop) -> None:
        """Ten payments that meet nothing but refused connections."""
        place.cut_off(0)
        for _ in range(10):
            place.pay(**TOKEN)

    def test_an_open_one_is_passed_by(self, shop: Any, time: Time) -> None:
        place = shop(2)
        self.trip(place)
        place.mend(0)  # it would answer, but nobody asks it yet
        assert place.tried(place.pay()) == [(1, "requires_action")]

    def test_one_that_opens_behind_the_router_s_back_sends_redirects_elsewhere_without_a_call(
        self, shop: Any, time: Time, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(router, "down_last", list)
        place = shop(2)
        self.trip(place)
        place.mend(0)
        payment = place.pay()
        assert place.tried(payment) == [(0, "not_executed"), (1, "requires_action")]
        (first, _) = place.world.transactions(payment["id"])
        assert first["evidence"]["reason"] == "breaker_open"
        assert first["call_ms"] is None

    def test_a_token_waits_under_its_key_and_is_charged_once(self, shop: Any, time: Time) -> None:
        place = shop(1)
        self.trip(place)
        place.mend(0)
        payment = place.pay(**TOKEN)
        assert (payment["status"], place.tried(payment)) == ("processing", [(0, "sent")])
        time.now += 5
        place.world.advance(30)
        place.world.work()
        assert place.seen(payment)["status"] == "succeeded"
        (sent,) = place.world.transactions(payment["id"])
        assert sent["number"] == 1

    def test_questions_are_asked_while_sends_are_not(self, shop: Any, time: Time) -> None:
        place = shop(1)
        with place.world.without_webhooks("stripe"):
            fault = {"effect": "reset_after", "operation": "payment_intents.create"}
            place.world.sandboxes["stripe"].post("faults", secret_key=place.world.secrets[place.names[0]], **fault)
            payment = place.pay(**TOKEN)
            assert place.tried(payment) == [(0, "unknown")]
            self.trip(place)
            place.mend(0)
            place.world.advance(60)  # also where its first look-up met the refused connections
            place.world.work(("payments",))
        assert place.seen(payment)["status"] == "succeeded"

    def test_each_move_is_kept(self, shop: Any, time: Time) -> None:
        place = shop(1)
        self.trip(place)
        time.now += 5
        place.mend(0)
        for _ in range(12):
            place.pay(**TOKEN)
        place.world.worker.health.tell()
        query = (
            "SELECT operation, from_state, to_state FROM health_changes WHERE merchant_id = :id ORDER BY created_at, id"
        )
        found = [tuple(row.values()) for row in place.world.rows(query, id=place.scope.merchant_id)]
        assert found == [
            ("start", "closed", "open"),
            ("start", "open", "half_open"),
            ("start", "half_open", "closed"),
        ]


class TestNextLookUp:
    def test_a_capture_waits_for_what_is_unknown_and_is_told_how_long(self, world: World) -> None:
        payment = world.pay(capture="manual")
        with world.without_webhooks("stripe"):
            with world.fault("stripe", operation="payment_intents.capture", effect="reset_after"):
                world.post(f"/v1/payments/{payment['id']}/capture", {})
                world.work(("payments",))
            for operation in ("capture", "cancel"):
                refused = world.post(f"/v1/payments/{payment['id']}/{operation}", {})
                body = refused.json()
                assert (refused.status_code, body["code"]) == (409, "outcome_unknown")
                assert 1 <= int(refused.headers["Retry-After"]) <= 5
                query = "SELECT run_after FROM jobs WHERE payment_id = :id AND status = 'queued'"
                row = world.one(query, id=parse_id("payment", payment["id"]))
                assert body["next_look_up"][:19] == row["run_after"].isoformat()[:19]
        world.advance(6)
        world.settle()
        assert world.payment(payment["id"])["status"] == "succeeded"
