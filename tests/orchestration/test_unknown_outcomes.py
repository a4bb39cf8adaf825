"""Time-outs, refusals and crashes between announcement and outcome: one charge, and the truth about it."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from core.domain.identifiers import parse_id
from core.orchestration import execute, jobs
from tests.support.world import World

GOOD_CARD = "4084084084084081"


def job_of(world: World, payment: Any, kind: str = "create_payment") -> Any:
    query = "SELECT * FROM jobs WHERE payment_id = :id AND kind = :kind ORDER BY id DESC LIMIT 1"
    return world.one(query, id=parse_id("payment", payment["id"]), kind=kind)


class TestStripe:
    @pytest.mark.parametrize("effect", ["timeout_after", "reset_after", "status_after", "html", "cut_body", "nonsense"])
    def test_charged_but_the_answer_is_lost(self, world: World, effect: str) -> None:
        status = {"status": 500} if effect == "status_after" else {}
        with world.without_webhooks("stripe"):
            with world.fault("stripe", operation="payment_intents.create", effect=effect, **status):
                payment = world.create()
                world.work()
            seen = world.payment(payment["id"])
            assert seen["status"] == "processing"
            assert [row["status"] for row in world.transactions(payment["id"])] == ["unknown"]
            assert job_of(world, payment)["status"] == "queued"

            world.advance(6)
            world.work()
        assert world.payment(payment["id"])["status"] == "succeeded"
        assert len(world.charges("stripe", payment["id"])) == 1

    def test_a_time_out_before_it_acted_is_sent_again_under_the_same_key(self, world: World) -> None:
        with world.fault("stripe", operation="payment_intents.create", effect="timeout_before"):
            payment = world.create()
            world.work()
        world.advance(6)
        world.settle()
        assert world.payment(payment["id"])["status"] == "succeeded"
        (sent,) = world.transactions(payment["id"])
        assert (sent["number"], sent["send_count"]) == (1, 2)
        assert len(world.charges("stripe", payment["id"])) == 1

    def test_a_refused_send_proves_nothing_about_the_one_before_it(self, world: World) -> None:
        operation = {"operation": "payment_intents.create"}
        with world.fault("stripe", effect="timeout_before", **operation):
            payment = world.create()
            world.work()
        with world.fault("stripe", effect="status_before", status=429, **operation):
            world.advance(6)
            world.work()
        (sent,) = world.transactions(payment["id"])
        assert (sent["status"], sent["ambiguous"], sent["send_count"]) == ("unknown", True, 2)
        world.advance(40)
        world.settle()
        assert world.payment(payment["id"])["status"] == "succeeded"
        assert len(world.charges("stripe", payment["id"])) == 1

    def test_the_webhook_settles_it_before_the_look_up(self, world: World) -> None:
        with world.fault("stripe", operation="payment_intents.create", effect="timeout_after"):
            payment = world.create()
            world.settle()
        assert world.payment(payment["id"])["status"] == "succeeded"

    def test_a_capture_whose_answer_is_lost(self, world: World) -> None:
        payment = world.pay(capture="manual")
        with world.fault("stripe", operation="payment_intents.capture", effect="timeout_after"):
            world.post(f"/v1/payments/{payment['id']}/capture", {"amount": 2000})
            world.work(("payments",))
        world.advance(6)
        world.settle()
        done = world.payment(payment["id"])
        assert (done["status"], done["amount_captured"]) == ("succeeded", 2000)

    def test_a_refund_whose_answer_is_lost_is_made_once(self, world: World) -> None:
        payment = world.pay()
        with world.fault("stripe", operation="refunds.create", effect="reset_after"):
            world.post(f"/v1/payments/{payment['id']}/refunds", {"amount": 700})
            world.work(("payments",))
        world.advance(6)
        world.settle()
        assert world.payment(payment["id"])["amount_refunded"] == 700
        assert world.charges("stripe", payment["id"])[0]["amount_refunded"] == 700

    def test_another_amount_in_the_answer_is_not_success(self, world: World) -> None:
        with world.fault("stripe", operation="payment_intents.create", effect="wrong_amount"):
            payment = world.create()
            world.work(("payments",))
        assert world.payment(payment["id"])["status"] == "processing"
        assert job_of(world, payment)["status"] == "needs_review"
        kinds = world.rows("SELECT kind FROM findings WHERE payment_id = :id", id=parse_id("payment", payment["id"]))
        assert [row["kind"] for row in kinds] == ["amount_mismatch"]

    def test_429_is_tried_again_and_charges_once(self, world: World) -> None:
        with world.fault("stripe", operation="payment_intents.create", effect="status_before", status=429):
            payment = world.create()
            world.work()
        assert [row["status"] for row in world.transactions(payment["id"])] == ["sent"]
        world.advance(2)
        world.settle()
        assert world.payment(payment["id"])["status"] == "succeeded"
        assert len(world.charges("stripe", payment["id"])) == 1

    def test_still_unknown_after_a_day_goes_to_a_person_and_never_to_failed(self, world: World) -> None:
        with world.without_webhooks("stripe"):
            create = {"operation": "payment_intents.create", "effect": "timeout_after"}
            with world.fault("stripe", **create):
                payment = world.create()
                world.work()
            with world.fault("stripe", operation="payment_intents.list", effect="status_before", status=500, times=100):
                for _ in range(12):
                    world.advance(6 * 3600)
                    world.work(("payments",))
        assert world.payment(payment["id"])["status"] == "processing"
        assert job_of(world, payment)["status"] == "needs_review"


class TestNeverSent:
    def test_a_redirect_crosses_to_the_other_provider(self, world: World) -> None:
        body = {"currency": "USD", "amount": 5000}
        base = world.sandboxes["stripe"].url
        self._move(world, "stripe", "http://127.0.0.1:9")
        try:
            answer = world.post("/v1/payments", world.redirect_body(**body))
            world.work()
        finally:
            self._move(world, "stripe", base)
        payment = world.payment(answer.json()["payment"]["id"])
        assert (payment["status"], payment["provider"]) == ("requires_action", "paystack")
        assert [(row["provider"], row["status"]) for row in world.transactions(payment["id"])] == [
            ("stripe", "not_executed"),
            ("paystack", "requires_action"),
        ]

    def test_a_token_stays_where_it_belongs_and_fails_with_proof(self, world: World) -> None:
        base = world.sandboxes["stripe"].url
        self._move(world, "stripe", "http://127.0.0.1:9")
        try:
            payment = world.create()
            for _ in range(8):
                world.work()
                world.advance(400)
        finally:
            self._move(world, "stripe", base)
        failed = world.payment(payment["id"])
        assert (failed["status"], failed["decline"]["code"]) == ("failed", "provider_unavailable")
        (sent,) = world.transactions(payment["id"])
        assert (sent["status"], sent["send_count"]) == ("not_executed", 6)

    def _move(self, world: World, account: str, base: str) -> None:
        from core.orchestration import provider_manager

        world.settle()  # a webhook still on its way would open the account as it was, for five seconds more
        with world.owner.begin() as connection:
            connection.exec_driver_sql(
                "UPDATE provider_accounts SET api_base = %s WHERE id = %s", (base, str(world.accounts[account]))
            )
        for core in (world.worker, world.api):
            provider_manager.forget(core, world.accounts[account])


class TestPaystack:
    def test_a_page_whose_address_was_lost_gets_a_new_reference(self, world: World) -> None:
        with world.fault("paystack", operation="transaction.initialize", effect="timeout_after"):
            answer = world.post("/v1/payments", world.redirect_body(currency="NGN", amount=500000, provider="paystack"))
            world.work()
        payment = answer.json()["payment"]
        world.advance(6)
        world.work()
        seen = world.payment(payment["id"])
        assert seen["status"] == "requires_action"
        assert [row["status"] for row in world.transactions(payment["id"])] == ["not_executed", "requires_action"]
        data = {"action": "pay", "card": GOOD_CARD}
        requests.post(seen["next_action"]["url"], data=data, allow_redirects=False, timeout=10)
        world.settle()
        assert world.payment(payment["id"])["status"] == "succeeded"
        paid = [one for one in world.charges("paystack", payment["id"]) if one["status"] == "succeeded"]
        assert len(paid) == 1

    def test_not_found_counts_only_twice_and_late(self, world: World) -> None:
        with world.fault("paystack", operation="transaction.initialize", effect="timeout_before"):
            answer = world.post("/v1/payments", world.redirect_body(currency="NGN", amount=500000, provider="paystack"))
            world.work()
        payment = answer.json()["payment"]
        world.advance(6)
        world.work()
        assert [row["not_found_count"] for row in world.transactions(payment["id"])] == [0]
        world.advance(41)
        world.work()
        assert [row["not_found_count"] for row in world.transactions(payment["id"])] == [1]
        assert world.payment(payment["id"])["status"] == "processing"
        world.advance(61)
        world.work()
        assert world.payment(payment["id"])["status"] == "requires_action"
        (sent,) = world.transactions(payment["id"])
        assert sent["send_count"] == 2

    def test_an_ambiguous_refund_is_never_sent_again(self, world: World) -> None:
        answer = world.post("/v1/payments", world.redirect_body(currency="NGN", amount=500000, provider="paystack"))
        world.settle()
        payment = world.payment(answer.json()["payment"]["id"])
        data = {"action": "pay", "card": GOOD_CARD}
        requests.post(payment["next_action"]["url"], data=data, allow_redirects=False, timeout=10)
        world.settle()
        with world.fault("paystack", operation="refund.create", effect="timeout_before"):
            world.post(f"/v1/payments/{payment['id']}/refunds", {"amount": 1000})
            world.work(("payments",))
        for _ in range(4):
            world.advance(700)
            world.work(("payments",))
        assert job_of(world, payment, "refund_payment")["status"] == "needs_review"
        refunds = [row for row in world.transactions(payment["id"]) if row["kind"] == "refund"]
        assert [row["send_count"] for row in refunds] == [1]
        assert world.charges("paystack", payment["id"])[0]["amount_refunded"] == 0


class TestRefusedCredentials:
    def test_the_account_is_suspended_and_the_payment_says_so(self, world: World) -> None:
        world.add_account("stripe", name="stripe.revoked")
        with world.owner.begin() as connection:
            connection.exec_driver_sql(
                "UPDATE provider_accounts SET priority = 1 WHERE id = %s", (str(world.accounts["stripe.revoked"]),)
            )
        fault = {"secret_key": world.secrets["stripe.revoked"], "effect": "status_before", "status": 401}
        world.sandboxes["stripe"].post("faults", operation="payment_intents.create", times=10, **fault)
        try:
            payment = world.pay()
        finally:
            world.sandboxes["stripe"].clear_faults()
        assert (payment["status"], payment["decline"]["code"]) == ("failed", "provider_misconfigured")
        row = world.one("SELECT status FROM provider_accounts WHERE id = :id", id=world.accounts["stripe.revoked"])
        assert row["status"] == "suspended"

    @pytest.mark.parametrize("provider", ["stripe", "paystack"])
    def test_a_question_refused_for_its_key_suspends_too_and_is_asked_less_and_less(
        self, world: World, provider: str
    ) -> None:
        name = f"{provider}.asked"
        world.add_account(provider, name=name)
        with world.owner.begin() as connection:
            connection.exec_driver_sql(
                "UPDATE provider_accounts SET priority = 1 WHERE id = %s", (str(world.accounts[name]),)
            )
        box, key = world.sandboxes[provider], world.secrets[name]
        body = world.redirect_body(provider=provider, amount=500000, currency="USD" if provider == "stripe" else "NGN")
        payment = world.post("/v1/payments", body).json()["payment"]
        world.settle()
        made = box.post("faults", secret_key=key, effect="status_before", status=401, times=1000)
        try:
            for _ in range(4):
                world.post(f"/v1/payments/{payment['id']}/sync")
                world.work()
            asked = next(one["fired"] for one in box.get("faults")["faults"] if one["id"] == made["id"])
        finally:
            box.clear_faults()
        row = world.one("SELECT status FROM provider_accounts WHERE id = :id", id=world.accounts[name])
        assert (row["status"], asked) == ("suspended", 4)
        assert world.payment(payment["id"])["status"] == "requires_action"


class TestCrash:
    """A worker that dies leaves a running job whose lease ends; here its steps are taken by hand."""

    def _dead_worker(self, world: World) -> jobs.Job:
        (job,) = jobs.claim(world.worker.database, "payments", 1, "dead", 6.0)
        return job

    def test_after_the_announcement_and_the_call(self, world: World) -> None:
        with world.without_webhooks("stripe"):
            payment = world.create()
            job = self._dead_worker(world)
            with world.worker.transaction(job.scope) as connection:
                row = execute.rows.lock_payment(connection, job.payment)
                step = execute.MONEY[job.kind](world.worker, connection, job, row)
            assert step is not None
            execute.take(world.worker, job, step)
            world.advance(7)
            world.work()
        assert world.payment(payment["id"])["status"] == "succeeded"
        assert len(world.charges("stripe", payment["id"])) == 1

    def test_a_woken_worker_is_refused_by_the_fence(self, world: World) -> None:
        payment = world.create()
        job = self._dead_worker(world)
        with world.worker.transaction(job.scope) as connection:
            row = execute.rows.lock_payment(connection, job.payment)
            step = execute.MONEY[job.kind](world.worker, connection, job, row)
        assert step is not None
        world.advance(7)
        world.settle()
        assert world.payment(payment["id"])["status"] == "succeeded"
        before = world.count()
        result = execute.take(world.worker, job, step)
        with pytest.raises(jobs.LeaseLost), world.worker.transaction(job.scope) as connection:
            execute.settle.settle(world.worker, connection, job, step, result)
        assert world.count() == before
        assert len(world.charges("stripe", payment["id"])) == 1

    def test_a_poison_job_goes_to_a_person(self, world: World) -> None:
        payment = world.create()
        for _ in range(jobs.MAX_LEASE_LOSSES + 1):
            self._dead_worker(world)
            world.advance(7)
        assert jobs.claim(world.worker.database, "payments", 10, "next", 6.0) == []
        assert job_of(world, payment)["status"] == "needs_review"
