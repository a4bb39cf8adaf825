"""Webhook endpoints and events as merchants manage them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from werkzeug.test import TestResponse

from tests.api.support import Merchant, code, fields


def make(merchant: Merchant, key: str | None = None, **changes: Any) -> TestResponse:
    body = {"url": "https://hooks.shop.example/tollgate", "event_types": ["payment.succeeded"], **changes}
    return merchant.post("/v1/webhook_endpoints", body, key=key)


def change(merchant: Merchant, name: str, body: Any, **headers: str) -> TestResponse:
    return merchant.client.patch(f"/v1/webhook_endpoints/{name}", json=body, headers=merchant.headers(**headers))


def test_secret_is_shown_once_and_never_in_a_repeat(merchant: Merchant) -> None:
    made = make(merchant, key="once")
    assert made.status_code == 201
    assert made.json["secret"].startswith("whsec_")
    assert made.headers["Location"] == f"/v1/webhook_endpoints/{made.json['id']}"
    again = make(merchant, key="once")
    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (201, "true")
    assert again.json == {**made.json, "secret": None}
    assert merchant.get(made.headers["Location"]).json["secret"] is None


def test_change_leaves_what_is_not_sent(merchant: Merchant) -> None:
    made = make(merchant, description="mine").json
    changed = change(merchant, made["id"], {"enabled": False})
    assert changed.status_code == 200
    assert {**changed.json, "updated_at": None} == {**made, "enabled": False, "secret": None, "updated_at": None}
    assert change(merchant, made["id"], {"description": None}).json["description"] is None


def test_rotation_makes_another_secret(merchant: Merchant) -> None:
    made = make(merchant).json
    rotated = merchant.post(f"/v1/webhook_endpoints/{made['id']}/rotate_secret")
    assert rotated.status_code == 200
    assert rotated.json["secret"].startswith("whsec_")
    assert rotated.json["secret"] != made["secret"]


def test_deleted_endpoint_is_gone(merchant: Merchant) -> None:
    made = make(merchant).json
    address = f"/v1/webhook_endpoints/{made['id']}"
    gone = merchant.client.delete(address, headers=merchant.headers())
    assert (gone.status_code, gone.json) == (200, {"id": made["id"], "deleted": True})
    assert code(merchant.get(address)) == (404, "not_found")
    assert merchant.get("/v1/webhook_endpoints").json["data"] == []


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"url": "ftp://shop.example"}, "url"),
        ({"url": "/hooks"}, "url"),
        ({"url": "http://127.0.0.1/hooks"}, "url"),
        ({"url": 5}, "url"),
        ({"event_types": []}, "event_types"),
        ({"event_types": ["payment.done"]}, "event_types"),
        ({"event_types": "payment.succeeded"}, "event_types"),
        ({"description": "a" * 501}, "description"),
        ({"secret": "mine"}, "secret"),
    ],
)
def test_bad_endpoints_are_refused(merchant: Merchant, changes: dict[str, Any], field: str) -> None:
    answer = make(merchant, **changes)
    assert code(answer) == (422, "validation_failed")
    assert fields(answer)[0] == field
    assert merchant.get("/v1/webhook_endpoints").json["data"] == []


@pytest.mark.parametrize("body", [{"url": None}, {"enabled": None}, {"enabled": "yes"}, {"id": "we_1"}])
def test_bad_changes_are_refused(merchant: Merchant, body: dict[str, Any]) -> None:
    made = make(merchant).json
    assert code(change(merchant, made["id"], body)) == (422, "validation_failed")


def test_endpoints_and_events_of_another_merchant_are_404(make_merchant: Callable[..., Merchant]) -> None:
    mine, other = make_merchant(), make_merchant()
    made = make(mine).json
    mine.pay()
    assert code(other.get(f"/v1/webhook_endpoints/{made['id']}")) == (404, "not_found")
    assert code(change(other, made["id"], {"enabled": False})) == (404, "not_found")
    assert code(other.post(f"/v1/webhook_endpoints/{made['id']}/rotate_secret")) == (404, "not_found")
    (event, *_) = mine.get("/v1/events").json["data"]
    assert code(other.get(f"/v1/events/{event['id']}")) == (404, "not_found")
    assert code(other.post(f"/v1/events/{event['id']}/redeliver")) == (404, "not_found")


def test_events_are_listed_read_and_sent_again(merchant: Merchant) -> None:
    payment = merchant.pay().json["payment"]["id"]
    (event,) = merchant.get(f"/v1/events?payment={payment}&type=payment.processing").json["data"]
    assert merchant.get(f"/v1/events/{event['id']}").json == {**event, "deliveries": []}
    assert code(merchant.post(f"/v1/events/{event['id']}/redeliver")) == (409, "no_endpoint")
    make(merchant, event_types=["*"])
    again = merchant.post(f"/v1/events/{event['id']}/redeliver")
    assert again.status_code == 202
    assert [job["kind"] for job in again.json["jobs"]] == ["deliver_event"]
    assert again.json["event"] == event
