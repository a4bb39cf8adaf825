"""Look-ups under attack: pages nobody can open, providers that go on failing, workers that slept, poisoned events."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from core.domain.identifiers import parse_id
from core.domain.outcomes import Facts, LookUp, Pending
from core.orchestration import execute, jobs, scheduled
from core.providers.base import LookUpRequest
from core.providers.stripe import StripeProvider
from tests.orchestration import by_hand
from tests.support.waiting import wait_until
from tests.support.world import World

NEEDS_3DS = {"type": "token", "token": "pm_card_authenticationRequired"}


@pytest.fixture(autouse=True)
def webhooks_by_hand(world: World) -> None:
    by_hand.keep_webhooks_back(world)


def stored(world: World, payment: Any) -> Any:
    return world.one("SELECT * FROM payments WHERE id = :id", id=parse_id("payment", payment["id"]))


def test_asking_about_a_lost_page_never_leaves_one_that_nobody_can_open(world: World) -> None:
    with world.fault("paystack", operation="transaction.initialize", effect="timeout_after"):
        body = world.redirect_body(currency="NGN", amount=500000, provider="paystack")
        payment = world.post("/v1/payments", body).json()["payment"]
        world.work()
    assert [row["status"] for row in world.transactions(payment["id"])] == ["unknown"]
    world.post(f"/v1/payments/{payment['id']}/sync")
    world.work()
    first = world.payment(payment["id"])
    assert first["status"] == "processing", "the page is there, but its address went with the answer"
    for seconds in (6, 60, 120, 700, 3700, 25 * 3600):
        world.advance(seconds)
        scheduled.synchronise_open(world.worker)
        scheduled.close_abandoned(world.worker)
        world.work()
        seen = world.payment(payment["id"])
        assert (seen["status"], seen["next_action"]) != ("requires_action", None)
    assert world.payment(payment["id"])["status"] == "canceled"


class TestSendsAreCounted:
    """A provider that goes on failing is asked by the schedule; sending again and again proves nothing."""

    def test_a_provider_that_keeps_its_500_is_looked_up_instead(self, world: World) -> None:
        failing = {"effect": "status_before", "status": 500, "times": 100000}
        with world.fault("stripe", operation="payment_intents.create", **failing):
            payment = world.create()
            world.work(("payments",))
            for _ in range(60):
                world.advance(5.1)
                world.work(("payments",))
            (sent,) = world.transactions(payment["id"])
        assert 1 < sent["send_count"] <= 5
        assert 0 < sent["lookup_count"] <= 20
        world.advance(6 * 3600)
        world.work(("payments",))
        assert world.payment(payment["id"])["status"] == "succeeded"
        assert len(world.charges("stripe", payment["id"])) == 1

    def test_a_request_refused_after_a_lost_one_fails_in_the_end(self, world: World) -> None:
        """The refusal of the second send is no proof about the first; the look-ups are."""
        nobody = {"type": "token", "token": "pm_card_doesNotExist"}
        with world.fault("stripe", operation="payment_intents.create", effect="timeout_before"):
            payment = world.create(payment_method=nobody)
            world.work(("payments",))
        for _ in range(40):
            world.advance(60)
            world.work(("payments",))
        (sent,) = world.transactions(payment["id"])
        assert sent["send_count"] <= 8
        assert world.payment(payment["id"])["status"] == "failed"


class TestOldNews:
    def test_a_worker_that_slept_through_its_look_up_writes_nothing(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        payment = world.pay(payment_method=NEEDS_3DS)
        look_up = StripeProvider.look_up
        world.post(f"/v1/payments/{payment['id']}/sync")
        (job,) = jobs.claim(world.worker.database, "payments", 5, "sleeper", 5.0)

        def slow(_: StripeProvider, request: LookUpRequest) -> LookUp:
            monkeypatch.setattr(StripeProvider, "look_up", look_up)
            world.advance(10)  # the lease runs out, and another worker carries the job out
            world.work(("payments",))
            return Pending(Facts(provider_id=request.provider_id))

        monkeypatch.setattr(StripeProvider, "look_up", slow)
        execute.run(world.worker, job)
        assert world.payment(payment["id"])["status"] == "requires_action"

    def test_asking_beside_our_own_capture_finds_no_stranger(self, world: World) -> None:
        payment = world.pay(capture="manual")
        with world.fault("stripe", operation="payment_intents.capture", effect="timeout_after"):
            world.post(f"/v1/payments/{payment['id']}/capture", {"amount": 2000})
            (job,) = jobs.claim(world.worker.database, "payments", 5, "captures", 30.0)
            capturing = threading.Thread(target=execute.run, args=(world.worker, job))
            capturing.start()
            charged = wait_until(lambda: self._captured(world, payment), "the capture to arrive")
            world.post(f"/v1/payments/{payment['id']}/sync")
            world.work(("payments",))
            capturing.join(30)
        world.advance(6)
        world.work(("payments",))
        assert charged == 2000
        assert by_hand.findings(world, payment) == []
        done = world.payment(payment["id"])
        assert (done["status"], done["amount_captured"]) == ("succeeded", 2000)

    def _captured(self, world: World, payment: Any) -> Any:
        """What the provider has taken while its answer is still on the way."""
        return world.charges("stripe", payment["id"])[0]["amount_captured"]


class TestPoisonedEvents:
    @pytest.mark.parametrize(
        "body",
        [
            b'{"id":"evt_deep","type":"x","data":' + b"[" * 5000 + b"]" * 5000 + b"}",
            b'{"id":"evt_\\u0000a","type":"x"}',
            b'{"id":"evt_half","type":"\\ud800"}',
            b'{"id":"evt_nul_id","type":"payment_intent.succeeded","data":{"object":{"id":"pi_\\u0000",'
            b'"object":"payment_intent","status":"succeeded","amount":1,"amount_received":1,"currency":"usd",'
            b'"metadata":{"tollgate_transaction":"txn_\\u0000"}}}}',
        ],
        ids=["deep", "nul in the event's id", "half a pair", "nul in the object's id"],
    )
    def test_are_stored_answered_and_ignored(self, world: World, body: bytes) -> None:
        before = len(by_hand.inbox(world))
        assert by_hand.deliver(world, body).status_code == 200
        world.work(("webhooks",))
        assert [row["status"] for row in by_hand.inbox(world)[before:]] == ["ignored"]
        query = "SELECT status, attempts FROM jobs WHERE kind = 'process_webhook' ORDER BY id DESC LIMIT 1"
        assert world.one(query) == {"status": "succeeded", "attempts": 1}


def test_a_customer_without_an_address_goes_where_none_is_needed(world: World) -> None:
    prefer = "UPDATE provider_accounts SET priority = %s WHERE provider = 'paystack'"
    with world.owner.begin() as connection:
        connection.exec_driver_sql(prefer, (1,))
    try:
        answer = world.post("/v1/payments", world.redirect_body(customer={"name": "Ada"}))
        world.work()
    finally:
        with world.owner.begin() as connection:
            connection.exec_driver_sql(prefer, (100,))
    seen = world.payment(answer.json()["payment"]["id"])
    assert (seen["status"], seen["provider"]) == ("requires_action", "stripe")
