"""Captures, cancellations and expiries under attack: each ends, none is doubled, and no money goes unnoticed."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from core.domain.identifiers import parse_id
from core.domain.outcomes import (
    CANCEL_AFTER_DECLINE,
    Decline,
    DeclineCategory,
    Declined,
    Facts,
    Outcome,
    Pending,
    Succeeded,
)
from core.orchestration import execute, jobs, review, scheduled
from core.orchestration.context import Core
from core.providers.base import CaptureRequest
from core.providers.stripe import StripeProvider
from tests.orchestration import by_hand
from tests.support.world import World

NEEDS_3DS = {"type": "token", "token": "pm_card_authenticationRequired"}


@pytest.fixture(autouse=True)
def webhooks_by_hand(world: World) -> None:
    by_hand.keep_webhooks_back(world)


def stored(world: World, payment: Any) -> Any:
    return world.one("SELECT * FROM payments WHERE id = :id", id=parse_id("payment", payment["id"]))


def job_of(world: World, payment: Any, kind: str) -> Any:
    query = "SELECT * FROM jobs WHERE payment_id = :id AND kind = :kind ORDER BY id DESC LIMIT 1"
    return world.one(query, id=parse_id("payment", payment["id"]), kind=kind)


def finish_page(payment: Any, action: str) -> None:
    requests.post(payment["next_action"]["url"], data={"action": action}, allow_redirects=False, timeout=10)


def pay_with_another_card(world: World, payment: Any) -> str:
    """What a customer can do whose declined intent was left payable."""
    intent = by_hand.intent_of(world, payment)
    card: Any = {"payment_method": "pm_card_visa", "return_url": "https://shop.example/back"}
    return by_hand.client(world).v1.payment_intents.confirm(intent, card).status


def run_all(core: Core, lease: float = 5.0) -> None:
    for job in jobs.claim(core.database, "payments", 20, "stepped", lease):
        execute.run(core, job)


class TestAfterADecline:
    def test_money_is_found_by_a_sync_when_the_closing_was_lost(self, world: World) -> None:
        """The void has no answer, the customer pays with another card, and no webhook tells of it."""
        with world.fault("stripe", operation="payment_intents.cancel", effect="timeout_before", times=2):
            payment = world.create(payment_method={"type": "token", "token": "pm_card_visa_chargeDeclined"})
            world.work(("payments",))
        assert pay_with_another_card(world, payment) == "succeeded"
        world.post(f"/v1/payments/{payment['id']}/sync")
        world.work(("payments",))
        world.advance(7)
        world.work(("payments",))
        assert stored(world, payment)["amount_received"] == 5000

    def test_money_that_came_before_the_closing_is_recorded(self, world: World) -> None:
        payment = world.pay(payment_method=NEEDS_3DS)
        finish_page(payment, "fail")
        world.post(f"/v1/payments/{payment['id']}/sync")
        run_all(world.worker)
        assert world.payment(payment["id"])["status"] == "failed"
        assert job_of(world, payment, "close_payment")["status"] == "queued"
        assert pay_with_another_card(world, payment) == "succeeded"
        world.work()
        for seconds in (100, 4000, 25 * 3600):
            world.advance(seconds)
            scheduled.synchronise_open(world.worker)
            scheduled.resolve_unknown(world.worker)
            world.work()
        assert [one["status"] for one in world.charges("stripe", payment["id"])].count("succeeded") == 1
        assert stored(world, payment)["amount_received"] == 5000
        assert "surplus_received" in by_hand.findings(world, payment)

    def test_a_closing_that_cannot_be_made_is_told_to_a_person(self, world: World) -> None:
        payment = self._left_payable(world)
        assert job_of(world, payment, "close_payment")["status"] == "needs_review"
        assert by_hand.findings(world, payment) == ["still_payable"]

    def test_the_person_who_asks_again_finds_the_money_that_came_meanwhile(self, world: World) -> None:
        payment = self._left_payable(world)
        assert pay_with_another_card(world, payment) == "succeeded"
        with world.owner.begin() as connection:
            again = "UPDATE jobs SET status = 'queued', run_after = app_now(), attempts = 0 WHERE id = %s"
            connection.exec_driver_sql(again, (str(job_of(world, payment, "close_payment")["id"]),))
        world.work(("payments",))
        assert stored(world, payment)["amount_received"] == 5000
        assert by_hand.findings(world, payment) == ["still_payable", "surplus_received"]

    def test_what_a_person_says_is_of_the_newest_closing(self, world: World) -> None:
        """The first one's key grew old, and a second was made: that one is open, and holds up every other."""
        payment = self._left_payable(world)
        job = job_of(world, payment, "close_payment")
        review.resolve(world.admin, job["id"], "not_executed", review.Person("cli:ada", "still open at Stripe"))
        closings = [row["status"] for row in world.transactions(payment["id"]) if row["kind"] == "void"]
        assert closings == ["not_executed", "not_executed"]

    def _left_payable(self, world: World) -> Any:
        declined = {"type": "token", "token": "pm_card_visa_chargeDeclined"}
        refusing = {"effect": "status_before", "status": 429, "times": 1000}
        with world.fault("stripe", operation="payment_intents.cancel", **refusing):
            payment = world.create(payment_method=declined)
            world.work(("payments",))
            for _ in range(10):
                world.advance(400)
                world.work(("payments",))
            assert job_of(world, payment, "close_payment")["status"] == "queued", "tried for a day"
            for _ in range(10):
                world.advance(4 * 3600)
                world.work(("payments",))
        return payment

    def test_a_capture_that_was_declined_is_closed_too(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        """The hold is gone, and the intent waits for another card."""
        payment = world.pay(capture="manual")
        intent = by_hand.intent_of(world, payment)

        def declined(_: StripeProvider, request: CaptureRequest) -> Outcome:
            facts = Facts(provider_id=intent, extra={CANCEL_AFTER_DECLINE: intent})
            return Declined(facts, Decline("card_declined", DeclineCategory.SOFT, "The card was declined."))

        monkeypatch.setattr(StripeProvider, "capture", declined)
        world.post(f"/v1/payments/{payment['id']}/capture")
        world.work(("payments",))
        assert job_of(world, payment, "close_payment")["status"] == "succeeded"
        assert by_hand.client(world).v1.payment_intents.retrieve(intent).status == "canceled"


class TestCapture:
    def test_a_second_closing_is_refused_while_one_is_pending(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        payment = world.pay(capture="manual")
        capture = StripeProvider.capture

        def pending(provider: StripeProvider, request: CaptureRequest) -> Outcome:
            answer = capture(provider, request)
            assert isinstance(answer, Succeeded)
            return Pending(answer.facts)

        monkeypatch.setattr(StripeProvider, "capture", pending)
        world.post(f"/v1/payments/{payment['id']}/capture")
        world.work(("payments",))
        assert world.payment(payment["id"])["status"] == "authorized"
        for path in ("cancel", "capture"):
            answer = world.post(f"/v1/payments/{payment['id']}/{path}")
            assert (answer.status_code, answer.json()["code"]) == (409, "operation_in_progress")

    def test_another_amount_than_was_asked_is_noticed(self, world: World) -> None:
        payment = world.pay(capture="manual")
        with world.fault("stripe", operation="payment_intents.capture", effect="wrong_amount"):
            world.post(f"/v1/payments/{payment['id']}/capture", {"amount": 2000})
            world.work(("payments",))
        assert by_hand.findings(world, payment) == ["amount_mismatch"]


class TestCancel:
    def test_of_a_payment_whose_creation_is_in_review_ends(self, world: World) -> None:
        payment = world.create()
        with world.owner.begin() as connection:
            review = "UPDATE jobs SET status = 'needs_review' WHERE payment_id = %s AND kind = 'create_payment'"
            connection.exec_driver_sql(review, (str(parse_id("payment", payment["id"])),))
        asked = world.post(f"/v1/payments/{payment['id']}/cancel")
        assert asked.status_code == 202
        for _ in range(3):
            world.advance(3600)
            world.work(("payments",))
        job = world.get(asked.json()["job"]["url"]).json()
        assert (job["status"], job["error"]["code"]) == ("failed", "outcome_unknown")
        assert world.payment(payment["id"])["status"] == "processing"

    def test_a_hold_that_our_own_void_released_is_no_surplus(self, world: World) -> None:
        """The events of hold and release come after the payment has ended."""
        payment = world.create(capture="manual", payment_method=NEEDS_3DS)
        world.work(("payments",))
        finish_page(world.payment(payment["id"]), "authorize")
        world.post(f"/v1/payments/{payment['id']}/cancel")
        world.work(("payments",))
        assert world.payment(payment["id"])["status"] == "canceled"
        by_hand.deliver_all(world, by_hand.stripe_events(world, payment["id"]))
        assert by_hand.findings(world, payment) == []
        assert [row["surplus"] for row in world.transactions(payment["id"])] == [False, False]
        assert world.charges("stripe", payment["id"])[0]["amount_captured"] == 0

    def test_asked_while_the_payment_is_being_closed_by_the_clock(self, world: World) -> None:
        payment = world.pay(payment_method=NEEDS_3DS)
        world.advance(24 * 3600 + 60)
        scheduled.close_abandoned(world.worker)
        expiry = None
        for job in jobs.claim(world.worker.database, "payments", 20, "stepped", 30.0):
            if job.kind == "expire_payment" and job.payment == parse_id("payment", payment["id"]):
                expiry = job
            else:
                execute.run(world.worker, job)
        assert expiry is not None
        assert world.post(f"/v1/payments/{payment['id']}/cancel").status_code == 202
        execute.run(world.worker, expiry)
        assert job_of(world, payment, "expire_payment")["status"] == "succeeded"
        world.work(("payments",))
        assert world.payment(payment["id"])["status"] == "canceled"
        voids = [row["kind"] for row in world.transactions(payment["id"]) if row["kind"] == "void"]
        assert voids == ["void"], "asked for twice, ended once"
