"""An older copy of the database: it starts paused, asks about everything open, and charges nobody again."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from core.orchestration import installation, jobs
from core.startup.anchor import read
from tests.support.restoring import Restorable, succeeded
from tests.support.waiting import wait_until


def test_a_charge_made_after_the_backup_is_found_and_not_made_again(place: Restorable) -> None:
    world = place.world
    payment = world.create()
    kept = place.backup()
    world.settle()
    assert world.payment(payment["id"])["status"] == "succeeded"
    installation.keep_anchor(world.worker)
    place.restored_and_resumed(kept)
    assert world.payment(payment["id"])["status"] == "processing"
    place.settle_slowly()
    assert world.payment(payment["id"])["status"] == "succeeded"
    assert len(succeeded(world.charges("stripe", payment["id"]))) == 1
    [transaction] = world.transactions(payment["id"])
    assert transaction["send_count"] == 1, "it was found, not sent"


def test_a_charge_that_was_never_made_is_made_once(place: Restorable) -> None:
    world = place.world
    payment = world.create()
    kept = place.backup()
    world.create()  # nobody carries it out; it goes with the database
    installation.keep_anchor(world.worker)
    place.restored_and_resumed(kept)
    place.settle_slowly()
    assert world.payment(payment["id"])["status"] == "succeeded"
    assert len(succeeded(world.charges("stripe", payment["id"]))) == 1
    [transaction] = world.transactions(payment["id"])
    assert transaction["send_count"] == 2


def test_a_key_that_may_be_older_than_23_hours_is_not_sent(place: Restorable) -> None:
    world = place.world
    payment = world.create()
    kept = place.backup()
    world.create()  # nobody carries it out; it goes with the database
    installation.keep_anchor(world.worker)
    world.advance(24 * 3600)
    place.restored_and_resumed(kept)
    place.settle_slowly()
    assert world.payment(payment["id"])["status"] == "failed"
    assert world.charges("stripe", payment["id"]) == []


@pytest.mark.parametrize("operation", ["capture", "cancel"])
def test_a_hold_ended_after_the_backup_is_not_ended_again(place: Restorable, operation: str) -> None:
    world = place.world
    payment = world.pay(capture="manual")
    assert world.post(f"/v1/payments/{payment['id']}/{operation}").status_code == 202
    kept = place.backup()
    world.settle()
    ended = world.payment(payment["id"])["status"]
    installation.keep_anchor(world.worker)
    place.restored_and_resumed(kept)
    place.settle_slowly()
    assert world.payment(payment["id"])["status"] == ended == {"capture": "succeeded", "cancel": "canceled"}[operation]
    own = [row for row in world.transactions(payment["id"]) if row["kind"] in ("capture", "void")]
    assert [row["send_count"] for row in own] in ([1], [])


def test_a_refund_made_after_the_backup_is_found_by_its_own_mark(place: Restorable) -> None:
    world = place.world
    payment = world.pay()
    assert world.post(f"/v1/payments/{payment['id']}/refunds", {"amount": 1000}).status_code == 202
    kept = place.backup()
    world.settle()
    installation.keep_anchor(world.worker)
    place.restored_and_resumed(kept)
    place.settle_slowly()
    after = world.payment(payment["id"])
    assert after["amount_refunded"] == 1000
    assert [one["amount"] for one in world.ledger("stripe")["refunds"]] == [1000]


def test_a_page_at_paystack_is_found_by_its_reference(place: Restorable) -> None:
    world = place.world
    answer = world.post("/v1/payments", world.redirect_body(currency="NGN", amount=500_000, provider="paystack"))
    assert answer.status_code == 202, answer.text
    payment = answer.json()["payment"]
    kept = place.backup()
    world.settle()
    assert world.payment(payment["id"])["status"] == "requires_action"
    installation.keep_anchor(world.worker)
    place.restored_and_resumed(kept)
    place.settle_slowly(2)
    [transaction] = world.transactions(payment["id"])
    assert transaction["send_count"] == 1
    assert len(world.charges("paystack", payment["id"])) <= 1


def test_while_paused_nothing_is_claimed_and_only_reading_is_answered(place: Restorable) -> None:
    world = place.world
    payment = world.pay()
    kept = place.backup()
    with world.without_webhooks("stripe"):
        late = world.create()
        world.work()
        installation.keep_anchor(world.worker)
        place.restore(kept)
        assert installation.look(world.worker)
    wait_until(lambda: world.post("/v1/payments", world.payment_body()).status_code == 503, "the gate to notice")
    refused = world.post("/v1/payments", world.payment_body())
    assert (refused.json()["code"], refused.headers["Retry-After"]) == ("paused", "60")
    assert world.get(f"/v1/payments/{payment['id']}").status_code == 200
    assert world.get(f"/v1/payments/{late['id']}").status_code == 404
    ready = world.get("/readyz")
    assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
    assert ready.json()["dependencies"]["installation"]["status"] == "paused"
    # The webhook of the payment that is lost here is stored, and waits.
    stored = "SELECT j.id FROM inbox_events e JOIN jobs j ON j.target_id = e.id WHERE j.status = 'queued'"
    wait_until(lambda: bool(world.rows(stored)), "the webhook to be stored")
    ids = [row["id"] for row in world.rows(stored)]
    for expired in (True, False):
        assert jobs.claim(world.worker.database, "webhooks", 10, "eager", 6.0, expired=expired) == []
    assert jobs.claim(world.worker.database, "webhooks", 10, "hinted", 6.0, ids) == []


def test_a_database_that_goes_on_is_left_alone_and_the_file_never_goes_back(place: Restorable) -> None:
    world = place.world
    world.pay()
    assert installation.keep_anchor(world.worker) == 1
    path = world.settings.anchor_file
    assert path is not None
    first = read(path)
    assert first is not None
    world.pay()
    assert not installation.look(world.worker)
    installation.keep_anchor(world.worker)
    second = read(path)
    assert second is not None
    assert second.audit_number > first.audit_number
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_text("{")
    assert not installation.look(world.worker), "a file nobody can read stops nothing"
    assert installation.keep_anchor(world.worker) == 0


def test_another_installations_database_is_paused(place: Restorable) -> None:
    world = place.world
    installation.keep_anchor(world.worker)
    with world.owner.begin() as connection:
        connection.execute(sa.text("UPDATE installation SET id = gen_random_uuid()"))
    assert installation.look(world.api)
    because = world.one("SELECT paused_because FROM installation")["paused_because"]
    assert "another installation" in because


def test_resuming_is_told_in_the_audit_log_and_said_once(place: Restorable) -> None:
    world = place.world
    world.create()
    kept = place.backup()
    world.pay()
    installation.keep_anchor(world.worker)
    place.restored_and_resumed(kept)
    row = world.one("SELECT * FROM audit_log WHERE action = 'installation.resumed'")
    assert (row["actor"], row["cause"]) == ("person:ada", "person")
    assert row["details"]["reason"] == "restored from the backup of last night"
    assert row["details"]["open"]["jobs"] == 1
    standing = world.one("SELECT paused_at, resumed_by, restored_at FROM installation")
    assert (standing["paused_at"], standing["resumed_by"]) == (None, "ada")
    assert standing["restored_at"] is not None
    with pytest.raises(installation.StateConflict):
        installation.resume(world.admin, "ada", "again")
