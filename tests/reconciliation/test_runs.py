"""Runs: slice by slice, resumed after a crash, repeated without doubling, refused where they cannot be."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from core.domain.errors import NotFoundError, RequestRefused, StateConflict
from core.domain.identifiers import new_id, public_id
from core.domain.outcomes import Unknown
from core.providers.base import ListingBroken
from core.providers.stripe import StripeProvider
from core.reconciliation import handlers, planned, runs
from core.reconciliation.runs import Window
from core.reconciliation.slices import SliceResult
from tests.orchestration import by_hand
from tests.reconciliation.test_findings import finding_of, late_charge
from tests.support.world import World


def now(world: World) -> datetime:
    found: datetime = world.one("SELECT app_now() AS now")["now"]
    return found


def last(world: World, **span: float) -> Window:
    end = now(world)
    return Window(end - timedelta(**span), end)


def carry(world: World) -> None:
    world.work(("maintenance",))


def done(world: World, kind: Any, provider: str = "stripe", **span: float) -> dict[str, Any]:
    """A run from start to end."""
    window = last(world, **(span or {"hours": 2}))
    run_id = runs.start(world.admin, world.scope, world.accounts[provider], kind, window, "test")
    carry(world)
    found = runs.shown(runs.find(world.admin, world.scope, run_id))
    assert found["status"] == "succeeded", found
    return found


class Made:
    """A comparison of the test's own, that counts its slices and may fail."""

    def __init__(self, fails: Callable[[int], bool] = lambda number: False) -> None:
        self.read: list[datetime] = []
        self._fails = fails

    def __call__(self, core: Any, scope: Any, account: Any, run_id: UUID, since: datetime, until: datetime) -> Any:
        self.read.append(since)
        if self._fails(len(self.read)):
            raise ListingBroken(Unknown({"cause": "made"}))
        result = SliceResult(findings=1)
        result.counts["lines"] += 10
        result.sums["USD.net"] += 7
        return result


def with_own(world: World, made: Made, monkeypatch: pytest.MonkeyPatch) -> UUID:
    monkeypatch.setattr(handlers, "COMPARISONS", {**handlers.COMPARISONS, "two_way": made})
    return runs.start(world.admin, world.scope, world.accounts["stripe"], "two_way", last(world, hours=16), "test")


class TestTheEngine:
    def test_figures_are_those_of_all_slices(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        run_id = with_own(world, Made(), monkeypatch)
        carry(world)
        found = runs.shown(runs.find(world.admin, world.scope, run_id))
        assert (found["status"], found["slices_done"], found["slices"]) == ("succeeded", 4, 4)
        assert (found["counts"], found["sums"], found["findings"]) == ({"lines": 40}, {"USD.net": 28}, 4)
        told = world.rows("SELECT action FROM audit_log WHERE subject_id = :id ORDER BY number", id=run_id)
        assert [row["action"] for row in told] == ["reconciliation.started", "reconciliation.succeeded"]

    def test_after_a_broken_list_it_goes_on_where_it_was(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        made = Made(lambda number: number == 3)
        run_id = with_own(world, made, monkeypatch)
        carry(world)
        found = runs.shown(runs.find(world.admin, world.scope, run_id))
        assert (found["status"], found["slices_done"], found["error"]["code"]) == ("running", 2, "list_broken")
        world.advance(11)
        carry(world)
        found = runs.shown(runs.find(world.admin, world.scope, run_id))
        assert (found["status"], found["counts"], found["error"]) == ("succeeded", {"lines": 40}, None)
        assert len(made.read) == 5, "what was read whole is not read again"

    def test_a_worker_that_dies_in_a_slice_doubles_nothing(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        class Died(BaseException):
            pass

        made = Made()
        run_id = with_own(world, made, monkeypatch)
        keep = runs._keep

        def die(*arguments: Any) -> None:
            if len(made.read) == 2:
                raise Died
            keep(*arguments)

        monkeypatch.setattr(runs, "_keep", die)
        with pytest.raises(Died):
            carry(world)
        monkeypatch.setattr(runs, "_keep", keep)
        world.advance(61)  # the lease of a stepped worker
        carry(world)
        found = runs.shown(runs.find(world.admin, world.scope, run_id))
        assert (found["status"], found["counts"], found["findings"]) == ("succeeded", {"lines": 40}, 4)

    def test_a_list_that_is_always_broken_ends_the_run(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        run_id = with_own(world, Made(lambda number: True), monkeypatch)
        for wait in (*runs.RETRIES, 0):
            carry(world)
            world.advance(wait + 1)
        found = runs.shown(runs.find(world.admin, world.scope, run_id))
        assert (found["status"], found["error"]["code"]) == ("failed", "list_broken")
        runs.start(world.admin, world.scope, world.accounts["stripe"], "two_way", last(world, hours=1), "test")
        carry(world)

    def test_what_cannot_be_is_refused(self, world: World) -> None:
        account, end = world.accounts["stripe"], now(world)
        for window in (
            Window(end, end + timedelta(hours=1)),
            Window(end, end - timedelta(hours=1)),
            Window(end - timedelta(days=500), end),
        ):
            with pytest.raises(RequestRefused):
                runs.start(world.admin, world.scope, account, "statement", window, "test")
        with pytest.raises(NotFoundError):
            runs.start(world.admin, world.scope, new_id(), "statement", last(world, hours=1), "test")
        assert world.rows("SELECT 1 FROM reconciliation_runs WHERE kind = 'statement'") == []

    def test_one_at_a_time(self, world: World) -> None:
        account = world.accounts["paystack"]
        runs.start(world.admin, world.scope, account, "two_way", last(world, hours=1), "test")
        with pytest.raises(StateConflict, match="under way"):
            runs.start(world.admin, world.scope, account, "two_way", last(world, hours=1), "test")
        carry(world)
        runs.start(world.admin, world.scope, account, "two_way", last(world, hours=1), "test")
        carry(world)

    def test_the_clock_starts_each_once_and_goes_on_where_the_last_ended(self, world: World) -> None:
        def started() -> list[Any]:
            query = (
                "SELECT * FROM reconciliation_runs WHERE started_by = 'clock' AND kind = 'missed_events' ORDER BY id"
            )
            return list(world.rows(query))

        assert planned.find_missed_events(world.worker) == len(world.accounts)
        assert planned.find_missed_events(world.worker) == 0, "they are under way"
        carry(world)
        assert planned.find_missed_events(world.worker) == 0, "ten minutes have not passed"
        world.advance(601)
        assert planned.find_missed_events(world.worker) == len(world.accounts)
        carry(world)
        found = [row for row in started() if row["provider_account_id"] == world.accounts["stripe"]]
        assert found[1]["window_from"] == found[0]["window_until"] - timedelta(minutes=5)
        world.advance(24 * 3600 + 1)
        for plan in (planned.compare_books, planned.read_statements):
            assert plan(world.worker) == len(world.accounts)
        carry(world)


class TestMissedEvents:
    def test_a_lost_webhook_is_made_up_for_and_counted(self, world: World) -> None:
        by_hand.keep_webhooks_back(world)
        payment = world.create(capture="manual")
        world.work()
        by_hand.client(world).v1.payment_intents.capture(by_hand.intent_of(world, payment))
        assert world.payment(payment["id"])["status"] == "authorized"
        world.advance(5)
        found = done(world, "missed_events")
        world.work()
        assert world.payment(payment["id"])["status"] == "succeeded"
        assert found["counts"]["filled"] >= 1
        again = done(world, "missed_events")
        assert again["counts"].get("filled", 0) == 0, again["counts"]
        assert again["counts"]["known"] == again["counts"]["seen"] - again["counts"].get("foreign", 0)

    def test_a_refund_of_the_dashboard_is_taken_over(self, world: World) -> None:
        by_hand.keep_webhooks_back(world)
        payment = world.create()
        world.work()
        by_hand.client(world).v1.refunds.create({"payment_intent": by_hand.intent_of(world, payment), "amount": 700})
        world.advance(5)
        done(world, "missed_events")
        world.work()
        assert world.payment(payment["id"])["amount_refunded"] == 700
        assert finding_of(world, "refund_not_ours")["status"] == "open"

    def test_a_dispute_nobody_told_of_is_found(self, world: World) -> None:
        by_hand.keep_webhooks_back(world)
        payment = world.create(payment_method={"type": "token", "token": "pm_card_createDispute"})
        world.work()
        assert world.get(f"/v1/disputes?payment={payment['id']}").json()["data"] == []
        world.advance(5)
        done(world, "missed_events")
        world.work()
        (dispute,) = world.get(f"/v1/disputes?payment={payment['id']}").json()["data"]
        assert (dispute["status"], dispute["amount"]) == ("needs_response", 5000)

    def test_paystack_s_pages_that_were_paid(self, world: World) -> None:
        by_hand.keep_webhooks_back(world)
        payment = world.create(**world.redirect_body(provider="paystack", currency="NGN", amount=500000))
        world.work()
        import requests

        page = world.payment(payment["id"])["next_action"]["url"]
        requests.post(page, data={"action": "pay", "card": "4084084084084081"}, timeout=10, allow_redirects=False)
        world.advance(5)
        assert done(world, "missed_events", "paystack")["counts"]["filled"] >= 1
        world.work()
        assert world.payment(payment["id"])["status"] == "succeeded"


class TestTwoWay:
    def test_books_that_agree(self, world: World) -> None:
        payments = [world.pay(), world.pay(amount=700)]
        refused = world.create(payment_method={"type": "token", "token": "pm_card_chargeDeclined"})
        world.settle()
        assert world.post(f"/v1/payments/{payments[0]['id']}/refunds", {"amount": 100}).status_code == 202
        world.settle()
        world.advance(20 * 60)
        world.settle()
        found = done(world, "two_way")
        assert found["findings"] == 0
        assert found["counts"]["agree"] >= 2
        assert found["counts"].get("differ", 0) == 0
        assert found["counts"].get("absent", 0) == 0
        assert refused["id"]

    def test_what_bears_our_mark_and_is_unknown_is_found_once(self, world: World) -> None:
        by_hand.keep_webhooks_back(world)
        paid = world.pay()
        mark = public_id("transaction", new_id())
        charge = late_charge(world, paid, tollgate_transaction=mark)
        foreign = by_hand.client(world).v1.payment_intents.create({"amount": 900, "currency": "usd"})
        world.advance(20 * 60)
        first = done(world, "two_way")
        assert (first["counts"]["unknown"], first["counts"]["foreign"] >= 1) == (1, True)
        row = finding_of(world, "unknown_charge")
        assert (row["amount"], row["currency"], row["evidence"]["theirs"]["provider_id"]) == (5000, "USD", charge.id)
        done(world, "two_way")
        assert len(world.rows("SELECT 1 FROM findings WHERE kind = 'unknown_charge'")) == 1
        assert foreign.id

    def test_a_foreign_charge_at_an_exclusive_account(self, world: World) -> None:
        account = world.add_account("stripe", name="stripe.exclusive", exclusive=True)
        by_hand.client(world, "stripe.exclusive").v1.payment_intents.create(
            {
                "amount": 900, "currency": "usd", "payment_method": "pm_card_visa", "confirm": True,
                "return_url": "https://shop.example/back",
            }
        )  # fmt: skip
        world.advance(5)
        found = done(world, "two_way", "stripe.exclusive")
        assert found["findings"] == 1
        row = finding_of(world, "foreign_charge")
        assert (row["amount"], row["provider_account_id"]) == (900, account)

    def test_late_money_is_asked_about_and_recorded(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        from tests.orchestration.test_late_arrivals import DAY, _die_before_sending

        by_hand.keep_webhooks_back(world)
        payment = world.create()
        _die_before_sending(world, monkeypatch)
        world.advance(DAY)
        world.work()
        assert world.payment(payment["id"])["status"] == "failed"
        (sent,) = world.transactions(payment["id"])
        late_charge(world, payment, tollgate_transaction=public_id("transaction", sent["id"]))
        world.advance(5)
        found = done(world, "two_way")
        assert found["counts"]["asked"] == 1
        world.work()
        now_ = world.payment(payment["id"])
        assert (now_["status"], now_["amount_received"]) == ("failed", 5000)
        assert finding_of(world, "surplus_received")["status"] == "open"

    def test_what_the_provider_does_not_know_is_missing(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        paid = world.pay()
        world.settle()
        (sent,) = world.transactions(paid["id"])
        with world.owner.begin() as connection:  # as if the account were another one under the same name
            connection.exec_driver_sql(
                "UPDATE transactions SET provider_id = 'pi_gone', provider_charge_id = 'ch_gone' WHERE id = %s",
                (str(sent["id"]),),
            )
        monkeypatch.setattr(StripeProvider, "list_charges", lambda *_: iter(()))
        world.advance(20 * 60)
        found = done(world, "two_way")
        assert found["counts"]["missing"] == 1
        row = finding_of(world, "missing_at_provider")
        assert (row["transaction_id"], row["amount"], row["severity"]) == (sent["id"], 5000, "high")
        with world.owner.begin() as connection:
            connection.exec_driver_sql(
                "UPDATE transactions SET provider_id = %s WHERE id = %s", (sent["provider_id"], str(sent["id"]))
            )


def test_over_the_admin_api(world: World) -> None:
    key, merchant = world.make_key("admin"), public_id("merchant", world.merchant_id)
    home = f"/admin/v1/merchants/{merchant}/reconciliation/runs?mode=test"
    end = now(world)
    body = {
        "provider_account": public_id("provider_account", world.accounts["stripe"]),
        "kind": "two_way",
        "since": (end - timedelta(hours=2)).isoformat(),
        "until": end.isoformat(),
    }
    made = world.post(home, body, key=key)
    assert made.status_code == 202, made.text
    carry(world)
    one = world.get(home.replace("?", f"/{made.json()['id']}?"), key=key).json()
    assert (one["status"], one["slices_done"]) == ("succeeded", 1)
    assert made.json()["id"] in [row["id"] for row in world.get(home, key=key).json()["data"]]
    late = {**body, "until": (end + timedelta(days=1)).isoformat()}
    refused = world.post(home, late, key=key)
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "until")
    assert world.post(home, {**body, "since": "yesterday"}, key=key).status_code == 422
    assert world.post(home, {**body, "kind": "all"}, key=key).status_code == 422


class TestWhatAReviewFound:
    def test_a_second_charge_under_the_mark_of_the_first(self, world: World) -> None:
        by_hand.keep_webhooks_back(world)
        paid = world.pay()
        (sent,) = world.transactions(paid["id"])
        world.advance(25 * 3600)
        late_charge(world, paid, tollgate_transaction=public_id("transaction", sent["id"]))
        world.advance(5)
        before = len(world.rows("SELECT 1 FROM findings WHERE kind = 'unknown_charge'"))
        assert done(world, "two_way", hours=1)["counts"]["unknown"] == 1
        assert len(world.rows("SELECT 1 FROM findings WHERE kind = 'unknown_charge'")) == before + 1

    def test_a_fault_of_ours_does_not_block_the_account(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        def crash(*_: Any) -> Any:
            raise KeyError("id")

        monkeypatch.setattr(handlers, "COMPARISONS", {**handlers.COMPARISONS, "two_way": crash})
        run_id = runs.start(world.admin, world.scope, world.accounts["stripe"], "two_way", last(world, hours=4), "test")
        for _ in range(len(runs.RETRIES) + 1):
            carry(world)
            world.advance(301)
        found = runs.shown(runs.find(world.admin, world.scope, run_id))
        assert (found["status"], found["error"]["message"]) == ("failed", "KeyError")
