"""Disputes at Stripe, from the test card's complaint to the verdict: told, asked about, answered, survived."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from core.domain.identifiers import parse_id
from core.orchestration import disputes, inbox, scheduled
from tests.orchestration import by_hand
from tests.support.waiting import wait_until
from tests.support.world import World

DISPUTED = {"type": "token", "token": "pm_card_createDispute"}
INQUIRY = {"type": "token", "token": "pm_card_createDisputeInquiry"}
WINS = {"message": "winning_evidence", "customer_name": "Ada Quill", "customer_email": "ada.quill@example.com"}
DAY = 86400.0
#: Longer than what happens "later" at the sandbox takes.
SOON = 10.0


def disputes_of(world: World, payment: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = world.get(f"/v1/payments/{payment['id']}/disputes").json()["data"]
    return found


def disputed(world: World, method: Any = DISPUTED) -> tuple[Any, dict[str, Any]]:
    """A payment whose customer has complained, with the dispute as we tell it."""
    payment = world.pay(payment_method=method)
    assert payment["status"] == "succeeded"

    def opened() -> list[dict[str, Any]]:
        world.settle()
        return disputes_of(world, payment)

    world.advance(SOON)
    (dispute,) = wait_until(opened, "the dispute to be told")
    return world.payment(payment["id"]), dispute


def standing(world: World, dispute: Any, status: str) -> dict[str, Any]:
    """The dispute, once it stands so."""

    def reached() -> dict[str, Any] | None:
        world.settle()
        found: dict[str, Any] = world.get(f"/v1/disputes/{dispute['id']}").json()
        return found if found["status"] == status else None

    world.advance(SOON)
    return wait_until(reached, f"the dispute to be {status}")


def answer(world: World, dispute: Any, body: Any = None, **options: Any) -> Any:
    made = world.post(f"/v1/disputes/{dispute['id']}/evidence", body or WINS, **options)
    assert made.status_code == 202, made.text
    return made.json()


def job(world: World, accepted: Any) -> Any:
    return world.get(accepted["job"]["url"]).json()


def refund(world: World, payment: Any, **body: Any) -> tuple[int, str | None]:
    made = world.post(f"/v1/payments/{payment['id']}/refunds", body)
    return made.status_code, made.json().get("code")


def told(world: World, payment: Any) -> list[str]:
    return [kind for kind in by_hand.told(world, payment) if kind.startswith("dispute.")]


def theirs(world: World, payment: Any) -> Any:
    """Stripe's own dispute."""
    (found,) = by_hand.client(world).v1.disputes.list({"payment_intent": by_hand.intent_of(world, payment)}).data
    return found


def test_from_the_complaint_to_the_victory(world: World) -> None:
    payment, dispute = disputed(world)
    assert (dispute["status"], dispute["amount"], dispute["currency"]) == ("needs_response", 5000, "USD")
    assert (dispute["provider"], dispute["reason"], dispute["withheld"]) == ("stripe", "fraudulent", True)
    assert (dispute["refundable"], dispute["evidence_sent_at"]) == (False, None)
    assert dispute["evidence_due_by"] is not None
    assert (payment["status"], payment["amount_disputed"]) == ("succeeded", 5000)
    assert refund(world, payment, amount=100) == (409, "payment_disputed")

    accepted = answer(world, dispute)
    assert (accepted["job"]["kind"], accepted["dispute"]["id"]) == ("send_evidence", dispute["id"])
    world.work()
    ended = job(world, accepted)
    assert (ended["status"], ended["error"]) == ("succeeded", None)
    assert ended["result"]["dispute"]["evidence_sent_at"] is not None
    assert ended["result"]["payment"]["id"] == payment["id"]

    won = standing(world, dispute, "won")
    assert (won["withheld"], world.payment(payment["id"])["amount_disputed"]) == (False, 0)
    assert told(world, payment) == ["dispute.needs_response", "dispute.under_review", "dispute.won"]
    assert refund(world, payment, amount=100) == (202, None)
    assert by_hand.findings(world, payment) == []
    world.settle()


def test_an_event_shows_the_dispute_and_its_payment(world: World) -> None:
    payment, dispute = disputed(world)
    event = world.one("SELECT data FROM events WHERE type = 'dispute.needs_response' ORDER BY id DESC LIMIT 1")["data"]
    assert event["dispute"] == dispute
    assert (event["payment"]["id"], event["payment"]["amount_disputed"]) == (payment["id"], 5000)
    found = world.rows("SELECT * FROM audit_log WHERE subject_id = :id", id=parse_id("dispute", dispute["id"]))
    assert [(row["action"], row["to_status"]) for row in found] == [("dispute.created", "needs_response")]


def test_giving_in_loses_it(world: World) -> None:
    payment, dispute = disputed(world)
    accepted = world.post(f"/v1/disputes/{dispute['id']}/accept")
    assert accepted.status_code == 202, accepted.text
    world.settle()
    assert job(world, accepted.json())["status"] == "succeeded"
    assert standing(world, dispute, "lost")["withheld"] is True
    assert world.payment(payment["id"])["amount_disputed"] == 5000
    assert refund(world, payment) == (409, "nothing_to_refund")
    assert told(world, payment) == ["dispute.needs_response", "dispute.lost"]
    late = world.post(f"/v1/disputes/{dispute['id']}/accept")
    assert (late.status_code, late.json()["code"]) == (409, "state_conflict")


def test_an_inquiry_takes_nothing_and_may_be_refunded_until_it_escalates(world: World) -> None:
    payment, dispute = disputed(world, INQUIRY)
    assert (dispute["withheld"], dispute["refundable"], payment["amount_disputed"]) == (False, True, 0)
    assert refund(world, payment, amount=500) == (202, None)
    world.settle()
    answer(world, dispute, {"message": "escalate_inquiry_evidence"})
    world.work()

    def escalated() -> bool:
        world.settle()
        return bool(world.get(f"/v1/disputes/{dispute['id']}").json()["withheld"])

    world.advance(SOON)
    wait_until(escalated, "the inquiry to become a dispute")
    seen = world.get(f"/v1/disputes/{dispute['id']}").json()
    assert (seen["status"], seen["refundable"], seen["evidence_sent_at"]) == ("needs_response", False, None)
    assert refund(world, payment, amount=100) == (409, "payment_disputed")
    assert told(world, payment)[0] == told(world, payment)[-1] == "dispute.needs_response"
    assert by_hand.findings(world, payment) == ["dispute_exceeds_payment"], "5000 disputed, 500 refunded, 5000 taken"
    answer(world, dispute)
    world.work()
    assert standing(world, dispute, "won")["evidence_sent_at"] is not None


def test_one_answer_at_a_time_and_one_for_one_key(world: World) -> None:
    _, dispute = disputed(world)
    first = answer(world, dispute, idempotency="evidence-1")
    again = world.post(f"/v1/disputes/{dispute['id']}/evidence", WINS, idempotency="evidence-1")
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.json() == first
    for path, body in (("evidence", WINS), ("accept", None)):
        other = world.post(f"/v1/disputes/{dispute['id']}/{path}", body)
        assert (other.status_code, other.json()["code"]) == (409, "operation_in_progress")
    world.work()
    after = world.post(f"/v1/disputes/{dispute['id']}/evidence", WINS)
    assert (after.status_code, after.json()["code"]) == (409, "state_conflict")


def test_evidence_is_sealed_and_nowhere_else(world: World) -> None:
    _, dispute = disputed(world)
    secret = "Ulrike Tannenbaum"
    answer(world, dispute, {**WINS, "customer_name": secret})
    world.settle()
    for table in ("jobs", "idempotency_keys", "audit_log", "events", "disputes", "findings", "bodies"):
        found = world.rows(f"SELECT t::text AS whole FROM {table} t WHERE t::text LIKE '%Tannenbaum%'")
        assert found == [], table
    kept = world.one("SELECT evidence_sealed FROM disputes WHERE id = :id", id=parse_id("dispute", dispute["id"]))
    assert len(bytes(kept["evidence_sealed"])) > 20
    assert secret.encode() not in bytes(kept["evidence_sealed"])


def test_the_story_of_the_payment_tells_of_it(world: World) -> None:
    payment, dispute = disputed(world)
    answer(world, dispute)
    world.settle()
    story = world.get(f"/v1/payments/{payment['id']}/timeline").json()["data"]
    kinds = [entry["kind"] for entry in story]
    assert {"dispute.opened", "dispute.answered"} <= set(kinds)
    asked = [entry["summary"] for entry in story if entry["kind"] == "request.accepted"]
    assert {"Asked to answer the dispute with evidence", "Set to ask the provider how the dispute stands"} <= set(asked)
    (opened,) = [entry for entry in story if entry["kind"] == "dispute.opened"]
    assert opened["details"]["dispute"] == dispute["id"]
    assert opened["summary"].startswith("50.00 USD are disputed (fraudulent)")


class TestTroubleAtTheProvider:
    @pytest.mark.parametrize(
        "fault",
        [
            {"effect": "reset_before"},
            {"effect": "reset_after"},
            {"effect": "status_after", "status": 500},
            {"effect": "status_before", "status": 429},
        ],
        ids=lambda fault: fault["effect"],
    )
    def test_evidence_arrives_once_whatever_happens_to_the_answer(self, world: World, fault: Any) -> None:
        payment, dispute = disputed(world)
        with world.fault("stripe", operation="disputes.update", **fault):
            accepted = answer(world, dispute)
            world.work()
            assert job(world, accepted)["status"] == "queued"
        world.advance(world.settings.lookup_delays[0] + 1)
        world.settle()
        assert job(world, accepted)["status"] == "succeeded"
        assert theirs(world, payment).evidence_details.submission_count == 1
        assert standing(world, dispute, "won")

    def test_what_it_refuses_fails_the_job_with_its_reason(self, world: World) -> None:
        _, dispute = disputed(world)
        with world.without_webhooks("stripe"):
            by_hand.client(world).v1.disputes.close(_provider_id(world, dispute))
            accepted = answer(world, dispute)
            world.work()
            ended = job(world, accepted)
            assert (ended["status"], ended["error"]["code"]) == ("failed", "not_executed_invalid_request")
            assert ended["error"]["message"]
            seen = world.get(f"/v1/disputes/{dispute['id']}").json()
            assert (seen["status"], seen["evidence_sent_at"]) == ("lost", None), "a refusal makes us ask"

    def test_a_dispute_that_cannot_be_read_goes_to_a_person(self, world: World) -> None:
        payment = world.pay(payment_method=DISPUTED)
        with world.fault("stripe", operation="disputes.retrieve", effect="html", times=1000):
            world.advance(SOON)
            wait_until(lambda: (world.settle(), _questions(world, payment))[1], "the question")
            for delay in (*world.settings.lookup_delays, 1.0):
                world.advance(delay + 1)
                world.work()
        assert {row["status"] for row in _questions(world, payment)} == {"needs_review"}
        assert "dispute_unread" in by_hand.findings(world, payment)
        assert disputes_of(world, payment) == []

    def test_what_was_not_told_is_found_by_asking_once_a_day(self, world: World) -> None:
        payment, dispute = disputed(world)
        assert scheduled.ask_disputes(world.worker) == 0, "it was read a moment ago"
        with world.without_webhooks("stripe"):
            by_hand.client(world).v1.disputes.close(_provider_id(world, dispute))
            world.advance(DAY + 1)
            assert scheduled.ask_disputes(world.worker) >= 1
            assert scheduled.ask_disputes(world.worker) == 0, "each is asked about once"
            world.work()
            assert world.get(f"/v1/disputes/{dispute['id']}").json()["status"] == "lost"
            world.advance(DAY + 1)
            scheduled.ask_disputes(world.worker)
            query = "SELECT status FROM jobs WHERE kind = 'sync_dispute' AND payment_id = :id AND status = 'queued'"
            assert world.rows(query, id=parse_id("payment", payment["id"])) == [], "it has ended"
        world.settle()


class TestRaces:
    def test_an_answer_that_was_overtaken_is_asked_for_again(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        payment, dispute = disputed(world)
        true_read, answers = disputes.read, []

        def read_slowly(*given: Any) -> Any:
            seen = true_read(*given)
            if not answers:
                answers.append(answer(world, dispute))
                world.work()  # somebody else carries the evidence out meanwhile
            return seen

        monkeypatch.setattr(disputes, "read", read_slowly)
        again = _dispute_events(world, payment)[:1]
        by_hand.deliver_all(world, again)
        assert job(world, answers[0])["status"] == "succeeded"
        assert told(world, payment) == ["dispute.needs_response", "dispute.under_review"]

    def test_evidence_the_provider_has_already_is_not_sent_again(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        payment, dispute = disputed(world)
        true_read = disputes.read
        monkeypatch.setattr(disputes, "read", lambda *given: replace(true_read(*given), evidence_sent=True))
        with world.fault("stripe", operation="disputes.update", effect="reset_before"):
            accepted = answer(world, dispute)
            world.work()
        world.advance(world.settings.lookup_delays[0] + 1)
        world.work()
        ended = job(world, accepted)
        assert (ended["status"], ended["result"]["dispute"]["status"]) == ("succeeded", "needs_response")
        assert theirs(world, payment).evidence_details.submission_count == 0

    @pytest.mark.parametrize(("method", "end"), [(DISPUTED, "lost"), (INQUIRY, "closed")], ids=["dispute", "inquiry"])
    def test_giving_in_whose_answer_was_lost(self, world: World, method: Any, end: str) -> None:
        _, dispute = disputed(world, method)
        with world.without_webhooks("stripe"):
            with world.fault("stripe", operation="disputes.close", effect="reset_after"):
                accepted = world.post(f"/v1/disputes/{dispute['id']}/accept").json()
                world.work()
                assert job(world, accepted)["status"] == "queued"
            world.advance(world.settings.lookup_delays[0] + 1)
            world.work()
        ended = job(world, accepted)
        assert (ended["status"], ended["result"]["dispute"]["status"]) == ("succeeded", end)
        world.settle()


class TestEvents:
    def test_several_at_once_ask_once(self, world: World) -> None:
        payment, _ = disputed(world)
        asked = len(_questions(world, payment))
        for body in _dispute_events(world, payment):
            assert by_hand.deliver(world, body).status_code == 200
        world.work(lanes=("webhooks",))
        assert len(_questions(world, payment)) == asked + 1
        world.settle()

    def test_in_any_order_and_twice_is_the_same(self, world: World) -> None:
        payment, dispute = disputed(world)
        answer(world, dispute)
        world.settle()
        standing(world, dispute, "won")
        before = (world.payment(payment["id"]), disputes_of(world, payment), by_hand.told(world, payment))
        again = _dispute_events(world, payment)
        assert len(again) >= 4
        by_hand.deliver_all(world, again[::-1])
        assert (world.payment(payment["id"]), disputes_of(world, payment), by_hand.told(world, payment)) == before

    def test_about_a_charge_that_is_not_ours_is_parked_then_foreign(self, world: World) -> None:
        paid = {"amount": 900, "currency": "usd", "confirm": True, "payment_method": "pm_card_createDispute"}
        never = {"automatic_payment_methods": {"enabled": True, "allow_redirects": "never"}}
        intent = by_hand.client(world).v1.payment_intents.create({**paid, **never})  # type: ignore[typeddict-item]
        world.advance(SOON)

        def received() -> list[Any]:
            world.settle()
            query = (
                "SELECT status, reason FROM inbox_events WHERE kind = 'charge.dispute.created' AND payment_id IS NULL"
            )
            return list(world.rows(query))

        (stored,) = wait_until(received, "Stripe's event")
        for delay in inbox.PARKED_DELAYS:
            assert (stored["status"], stored["reason"]) == ("parked", "no transaction of ours matches yet")
            world.advance(delay + 1)
            world.work()
            (stored,) = received()
        assert (stored["status"], stored["reason"]) == ("ignored", "foreign: about an object that is not ours")
        (theirs_alone,) = by_hand.client(world).v1.disputes.list({"payment_intent": intent.id}).data
        query = "SELECT id FROM jobs WHERE kind = 'sync_dispute' AND arguments->>'dispute' = :id"
        assert world.rows(query, id=theirs_alone.id) == []


def _dispute_events(world: World, payment: Any) -> list[bytes]:
    """Stripe's events about the payment's dispute under new ids, the oldest first."""
    events = [json.loads(body) for body in by_hand.stripe_events(world, by_hand.intent_of(world, payment))]
    about = [event for event in events if event["type"].startswith("charge.dispute.")]
    return [json.dumps({**event, "id": f"evt_{uuid4().hex}"}).encode() for event in about]


def _provider_id(world: World, dispute: Any) -> str:
    query = "SELECT provider_id FROM disputes WHERE id = :id"
    return str(world.one(query, id=parse_id("dispute", dispute["id"]))["provider_id"])


def _questions(world: World, payment: Any) -> list[Any]:
    query = "SELECT status, attempts FROM jobs WHERE kind = 'sync_dispute' AND payment_id = :id"
    return list(world.rows(query, id=parse_id("payment", payment["id"])))
