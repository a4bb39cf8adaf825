"""Providers' events that a person has read again: through the first door, applied once, told in the audit log."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa

from core.domain.errors import NotFoundError, StateConflict
from core.domain.identifiers import new_id, public_id
from core.orchestration import replay
from core.orchestration.review import Person
from core.persistence.queries.replays import Wanted
from tests.orchestration import by_hand
from tests.support.world import World

ADA = Person("cli:ada", "the mapping was mended")


@pytest.fixture(autouse=True, scope="module")
def webhooks_by_hand(world: World) -> None:
    by_hand.keep_webhooks_back(world)


def change(world: World, statement: str, **values: Any) -> None:
    with world.owner.begin() as connection:
        connection.execute(sa.text(statement), values)


def paid_and_refunded(world: World) -> tuple[dict[str, Any], list[Mapping[str, Any]]]:
    """A payment whose dashboard refund came by webhook, with its events, all applied."""
    payment = world.pay()
    intent = by_hand.intent_of(world, payment)
    by_hand.client(world).v1.refunds.create({"payment_intent": intent, "amount": 700})
    by_hand.deliver_all(world, by_hand.stripe_events(world, intent, "refund.created", "payment_intent.succeeded"))
    found = by_hand.inbox(world, payment)
    assert [row["status"] for row in found] == ["applied", "applied"]
    return payment, found


def parked(world: World) -> Mapping[str, Any]:
    mark = public_id("transaction", new_id())
    body = {"id": "pi_lost", "status": "succeeded", "amount": 1, "metadata": {"tollgate_transaction": mark}}
    by_hand.deliver_all(world, [by_hand.made_up_event("payment_intent.succeeded", body, f"evt_{uuid4().hex}")])
    stored: Mapping[str, Any] = by_hand.inbox(world)[-1]
    assert stored["status"] == "parked"
    return stored


def jobs_of(world: World, event: Mapping[str, Any]) -> list[str]:
    query = "SELECT status FROM jobs WHERE target_id = :id AND kind = 'process_webhook' ORDER BY id"
    return [row["status"] for row in world.rows(query, id=event["id"])]


def status_of(world: World, event: Mapping[str, Any]) -> str:
    return str(world.one("SELECT status FROM inbox_events WHERE id = :id", id=event["id"])["status"])


def test_what_was_applied_is_read_again_and_changes_nothing(world: World) -> None:
    payment, events = paid_and_refunded(world)
    before, told = world.payment(payment["id"]), by_hand.told(world, payment)
    assert before["amount_refunded"] == 700
    for event in events:
        assert replay.replay(world.admin, event["id"], ADA)["how"] == "queued"
        assert status_of(world, event) == "received"
    world.work()
    assert [jobs_of(world, event) for event in events] == [["succeeded", "succeeded"]] * 2
    assert [row["status"] for row in by_hand.inbox(world, payment)] == ["applied", "applied"]
    assert (world.payment(payment["id"]), by_hand.told(world, payment)) == (before, told)
    record = world.one("SELECT * FROM audit_log WHERE subject_id = :id", id=events[0]["id"])
    assert (record["actor"], record["action"], record["cause"]) == ("cli:ada", "inbox.replayed", "person")
    assert (record["from_status"], record["to_status"]) == ("applied", "received")
    assert record["details"]["reason"] == ADA.reason
    assert record["payment_id"] == events[0]["payment_id"]


def test_what_was_put_aside_by_mistake_is_applied(world: World) -> None:
    payment = world.pay(payment_method={"type": "token", "token": "pm_card_refundFail"})
    world.post(f"/v1/payments/{payment['id']}/refunds", {"amount": 5000})
    world.work()
    world.advance(3 * 86400)
    by_hand.deliver(world, *by_hand.stripe_events(world, payment["id"], "refund.failed"))
    event = by_hand.inbox(world)[-1]
    # As an older program left it, which did not know this kind.
    change(world, "UPDATE jobs SET status = 'succeeded', finished_at = app_now() WHERE target_id = :id", id=event["id"])
    aside = "UPDATE inbox_events SET status = 'ignored', reason = 'kind not handled', processed_at = app_now() "
    change(world, aside + "WHERE id = :id", id=event["id"])
    assert world.work() == 0
    assert world.payment(payment["id"])["amount_refunded"] == 5000
    chosen = Wanted("stripe", "ignored", "refund.failed", since=3600.0)
    steps: list[tuple[int, int]] = []
    done = replay.replay_all(world.admin, chosen, ADA, lambda number, of: steps.append((number, of)))
    assert (done.replayed, done.left, steps) == (1, [], [(1, 1)])
    world.work()
    assert status_of(world, event) == "applied"
    assert world.payment(payment["id"])["amount_refunded"] == 0


def test_one_that_waits_is_made_due_and_gets_no_second_job(world: World) -> None:
    event = parked(world)
    assert replay.replay(world.admin, event["id"], ADA)["how"] == "hurried"
    assert world.work() == 1
    assert (status_of(world, event), jobs_of(world, event)) == ("parked", ["queued"])
    assert len(world.rows("SELECT 1 FROM audit_log WHERE subject_id = :id", id=event["id"])) == 1


@pytest.mark.parametrize(
    ("spoiled", "sentence"),
    [
        (
            "UPDATE jobs SET status = 'running', lease_until = app_now() + interval '1 hour' WHERE target_id = :id",
            "read",
        ),
        ("UPDATE jobs SET status = 'needs_review' WHERE target_id = :id", "tollgate jobs requeue job_"),
        ("DELETE FROM bodies WHERE owner_id = :id", "is kept of bodies"),
    ],
    ids=["being read", "in review", "no body"],
)
def test_refused_with_what_to_do_and_nothing_changed(world: World, spoiled: str, sentence: str) -> None:
    event = parked(world)
    change(world, spoiled, id=event["id"])
    with pytest.raises(StateConflict, match=sentence):
        replay.replay(world.admin, event["id"], ADA)
    done = replay.replay_all(world.admin, Wanted(status="parked"), ADA, lambda number, of: None)
    assert public_id("inbox_event", event["id"]) in [one for one, _ in done.left]
    assert status_of(world, event) == "parked"
    assert world.rows("SELECT 1 FROM audit_log WHERE subject_id = :id", id=event["id"]) == []


def test_an_unknown_one_is_refused_by_name(world: World) -> None:
    name = public_id("inbox_event", unknown := new_id())
    for call in (lambda: replay.replay(world.admin, unknown, ADA), lambda: replay.show(world.admin, unknown)):
        with pytest.raises(NotFoundError, match=name):
            call()


def test_listed_by_provider_status_kind_and_time_without_the_body(world: World) -> None:
    person = f"{secrets.token_hex(6)}@example.com"
    body = by_hand.made_up_event("no.such.kind", {"id": "x_1", "email": person}, f"evt_{secrets.token_hex(8)}")
    by_hand.deliver_all(world, [body])
    own = public_id("inbox_event", by_hand.inbox(world)[-1]["id"])

    def listed(**chosen: Any) -> bool:
        found = replay.list_events(world.admin, Wanted(**chosen), 1000)
        assert person not in json.dumps(found)
        return own in [row["id"] for row in found]

    assert listed(provider="stripe", status="ignored", kind="no.such.kind", since=60.0)
    assert not any((listed(provider="paystack"), listed(status="applied"), listed(kind="other"), listed(until=60.0)))
    world.advance(3600)
    assert listed(since=7200.0, until=1800.0)
    assert not listed(since=1800.0)
    shown = replay.show(world.admin, by_hand.inbox(world)[-1]["id"])
    assert (shown["id"], shown["body_kept"], shown["jobs"]) == (own, True, [])
    assert person not in json.dumps(shown)
