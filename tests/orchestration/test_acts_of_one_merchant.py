"""What a person decides through the gate: with the gate's own rights, and about one merchant's rows of one mode."""

from __future__ import annotations

import secrets
from uuid import UUID

import pytest

from core.domain.errors import NotFoundError, StateConflict
from core.domain.identifiers import public_id
from core.orchestration import accounts, job_cancel, replay, review, review_reading
from core.orchestration.review_outcomes import Told
from core.persistence.database import Scope
from core.persistence.queries.replays import Wanted as Events
from core.persistence.queries.review import Wanted as Jobs
from tests.orchestration import by_hand
from tests.orchestration.test_review import charge_at_stripe, job_of, unknown_charge
from tests.support.world import World

ADA = review.Person("person:ada", "ticket 7: looked at the dashboard")


@pytest.fixture(scope="module")
def other(world: World) -> Scope:
    return Scope(accounts.create_merchant(world.admin, "Another shop"), "test")


def stored_event(world: World) -> UUID:
    by_hand.keep_webhooks_back(world)
    body = by_hand.made_up_event("no.such.kind", {"id": "x_1"}, f"evt_{secrets.token_hex(8)}")
    by_hand.deliver_all(world, [body])
    found: UUID = by_hand.inbox(world)[-1]["id"]
    return found


def test_executed_with_the_rights_of_the_gate(world: World) -> None:
    payment, job = unknown_charge(world, "reset_after")
    shown = review_reading.show(world.api, job, world.scope)
    assert shown["choices"] == {
        "requeue": True, "verdicts": ["executed", "not_executed"], "asks_id": True, "asks_amount": True,
    }  # fmt: skip
    told = Told(charge_at_stripe(world, payment), 5000)
    done = review.resolve(world.api, job, "executed", ADA, told, world.scope)
    assert done["status"] == "succeeded"
    assert world.payment(payment["id"])["status"] == "succeeded"
    assert review_reading.show(world.api, job, world.scope)["choices"]["verdicts"] == []


def test_asked_again_with_the_rights_of_the_gate(world: World) -> None:
    payment, job = unknown_charge(world, "reset_before")
    assert review.requeue(world.api, job, ADA, world.scope)["status"] == "queued"
    world.settle()
    assert world.payment(payment["id"])["status"] == "succeeded"


def test_what_nothing_was_sent_for_can_only_be_called_not_executed(world: World) -> None:
    payment = world.create()
    with world.owner.begin() as connection:
        connection.exec_driver_sql("UPDATE jobs SET status = 'needs_review' WHERE payment_id IS NOT NULL "
                                   "AND status = 'queued' AND kind = 'create_payment'")  # fmt: skip
    (row,) = review_reading.page(world.api, world.scope, Jobs(limit=1))["data"]
    assert row["payment"] == payment["id"]
    job = world.one("SELECT id FROM jobs WHERE status = 'needs_review'")["id"]
    assert review_reading.show(world.api, job, world.scope)["choices"] == {
        "requeue": True, "verdicts": ["not_executed"], "asks_id": False, "asks_amount": False,
    }  # fmt: skip
    review.resolve(world.api, job, "not_executed", ADA, None, world.scope)
    assert world.payment(payment["id"])["status"] == "failed"


def test_what_was_never_sent_can_be_taken_back(world: World) -> None:
    payment = world.create()
    job = job_of(world, payment)["id"]
    done = job_cancel.cancel(world.api, job, ADA, world.scope)
    assert done["status"] == "canceled"
    assert world.payment(payment["id"])["status"] == "canceled"
    assert world.work() == 0
    assert world.charges("stripe", payment["id"]) == []
    record = world.one("SELECT * FROM audit_log WHERE subject_id = :id AND action = 'job.canceled'", id=job)
    assert (record["actor"], record["details"]["reason"]) == (ADA.actor, ADA.reason)
    with pytest.raises(StateConflict, match="is canceled"):
        job_cancel.cancel(world.api, job, ADA, world.scope)


def test_what_may_have_been_sent_cannot(world: World) -> None:
    paid = world.pay()
    payment, unknown = unknown_charge(world, "reset_after")
    with world.owner.begin() as connection:
        connection.exec_driver_sql("UPDATE jobs SET status = 'queued' WHERE id = %s", (str(unknown),))
    for job in (job_of(world, paid)["id"], unknown):
        with pytest.raises(StateConflict, match=r"may have been sent|is succeeded"):
            job_cancel.cancel(world.api, job, ADA, world.scope)
    assert world.payment(payment["id"])["status"] == "processing"
    world.settle()


def test_another_merchant_finds_neither_job_nor_event(world: World, other: Scope) -> None:
    _, job = unknown_charge(world, "reset_after")
    event = stored_event(world)
    for scope in (other, Scope(world.merchant_id, "live")):
        for core in (world.api, world.admin):  # the second sees all rows: the queries themselves ask whose they are
            for call in (
                lambda: review_reading.show(core, job, scope),  # noqa: B023
                lambda: review.requeue(core, job, ADA, scope),  # noqa: B023
                lambda: review.resolve(core, job, "executed", ADA, Told("pi_1", 5000), scope),  # noqa: B023
                lambda: job_cancel.cancel(core, job, ADA, scope),  # noqa: B023
                lambda: replay.show(core, event, scope),  # noqa: B023
                lambda: replay.replay(core, event, ADA, scope),  # noqa: B023
            ):
                with pytest.raises(NotFoundError):
                    call()
            assert review_reading.page(core, scope, Jobs(status=None))["data"] == []
            assert replay.page(core, Events(scope=scope), 10)["data"] == []
            assert replay.count(core, Events(scope=scope)) == 0
            assert replay.replay_all(core, Events(scope=scope), ADA).replayed == 0
    assert review_reading.page(world.api, world.scope, Jobs())["data"][0]["id"] == public_id("job", job)


def test_events_in_pages_and_some_of_a_range_read_again(world: World) -> None:
    own = [public_id("inbox_event", stored_event(world)) for _ in range(3)]
    wanted = Events(kind="no.such.kind", scope=world.scope)
    first = replay.page(world.api, wanted, 2)
    assert [row["id"] for row in first["data"]] == [own[2], own[1]]
    assert first["has_more"]
    done = replay.replay_all(world.api, wanted, ADA, most=2)
    assert (done.replayed, done.left) == (2, [])
    again = [row["id"] for row in replay.page(world.api, Events(status="received", scope=world.scope), 9)["data"]]
    assert len(again) == 2
    assert own[2] not in again  # the oldest first


def test_jobs_in_pages_of_every_status(world: World) -> None:
    first = review_reading.page(world.api, world.scope, Jobs(status=None, limit=2))
    assert len(first["data"]) == 2
    assert first["next"] == first["data"][-1]["id"]
