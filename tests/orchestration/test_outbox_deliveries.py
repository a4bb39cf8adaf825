"""Events on their way to a merchant: signed, on schedule, one row an attempt, and never twice without reason."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from standardwebhooks import Webhook, WebhookVerificationError

from core.domain.identifiers import parse_id
from core.orchestration import egress, jobs, merchant_events, outbox, webhook_endpoints
from core.orchestration.context import Caller
from core.orchestration.jobs import Job, LeaseLost
from tests.support.receiver import Got, Receiver, Reply
from tests.support.world import World

DELIVERIES = ("deliveries",)


@pytest.fixture
def caller(world: World) -> Caller:
    return Caller(world.scope, "key:test", "req_1")


@pytest.fixture
def endpoint(world: World, receiver: Receiver, caller: Caller) -> Iterator[Mapping[str, Any]]:
    """Asks for one kind of event; gone at the end of the test."""
    answer = webhook_endpoints.create(world.api, caller, None, url=receiver.url, event_types=["payment.processing"])
    yield answer.body
    with world.owner.begin() as connection:
        connection.execute(sa.text("DELETE FROM jobs"))
        connection.execute(sa.text("DELETE FROM webhook_endpoints"))


def event_of(world: World, payment_id: str) -> Mapping[str, Any]:
    query = "SELECT * FROM events WHERE payment_id = :id AND type = 'payment.processing'"
    return world.one(query, id=parse_id("payment", payment_id))


def job_of(world: World, payment_id: str) -> Mapping[str, Any]:
    wait = "extract(epoch FROM run_after - app_now()) AS wait"
    query = f"SELECT *, {wait} FROM jobs WHERE lane = 'deliveries' AND payment_id = :id"
    return world.one(query, id=parse_id("payment", payment_id))


def attempts_of(world: World, payment_id: str) -> list[Mapping[str, Any]]:
    query = "SELECT * FROM deliveries WHERE payment_id = :id ORDER BY attempt"
    return world.rows(query, id=parse_id("payment", payment_id))


def claim_one(world: World) -> Job:
    found = jobs.claim(world.worker.database, "deliveries", 20, "stepped", 60.0)
    assert len(found) == 1
    return found[0]


def verified(got: Got, secret: str) -> Any:
    return Webhook(secret).verify(got.body, dict(got.headers))


def test_an_event_arrives_signed(world: World, receiver: Receiver, endpoint: Mapping[str, Any]) -> None:
    payment = world.create(reference="order-1")
    assert world.work(DELIVERIES) == 1
    (got,) = receiver.got
    body = verified(got, endpoint["secret"])
    assert body["type"] == "payment.processing"
    assert body["sequence"] == 1
    assert body["data"]["payment"]["id"] == payment["id"]
    assert body["data"]["payment"]["reference"] == "order-1"
    assert body["id"] == got.headers["webhook-id"]
    assert got.headers["content-type"] == "application/json"
    assert job_of(world, payment["id"])["status"] == "succeeded"
    (attempt,) = attempts_of(world, payment["id"])
    assert (attempt["attempt"], attempt["outcome"], attempt["http_status"]) == (1, "delivered", 200)


def test_another_secret_does_not_verify(world: World, receiver: Receiver, endpoint: Mapping[str, Any]) -> None:
    world.create()
    world.work(DELIVERIES)
    with pytest.raises(WebhookVerificationError):
        verified(receiver.got[0], "whsec_" + "A" * 44)


def test_no_transaction_is_open_while_the_receiver_thinks(
    world: World, receiver: Receiver, endpoint: Mapping[str, Any]
) -> None:
    seen: list[list[str]] = []
    receiver.meanwhile = lambda: seen.append(world.open_transactions())
    world.create()
    world.work(DELIVERIES)
    assert seen == [[]]


def test_failed_attempts_come_back_on_the_schedule_until_a_person_is_told(
    world: World, receiver: Receiver, endpoint: Mapping[str, Any]
) -> None:
    receiver.reply = Reply(500)
    payment = world.create()
    delays = world.settings.delivery_delays
    for number, delay in enumerate(delays, start=1):
        assert world.work(DELIVERIES) == 1
        job = job_of(world, payment["id"])
        assert job["status"] == "queued"
        assert delay - 5 <= job["wait"] <= delay * 1.1
        assert len(receiver.got) == number
        # Not a moment early.
        world.advance(float(job["wait"]) - 2)
        assert world.work(DELIVERIES) == 0
        world.advance(3)
    assert world.work(DELIVERIES) == 1
    job = job_of(world, payment["id"])
    assert (job["status"], job["error"]["http_status"]) == ("failed", 500)
    assert [row["attempt"] for row in attempts_of(world, payment["id"])] == list(range(1, len(delays) + 2))
    assert {row["error"] for row in attempts_of(world, payment["id"])} == {"the endpoint answered 500"}
    finding = world.one("SELECT * FROM findings WHERE job_id = :id", id=job["id"])
    assert (finding["kind"], finding["status"]) == ("event_undelivered", "open")
    assert len({got.body for got in receiver.got}) == 1
    assert len({got.headers["webhook-id"] for got in receiver.got}) == 1


def test_a_receiver_that_recovers_gets_its_event(world: World, receiver: Receiver, endpoint: Mapping[str, Any]) -> None:
    receiver.reply = Reply(503)
    payment = world.create()
    world.work(DELIVERIES)
    receiver.reply = Reply(204, body=b"")
    world.advance(10)
    world.work(DELIVERIES)
    assert [row["outcome"] for row in attempts_of(world, payment["id"])] == ["failed", "delivered"]
    assert job_of(world, payment["id"])["status"] == "succeeded"


@pytest.mark.parametrize(
    ("asked", "least", "most"),
    [("120", 115, 121), ("1", 0, 6), ("999999999", 86_000, 86_401), ("soon", 0, 6), ("-5", 0, 6)],
)
def test_retry_after_is_honoured_up_to_a_day(
    world: World, receiver: Receiver, endpoint: Mapping[str, Any], asked: str, least: float, most: float
) -> None:
    receiver.reply = Reply(429, {"Retry-After": asked})
    payment = world.create()
    world.work(DELIVERIES)
    assert least <= job_of(world, payment["id"])["wait"] <= most


def test_retry_after_may_be_a_date() -> None:
    assert outbox.read_retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0
    assert outbox.read_retry_after("Fri, 31 Dec 9999 23:59:59 GMT") > outbox.MAX_RETRY_AFTER
    assert outbox.next_delay(5.0, "Fri, 31 Dec 9999 23:59:59 GMT") == outbox.MAX_RETRY_AFTER


def test_a_redirect_is_a_failure(world: World, receiver: Receiver, endpoint: Mapping[str, Any]) -> None:
    receiver.reply = Reply(307, {"Location": receiver.url})
    payment = world.create()
    world.work(DELIVERIES)
    (attempt,) = attempts_of(world, payment["id"])
    assert (attempt["outcome"], attempt["http_status"]) == ("failed", 307)
    assert len(receiver.got) == 1


def test_gone_disables_the_endpoint_and_ends_what_waits(
    world: World, receiver: Receiver, endpoint: Mapping[str, Any]
) -> None:
    receiver.reply = Reply(410)
    first, second = world.create(), world.create()
    world.work(DELIVERIES)
    assert len(receiver.got) == 1
    shown = webhook_endpoints.get_endpoint(world.api, world.scope, parse_id("webhook_endpoint", endpoint["id"]))
    assert (shown["enabled"], shown["disabled_reason"]) == (False, "it answered 410 Gone")
    ends = {job_of(world, payment["id"])["status"] for payment in (first, second)}
    assert ends == {"failed", "succeeded"}
    audited = world.one(
        "SELECT * FROM audit_log WHERE action = 'webhook_endpoint.disabled' AND subject_id = :id",
        id=parse_id("webhook_endpoint", endpoint["id"]),
    )
    assert audited["details"]["http_status"] == 410


def test_a_disabled_or_deleted_endpoint_gets_nothing_more(
    world: World, receiver: Receiver, endpoint: Mapping[str, Any], caller: Caller
) -> None:
    endpoint_id = parse_id("webhook_endpoint", endpoint["id"])
    disabled = world.create()
    webhook_endpoints.update(world.api, caller, endpoint_id, {"enabled": False})
    world.work(DELIVERIES)
    webhook_endpoints.update(world.api, caller, endpoint_id, {"enabled": True})
    deleted = world.create()
    webhook_endpoints.delete(world.api, caller, endpoint_id)
    world.work(DELIVERIES)
    assert receiver.got == []
    assert job_of(world, disabled["id"])["error"]["code"] == "endpoint_disabled"
    assert job_of(world, deleted["id"])["error"]["code"] == "endpoint_deleted"
    assert {job_of(world, one["id"])["status"] for one in (disabled, deleted)} == {"succeeded"}


def test_only_subscribed_kinds_are_sent(world: World, receiver: Receiver, caller: Caller) -> None:
    made = webhook_endpoints.create(world.api, caller, None, url=receiver.url, event_types=["payment.failed"])
    world.create()
    assert world.work(DELIVERIES) == 0
    webhook_endpoints.update(world.api, caller, parse_id("webhook_endpoint", made.body["id"]), {"event_types": ["*"]})
    world.create()
    assert world.work(DELIVERIES) == 1
    webhook_endpoints.delete(world.api, caller, parse_id("webhook_endpoint", made.body["id"]))


def test_both_secrets_sign_for_a_day_after_a_rotation(
    world: World, receiver: Receiver, endpoint: Mapping[str, Any], caller: Caller
) -> None:
    endpoint_id = parse_id("webhook_endpoint", endpoint["id"])
    renewed = webhook_endpoints.rotate_secret(world.api, caller, endpoint_id).body["secret"]
    assert renewed != endpoint["secret"]
    world.create()
    world.work(DELIVERIES)
    assert len(receiver.got[0].headers["webhook-signature"].split(" ")) == 2
    verified(receiver.got[0], endpoint["secret"])
    verified(receiver.got[0], renewed)
    world.advance(24 * 3600 + 60)
    world.create()
    world.work(DELIVERIES)
    verified(receiver.got[1], renewed)
    with pytest.raises(WebhookVerificationError):
        verified(receiver.got[1], endpoint["secret"])


def test_a_host_that_points_inside_is_refused_and_tried_again(
    world: World, receiver: Receiver, endpoint: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(egress, "look_up_host", lambda *_: ["169.254.169.254"])
    payment = world.create()
    world.work(DELIVERIES)
    (attempt,) = attempts_of(world, payment["id"])
    assert (attempt["outcome"], attempt["http_status"]) == ("refused", None)
    assert "169.254" not in attempt["error"]
    assert job_of(world, payment["id"])["status"] == "queued"
    assert receiver.got == []


def test_a_worker_that_lost_its_lease_writes_nothing(
    world: World, receiver: Receiver, endpoint: Mapping[str, Any]
) -> None:
    payment = world.create()
    job = claim_one(world)

    def take_over() -> None:
        with world.owner.begin() as connection:
            connection.execute(sa.text("UPDATE jobs SET fence = fence + 1 WHERE id = :id"), {"id": job.id})

    receiver.meanwhile = take_over
    with pytest.raises(LeaseLost):
        outbox.deliver_event(world.worker, job)
    assert attempts_of(world, payment["id"]) == []


def test_an_attempt_whose_worker_died_is_not_counted(
    world: World, receiver: Receiver, endpoint: Mapping[str, Any]
) -> None:
    payment = world.create()
    claim_one(world)
    world.advance(120)
    assert world.work(DELIVERIES) == 1
    (attempt,) = attempts_of(world, payment["id"])
    assert attempt["attempt"] == 1


def test_an_event_is_sent_again_when_asked(
    world: World, receiver: Receiver, endpoint: Mapping[str, Any], caller: Caller
) -> None:
    payment = world.create()
    world.work(DELIVERIES)
    event_id: UUID = event_of(world, payment["id"])["id"]
    answer = merchant_events.redeliver(world.api, caller, event_id)
    assert answer.status_code == 202
    assert [job["status"] for job in answer.body["jobs"]] == ["queued"]
    world.work(DELIVERIES)
    assert [got.body for got in receiver.got] == [receiver.got[0].body] * 2
    shown = merchant_events.get_event(world.api, world.scope, event_id)
    assert [one["outcome"] for one in shown["deliveries"]] == ["delivered", "delivered"]
    assert shown["data"] == json.loads(receiver.got[0].body)["data"]
