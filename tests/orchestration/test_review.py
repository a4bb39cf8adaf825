"""Jobs in review: how they get there, and what a person can decide about them, with everything that follows."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import pytest
import requests

from core.domain.errors import RequestRefused, StateConflict, TollgateError
from core.domain.identifiers import parse_id, public_id
from core.orchestration import execute, jobs, review, review_reading, scheduled, settle, status_manager
from core.orchestration.context import Cause
from core.orchestration.review_outcomes import Told
from core.persistence.queries.review import Wanted
from tests.orchestration.by_hand import at_once, findings, told
from tests.support.world import World

GOOD_CARD = "4084084084084081"
CREATE = {"operation": "payment_intents.create"}
LIST_FAILS = {"operation": "payment_intents.list", "effect": "status_before", "status": 500, "times": 1000}
ADA = review.Person("cli:ada", "ticket 7: looked at the dashboard")


def run(world: World, statement: str, *values: Any) -> None:
    with world.owner.begin() as connection:
        connection.exec_driver_sql(statement, values)


def job_of(world: World, payment: Mapping[str, Any], kind: str = "create_payment") -> Mapping[str, Any]:
    query = "SELECT * FROM jobs WHERE payment_id = :id AND kind = :kind ORDER BY id DESC LIMIT 1"
    return world.one(query, id=parse_id("payment", payment["id"]), kind=kind)


def job(world: World, job_id: UUID) -> Mapping[str, Any]:
    return world.one("SELECT * FROM jobs WHERE id = :id", id=job_id)


def audited(world: World, job_id: UUID) -> Mapping[str, Any]:
    return world.one("SELECT * FROM audit_log WHERE subject_id = :id AND cause = 'person'", id=job_id)


def put_in_review(world: World, held: jobs.Job, code: str = "outcome_unknown") -> None:
    """As `settle` does once no look-up has found out what happened for a day."""
    with world.worker.transaction(held.scope) as connection:
        sent = execute.rows.transactions_of(connection, held.payment)
        settle._review(connection, held, sent[-1], code, "no look-up has found out what happened")


def unknown_charge(world: World, effect: str, **changes: Any) -> tuple[dict[str, Any], UUID]:
    """A payment whose charge was sent, whose answer was lost, and whose job waits for a person."""
    with world.fault("stripe", effect=effect, **CREATE):
        payment = world.create(**changes)
        world.work(("payments",))
    run(world, "UPDATE jobs SET run_after = app_now() WHERE id = %s", str(job_of(world, payment)["id"]))
    (held,) = jobs.claim(world.worker.database, "payments", 1, "stepped", 60.0)
    put_in_review(world, held)
    return payment, held.id


def charge_at_stripe(world: World, payment: Mapping[str, Any]) -> str:
    (charge,) = world.charges("stripe", payment["id"])
    return str(charge["payment_intent"] if "payment_intent" in charge else charge["id"])


class TestPoison:
    def test_lost_leases_then_requeued_then_done(self, world: World) -> None:
        payment = world.create()
        for _ in range(jobs.MAX_LEASE_LOSSES + 1):
            (held,) = jobs.claim(world.worker.database, "payments", 1, "dead", 6.0)
            world.advance(7)
        assert jobs.claim(world.worker.database, "payments", 1, "dead", 6.0) == []
        assert job(world, held.id)["error"]["code"] == "worker_lost"

        done = review.requeue(world.admin, held.id, ADA)
        assert (done["status"], len(done["findings"])) == ("queued", 1)
        found = job(world, held.id)
        assert (found["status"], found["attempts"], found["lease_losses"]) == ("queued", 0, 0)
        world.settle()
        assert job(world, held.id)["status"] == "succeeded"
        assert world.payment(payment["id"])["status"] == "succeeded"
        assert len(world.charges("stripe", payment["id"])) == 1

    def test_a_crashing_handler_then_requeued_gets_its_tries_again(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def crash(*_: Any) -> None:
            raise KeyError("id")

        payment = world.create()
        job_id = job_of(world, payment)["id"]
        limited = world.settings.max_job_attempts
        run(world, "UPDATE jobs SET attempts = %s WHERE id = %s", limited - 1, str(job_id))
        monkeypatch.setattr(execute, "_run_money", crash)
        (held,) = jobs.claim(world.worker.database, "payments", 1, "stepped", 60.0)
        execute.run(world.worker, held)
        assert (job(world, job_id)["status"], job(world, job_id)["error"]["code"]) == ("needs_review", "internal_error")

        review.requeue(world.admin, job_id, ADA)
        (held,) = jobs.claim(world.worker.database, "payments", 1, "stepped", 60.0)
        execute.run(world.worker, held)
        assert job(world, job_id)["status"] == "queued", "it is not given up at its first crash again"
        monkeypatch.undo()
        world.advance(6)
        world.settle()
        assert world.payment(payment["id"])["status"] == "succeeded"

    def test_one_that_sent_nothing_can_be_ended_and_the_merchant_is_told(self, world: World) -> None:
        payment = world.create()
        for _ in range(jobs.MAX_LEASE_LOSSES + 1):
            (held,) = jobs.claim(world.worker.database, "payments", 1, "dead", 6.0)
            world.advance(7)
        jobs.claim(world.worker.database, "payments", 1, "dead", 6.0)
        for verdict in ("succeeded", "failed"):
            with pytest.raises(StateConflict, match="nothing was sent for this job"):
                review.resolve(world.admin, held.id, verdict, ADA)  # type: ignore[arg-type]
        with pytest.raises(StateConflict, match="no send of this job is known"):
            review.resolve(world.admin, held.id, "executed", ADA, Told("pi_1", 5000))
        review.resolve(world.admin, held.id, "not_executed", ADA)
        failed = world.payment(payment["id"])
        assert (failed["status"], failed["decline"]["code"]) == ("failed", "provider_unavailable")
        assert told(world, payment) == ["payment.processing", "payment.failed"]
        world.settle()
        assert world.charges("stripe", payment["id"]) == []


class TestContradiction:
    def test_requeued_it_is_asked_about_at_once(self, world: World) -> None:
        with world.without_webhooks("stripe"):
            with world.fault("stripe", effect="wrong_amount", operation="payment_intents.create"):
                payment = world.create()
                world.work(("payments",))
            (held,) = world.rows("SELECT id FROM jobs WHERE status = 'needs_review' ORDER BY id DESC LIMIT 1")
            review.requeue(world.admin, held["id"], ADA)
            world.work(("payments",))
            scheduled.synchronise_open(world.worker)
            world.work(("payments",))
        assert world.payment(payment["id"])["status"] == "succeeded"
        assert len(world.charges("stripe", payment["id"])) == 1


class TestUnknownCharge:
    def test_requeued_it_is_looked_up_and_charged_once(self, world: World) -> None:
        with world.without_webhooks("stripe"):
            payment, job_id = unknown_charge(world, "timeout_after")
            review.requeue(world.admin, job_id, ADA)
            world.work(("payments",))
        assert world.payment(payment["id"])["status"] == "succeeded"
        assert len(world.charges("stripe", payment["id"])) == 1
        assert findings(world, payment) == ["outcome_unknown"]

    def test_executed_is_a_success_with_everything_that_follows(self, world: World) -> None:
        with world.without_webhooks("stripe"), world.fault("stripe", **LIST_FAILS):
            payment, job_id = unknown_charge(world, "timeout_after")
            shown = Told(charge_at_stripe(world, payment), 5000)
            done = review.resolve(world.admin, job_id, "executed", ADA, shown)
            assert done["status"] == "succeeded"
        paid = world.payment(payment["id"])
        assert (paid["status"], paid["amount_received"]) == ("succeeded", 5000)
        assert told(world, payment) == ["payment.processing", "payment.succeeded"]
        (sent,) = world.transactions(payment["id"])
        assert (sent["status"], sent["provider_id"]) == ("succeeded", shown.provider_id)
        assert job(world, job_id)["status"] == "succeeded"

        record = audited(world, job_id)
        assert (record["actor"], record["action"]) == ("cli:ada", "job.resolved")
        assert (record["from_status"], record["to_status"]) == ("needs_review", "succeeded")
        assert record["details"]["reason"] == ADA.reason
        steps = world.rows(
            "SELECT subject_kind, to_status, actor FROM audit_log WHERE payment_id = :id AND cause = 'person' "
            "AND subject_kind <> 'job' ORDER BY number",
            id=parse_id("payment", payment["id"]),
        )
        assert [(row["subject_kind"], row["to_status"]) for row in steps] == [
            ("transaction", "succeeded"),
            ("payment", "succeeded"),
        ]
        assert {row["actor"] for row in steps} == {"cli:ada"}
        finding = world.one("SELECT * FROM findings WHERE job_id = :id", id=job_id)
        assert (finding["status"], finding["resolution"]) == ("resolved", f"cli:ada: {ADA.reason}")

        world.settle()
        assert world.payment(payment["id"]) == paid | {"updated_at": world.payment(payment["id"])["updated_at"]}
        assert len(world.charges("stripe", payment["id"])) == 1

    def test_one_settled_by_a_person_can_be_refunded(self, world: World) -> None:
        with world.without_webhooks("stripe"):
            payment, job_id = unknown_charge(world, "timeout_after")
            review.resolve(world.admin, job_id, "executed", ADA, Told(charge_at_stripe(world, payment), 5000))
        world.settle()
        assert world.post(f"/v1/payments/{payment['id']}/refunds", {"amount": 700}).status_code == 202
        world.settle()
        assert world.payment(payment["id"])["amount_refunded"] == 700

    def test_not_executed_fails_the_payment_and_tells_the_merchant(self, world: World) -> None:
        payment, job_id = unknown_charge(world, "timeout_before")
        review.resolve(world.admin, job_id, "not_executed", ADA)
        assert job(world, job_id)["status"] == "failed"
        assert world.payment(payment["id"])["status"] == "failed"
        assert told(world, payment)[-1] == "payment.failed"
        world.settle()
        assert world.charges("stripe", payment["id"]) == []

    def test_a_person_who_erred_is_found_out_by_asking_once_more(self, world: World) -> None:
        with world.without_webhooks("stripe"):
            payment, job_id = unknown_charge(world, "timeout_after")
            review.resolve(world.admin, job_id, "not_executed", ADA)
            world.work(("payments",))
        seen = world.payment(payment["id"])
        assert (seen["status"], seen["amount_received"]) == ("failed", 5000)
        assert told(world, payment)[-1] == "payment.surplus_received"
        assert findings(world, payment) == ["outcome_unknown", "surplus_received"]

    def test_what_is_open_is_not_ended_without_saying_what_happened(self, world: World) -> None:
        payment, job_id = unknown_charge(world, "timeout_before")
        other, other_job = unknown_charge(world, "timeout_before")
        refusals: list[tuple[review.Verdict, Told | None, str]] = [
            ("succeeded", None, "executed with its provider id and the amount, or as not-executed"),
            ("failed", None, "look at stripe"),
            ("executed", None, "give the id under which stripe shows it"),
            ("executed", Told("pi_lost"), "give it in minor units of USD"),
            ("executed", Told("pi_lost", 4999), r"asked for 50\.00 USD \(5000\), not for 4999"),
            ("executed", Told("pi lost", 5000), "without spaces"),
            ("executed", Told("4242424242424242", 5000), "looks like a card number"),
            ("not_executed", Told("pi_lost", 5000), "with nothing else"),
        ]
        before = world.count()
        for verdict, shown, sentence in refusals:
            with pytest.raises(TollgateError, match=sentence):
                review.resolve(world.admin, job_id, verdict, ADA, shown)
        assert world.count() == before
        assert (job(world, job_id)["status"], world.payment(payment["id"])["status"]) == ("needs_review", "processing")

        paid = world.pay()
        (taken,) = world.transactions(paid["id"])
        with pytest.raises(RequestRefused, match="of another payment"):
            review.resolve(world.admin, other_job, "executed", ADA, Told(taken["provider_id"], 5000))
        for one in (job_id, other_job):
            review.resolve(world.admin, one, "not_executed", ADA)
        assert world.payment(other["id"])["status"] == "failed"
        world.settle()


class TestOtherOperations:
    def test_a_capture_whose_end_nobody_knows(self, world: World) -> None:
        payments = []
        for _ in range(2):
            payment = world.pay(capture="manual")
            with world.fault("stripe", operation="payment_intents.capture", effect="timeout_before"):
                world.post(f"/v1/payments/{payment['id']}/capture", {"amount": 2000})
                world.work(("payments",))
            run(world, "UPDATE jobs SET run_after = app_now() WHERE payment_id = %s AND status = 'queued'",
                str(parse_id("payment", payment["id"])))  # fmt: skip
            (held,) = jobs.claim(world.worker.database, "payments", 1, "stepped", 60.0)
            put_in_review(world, held)
            payments.append((payment, held.id))
        (captured, first), (left, second) = payments
        with pytest.raises(RequestRefused, match="asked for"):
            review.resolve(world.admin, first, "executed", ADA, Told(None, 5000))
        review.resolve(world.admin, first, "executed", ADA, Told(None, 2000))
        done = world.payment(captured["id"])
        assert (done["status"], done["amount_captured"]) == ("succeeded", 2000)
        review.resolve(world.admin, second, "not_executed", ADA)
        assert world.payment(left["id"])["status"] == "authorized"
        world.settle()
        assert world.post(f"/v1/payments/{left['id']}/capture").status_code == 202, "it can be asked for again"
        world.settle()
        assert world.payment(left["id"])["status"] == "succeeded"

    def test_a_cancellation_that_was_made(self, world: World) -> None:
        payment = world.pay(capture="manual")
        with world.without_webhooks("stripe"):
            with world.fault("stripe", operation="payment_intents.cancel", effect="timeout_after"):
                world.post(f"/v1/payments/{payment['id']}/cancel")
                world.work(("payments",))
            run(world, "UPDATE jobs SET run_after = app_now() WHERE payment_id = %s AND status = 'queued'",
                str(parse_id("payment", payment["id"])))  # fmt: skip
            (held,) = jobs.claim(world.worker.database, "payments", 1, "stepped", 60.0)
            put_in_review(world, held)
            with pytest.raises(RequestRefused, match="moves no money"):
                review.resolve(world.admin, held.id, "executed", ADA, Told(None, 5000))
            review.resolve(world.admin, held.id, "executed", ADA)
        assert world.payment(payment["id"])["status"] == "canceled"
        world.settle()
        assert told(world, payment)[-1] == "payment.canceled"

    def test_another_sum_given_back_at_the_provider_ends_the_payment(self, world: World) -> None:
        with world.without_webhooks("stripe"):
            with world.fault("stripe", effect="wrong_amount", **CREATE):
                payment = world.create()
                world.work(("payments",))
            job_id = job_of(world, payment)["id"]
            with pytest.raises(StateConflict, match="not-executed"):
                review.resolve(world.admin, job_id, "failed", ADA)
            done = review.resolve(world.admin, job_id, "not_executed", ADA)
        assert world.payment(payment["id"])["status"] == "canceled"
        assert len(done["findings"]) == 1
        assert world.rows("SELECT 1 FROM findings WHERE status = 'open' AND payment_id = :id",
                          id=parse_id("payment", payment["id"])) == []  # fmt: skip


def refund_in_review(world: World) -> tuple[dict[str, Any], UUID]:
    """At Paystack, where an ambiguous refund is never sent again."""
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
    found = job_of(world, payment, "refund_payment")
    assert (found["status"], found["error"]["code"]) == ("needs_review", "refund_unconfirmed")
    return payment, found["id"]


class TestRefund:
    def test_not_executed_gives_its_sum_back_to_be_refunded(self, world: World) -> None:
        payment, job_id = refund_in_review(world)
        refused = world.post(f"/v1/payments/{payment['id']}/refunds", {"amount": 100})
        assert refused.status_code == 409, refused.text
        review.resolve(world.admin, job_id, "not_executed", ADA)
        assert told(world, payment)[-1] == "refund.failed"
        assert world.post(f"/v1/payments/{payment['id']}/refunds", {"amount": 500000}).status_code == 202
        world.settle()
        assert world.charges("paystack", payment["id"])[0]["amount_refunded"] == 500000

    def test_executed_counts_it(self, world: World) -> None:
        payment, job_id = refund_in_review(world)
        review.resolve(world.admin, job_id, "executed", ADA, Told("77001", 1000))
        (refund,) = world.rows("SELECT * FROM refunds WHERE payment_id = :id", id=parse_id("payment", payment["id"]))
        assert (refund["status"], refund["provider_id"]) == ("succeeded", "77001")
        assert world.payment(payment["id"])["amount_refunded"] == 1000
        assert told(world, payment)[-1] == "refund.succeeded"

    def test_one_that_was_adopted_is_not_counted_twice(self, world: World) -> None:
        payment, job_id = refund_in_review(world)
        scope = world.scope
        with world.admin.transaction(scope) as connection:
            row = execute.rows.lock_payment(connection, parse_id("payment", payment["id"]))
            values = {"amount": 1000, "origin": "provider", "provider_id": "77002"}
            status_manager.create_refund(connection, row, values, Cause("look_up", "worker"))
        with pytest.raises(RequestRefused, match="would be counted twice"):
            review.resolve(world.admin, job_id, "executed", ADA, Told("77002", 1000))
        review.resolve(world.admin, job_id, "not_executed", ADA)


class TestWhoAndWhen:
    def test_of_two_people_at_once_one_decides(self, world: World) -> None:
        payment, job_id = unknown_charge(world, "timeout_before")
        people = [review.Person(f"cli:{name}", "looked") for name in ("ada", "ben", "eve")]
        barrier = threading.Barrier(len(people))

        def decide(person: review.Person) -> str:
            core = world.admin if person is people[0] else world.worker
            barrier.wait(10)
            try:
                if person is people[2]:
                    return str(review.requeue(core, job_id, person)["status"])
                return str(review.resolve(core, job_id, "not_executed", person)["status"])
            except StateConflict as error:
                return error.detail

        answers = at_once([lambda person=person: decide(person) for person in people])  # type: ignore[misc]
        assert len([answer for answer in answers if answer in ("failed", "queued")]) == 1, answers
        assert len([answer for answer in answers if "job job_" in answer]) == 2, answers
        assert audited(world, job_id)["actor"] in {person.actor for person in people}
        world.advance(100)
        world.settle()
        assert world.payment(payment["id"])["status"] in ("failed", "succeeded")

    def test_only_what_is_in_review_is_decided(self, world: World) -> None:
        payment = world.create()
        waiting = job_of(world, payment)["id"]
        with pytest.raises(StateConflict, match="is queued: it is not a person's turn"):
            review.requeue(world.admin, waiting, ADA)
        (held,) = jobs.claim(world.worker.database, "payments", 1, "stepped", 60.0)
        with pytest.raises(StateConflict, match="is running"):
            review.resolve(world.admin, held.id, "failed", ADA)
        execute.run(world.worker, held)
        world.settle()
        with pytest.raises(StateConflict, match="it is succeeded"):
            review.requeue(world.admin, held.id, ADA)
        with pytest.raises(TollgateError, match="there is no job"):
            review.requeue(world.admin, parse_id("job", public_id("job", held.scope.merchant_id)), ADA)

    @pytest.mark.parametrize(
        ("reason", "sentence"),
        [
            ("  ", "is empty"),
            ("x" * 501, "500 characters"),
            ("two\nlines", "on one line"),
            ("paid with 4242 4242 4242 4242", "card number"),
        ],
    )
    def test_a_reason_is_a_sentence_and_no_secret(self, reason: str, sentence: str) -> None:
        with pytest.raises(RequestRefused, match=sentence) as caught:
            review.Person("cli:ada", reason)
        assert "4242" not in str(caught.value)

    def test_a_look_beside_one_that_waits_already_is_not_queued_twice(self, world: World) -> None:
        payment = world.pay(capture="manual")
        world.post(f"/v1/payments/{payment['id']}/sync")
        (held,) = jobs.claim(world.worker.database, "payments", 1, "stepped", 60.0)
        with world.worker.transaction(held.scope) as connection:
            jobs.review(connection, held, "internal_error", "the worker failed")
        world.post(f"/v1/payments/{payment['id']}/sync")
        with pytest.raises(StateConflict, match="resolve this one as succeeded"):
            review.requeue(world.admin, held.id, ADA)
        review.resolve(world.admin, held.id, "succeeded", ADA)
        world.settle()


def test_lists_show_what_waits_and_what_is_stuck(world: World) -> None:
    payment, job_id = unknown_charge(world, "timeout_before")
    waiting = world.create()
    world.advance(90)
    wanted = Wanted(merchant_id=world.merchant_id)
    (listed,) = [row for row in review_reading.list_jobs(world.admin, wanted) if row["payment"] == payment["id"]]
    assert (listed["id"], listed["reason"]) == (public_id("job", job_id), "outcome_unknown")
    assert 90 <= listed["waits_seconds"] < 120
    stuck = review_reading.list_jobs(world.admin, Wanted(merchant_id=world.merchant_id, stuck=60.0))
    assert waiting["id"] in {row["payment"] for row in stuck if row["status"] == "queued"}
    assert [row["created_at"] for row in stuck] == sorted(row["created_at"] for row in stuck)
    assert review_reading.list_jobs(world.admin, Wanted(kind="sync_payment", merchant_id=world.merchant_id)) == []

    shown = review_reading.show(world.admin, job_id)
    assert [row["kind"] for row in shown["findings"]] == ["outcome_unknown"]
    assert any("--as executed --provider-id … --amount …" in line for line in shown["what_to_do"])
    review.resolve(world.admin, job_id, "not_executed", ADA)
    shown = review_reading.show(world.admin, job_id)
    assert (shown["decided"][0]["by"], shown["decided"][0]["reason"]) == ("cli:ada", ADA.reason)
    world.settle()
