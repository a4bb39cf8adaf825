"""A merchant's webhook endpoints: secrets shown once, every change audited, nobody else's in sight."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa

from core.domain.errors import IdempotencyMismatch, NotFoundError, RequestRefused, StateConflict
from core.domain.identifiers import new_id, parse_id
from core.orchestration import accounts, merchant_events, webhook_endpoints
from core.orchestration.context import Caller
from core.orchestration.idempotency import IdempotencyKey
from core.persistence.database import Scope
from core.persistence.vault import Place
from tests.support.world import World

URL = "https://shop.example/hook"


@pytest.fixture
def caller(world: World) -> Caller:
    return Caller(world.scope, "key:test", "req_1")


@pytest.fixture(autouse=True)
def none_left(world: World) -> Iterator[None]:
    yield
    with world.owner.begin() as connection:
        connection.execute(sa.text("DELETE FROM webhook_endpoints"))


def create(world: World, caller: Caller, key: IdempotencyKey | None = None, **changes: Any) -> Any:
    values: dict[str, Any] = {"url": URL, "event_types": ["*"], **changes}
    return webhook_endpoints.create(world.api, caller, key, **values)


def key(body: bytes = b"a") -> IdempotencyKey:
    return IdempotencyKey(uuid4().hex, body * 32)


def test_the_secret_is_shown_once_and_kept_sealed(world: World, caller: Caller) -> None:
    made = create(world, caller, description="orders")
    secret = made.body["secret"]
    assert made.status_code == 201
    assert made.location == f"/v1/webhook_endpoints/{made.body['id']}"
    assert secret.startswith("whsec_")
    assert 24 <= len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) <= 64
    endpoint_id = parse_id("webhook_endpoint", made.body["id"])
    shown = webhook_endpoints.get_endpoint(world.api, caller.scope, endpoint_id)
    assert shown == {**made.body, "secret": None}
    row = world.one("SELECT * FROM webhook_endpoints")
    assert secret.encode() not in bytes(row["secrets_sealed"])
    with world.worker.database.scoped(caller.scope) as connection:
        sealed = world.vault.merchant_key(connection, caller.scope)
        opened = sealed.open_json(Place("webhook_endpoints", "secrets_sealed", endpoint_id), row["secrets_sealed"])
    assert opened["secrets"][0]["secret"] == secret


def test_a_repeat_gets_the_same_endpoint_without_its_secret(world: World, caller: Caller) -> None:
    chosen = key()
    made, again = create(world, caller, chosen), create(world, caller, chosen)
    assert (again.status_code, again.replayed, again.location) == (201, True, made.location)
    assert again.body == {**made.body, "secret": None}
    assert len(world.rows("SELECT 1 FROM webhook_endpoints")) == 1
    with pytest.raises(IdempotencyMismatch):
        create(world, caller, IdempotencyKey(chosen.key, b"b" * 32))
    assert made.body["secret"] not in str(world.rows("SELECT response FROM idempotency_keys"))


def test_a_repeated_rotation_does_not_rotate_again(world: World, caller: Caller) -> None:
    endpoint_id = parse_id("webhook_endpoint", create(world, caller).body["id"])
    chosen = key()
    made = webhook_endpoints.rotate_secret(world.api, caller, endpoint_id, chosen)
    before = bytes(world.one("SELECT secrets_sealed FROM webhook_endpoints")["secrets_sealed"])
    again = webhook_endpoints.rotate_secret(world.api, caller, endpoint_id, chosen)
    assert (made.body["secret"] is None, again.body["secret"] is None) == (False, True)
    assert bytes(world.one("SELECT secrets_sealed FROM webhook_endpoints")["secrets_sealed"]) == before


def test_what_is_changed_changes_and_the_rest_stays(world: World, caller: Caller) -> None:
    made = create(world, caller, event_types=["payment.succeeded"], description="orders").body
    endpoint_id = parse_id("webhook_endpoint", made["id"])
    changes = {"url": "https://shop.example/other", "enabled": False}
    changed = webhook_endpoints.update(world.api, caller, endpoint_id, changes).body
    assert changed == {**made, **changes, "secret": None, "updated_at": changed["updated_at"]}
    assert changed["updated_at"] > made["updated_at"]


def test_every_change_is_audited_without_what_it_hides(world: World, caller: Caller) -> None:
    made = create(world, caller, url="https://shop.example/hook?token=hidden").body
    endpoint_id = parse_id("webhook_endpoint", made["id"])
    webhook_endpoints.update(world.api, caller, endpoint_id, {"url": URL})
    webhook_endpoints.update(world.api, caller, endpoint_id, {"url": URL})
    webhook_endpoints.rotate_secret(world.api, caller, endpoint_id)
    webhook_endpoints.delete(world.api, caller, endpoint_id)
    found = world.rows("SELECT * FROM audit_log WHERE subject_id = :id ORDER BY number", id=endpoint_id)
    verbs = [row["action"].removeprefix("webhook_endpoint.") for row in found]
    assert verbs == ["created", "updated", "secret_rotated", "deleted"]
    assert {(row["actor"], row["request_id"], row["cause"]) for row in found} == {("key:test", "req_1", "request")}
    assert "hidden" not in str(found)
    assert "whsec_" not in str(found)


def test_a_deleted_endpoint_is_gone(world: World, caller: Caller) -> None:
    made = create(world, caller).body
    endpoint_id = parse_id("webhook_endpoint", made["id"])
    answer = webhook_endpoints.delete(world.api, caller, endpoint_id)
    assert answer.body == {"id": made["id"], "deleted": True}
    assert webhook_endpoints.list_endpoints(world.api, caller.scope)["data"] == []
    for ask in (
        lambda: webhook_endpoints.get_endpoint(world.api, caller.scope, endpoint_id),
        lambda: webhook_endpoints.delete(world.api, caller, endpoint_id),
        lambda: webhook_endpoints.update(world.api, caller, endpoint_id, {"enabled": True}),
        lambda: webhook_endpoints.rotate_secret(world.api, caller, endpoint_id),
    ):
        with pytest.raises(NotFoundError):
            ask()


def test_another_merchant_or_mode_sees_nothing(world: World, caller: Caller) -> None:
    endpoint_id = parse_id("webhook_endpoint", create(world, caller).body["id"])
    other = accounts.create_merchant(world.admin, "Other shop")
    for scope in (Scope(other, "test"), Scope(caller.scope.merchant_id, "live")):
        stranger = Caller(scope, "key:other", "req_2")
        assert webhook_endpoints.list_endpoints(world.api, scope)["data"] == []
        with pytest.raises(NotFoundError):
            webhook_endpoints.rotate_secret(world.api, stranger, endpoint_id)
        with pytest.raises(NotFoundError):
            webhook_endpoints.update(world.api, stranger, endpoint_id, {"url": "https://thief.example/"})


@pytest.mark.parametrize(
    "changes",
    [
        {"url": "ftp://shop.example/"},
        {"url": "https://user@shop.example/"},
        {"event_types": []},
        {"event_types": ["payment.exploded"]},
        {"event_types": ["*", "payment.succeeded"]},
        {"description": "x" * 501},
    ],
)
def test_what_cannot_be_is_refused_and_leaves_nothing(world: World, caller: Caller, changes: dict[str, Any]) -> None:
    chosen = key()
    with pytest.raises(RequestRefused) as refused:
        create(world, caller, chosen, **changes)
    assert refused.value.errors[0].field == next(iter(changes))
    assert world.rows("SELECT 1 FROM webhook_endpoints") == []
    assert world.rows("SELECT 1 FROM idempotency_keys WHERE key = :key", key=chosen.key) == []


def test_there_is_an_end_to_endpoints(world: World, caller: Caller) -> None:
    for _ in range(webhook_endpoints.MOST_ENDPOINTS):
        create(world, caller)
    with pytest.raises(RequestRefused):
        create(world, caller)


def test_pages_of_endpoints_and_events(world: World, caller: Caller) -> None:
    made = [create(world, caller).body["id"] for _ in range(3)]
    first = webhook_endpoints.list_endpoints(world.api, caller.scope, 2)
    assert ([one["id"] for one in first["data"]], first["has_more"]) == ([made[2], made[1]], True)
    after = parse_id("webhook_endpoint", first["next"])
    rest = webhook_endpoints.list_endpoints(world.api, caller.scope, 2, after)
    assert ([one["id"] for one in rest["data"]], rest["has_more"]) == ([made[0]], False)
    payment = world.create()
    payment_id = parse_id("payment", payment["id"])
    events = merchant_events.list_events(world.api, caller.scope, payment_id=payment_id)["data"]
    assert [(one["type"], one["sequence"], one["payment"]) for one in events] == [
        ("payment.processing", 1, payment["id"])
    ]
    assert merchant_events.list_events(world.api, caller.scope, kind="payment.failed", payment_id=payment_id) == {
        "data": [],
        "has_more": False,
        "next": None,
    }


def test_redelivery_of_what_is_not_there_is_refused(world: World, caller: Caller) -> None:
    with pytest.raises(NotFoundError):
        merchant_events.redeliver(world.api, caller, new_id())
    payment_id = parse_id("payment", world.create()["id"])
    event_id = world.one("SELECT id FROM events WHERE payment_id = :id", id=payment_id)["id"]
    with pytest.raises(StateConflict):
        merchant_events.redeliver(world.api, caller, event_id, key())
    assert world.rows("SELECT 1 FROM jobs WHERE target_id = :id", id=event_id) == []


def test_a_repeated_redelivery_makes_no_second_job(world: World, caller: Caller) -> None:
    create(world, caller)
    payment_id = parse_id("payment", world.create()["id"])
    event_id = world.one("SELECT id FROM events WHERE payment_id = :id", id=payment_id)["id"]
    chosen = key()
    made = merchant_events.redeliver(world.api, caller, event_id, chosen)
    again = merchant_events.redeliver(world.api, caller, event_id, chosen)
    assert (again.replayed, again.body) == (True, made.body)
    assert len(world.rows("SELECT 1 FROM jobs WHERE target_id = :id", id=event_id)) == 2
