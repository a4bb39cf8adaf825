"""API keys over the Admin API: made, rotated, ended; nobody grants more than they have, and no secret comes twice."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from api.state import Gate
from core.domain.identifiers import public_id
from core.domain.key_form import number_of
from core.domain.roles import ROLES, SCOPES
from core.orchestration import api_keys, key_grants
from core.orchestration.context import Core
from tests.api.support import Merchant, code

WHY = {"reason": "as agreed"}


class Desk:
    """An administrator's key that asks."""

    def __init__(self, owner: Core, client: FlaskClient, scopes: Sequence[str]) -> None:
        self.key = api_keys.create(owner, kind="admin", name="desk", scopes=scopes)
        self.client = client

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> TestResponse:
        headers = {"Authorization": f"Bearer {self.key.text}"}
        return self.client.open(f"/admin/v1{path}", method=method, json=body, headers=headers)


@pytest.fixture
def desk(owner: Core, client: FlaskClient) -> Desk:
    return Desk(owner, client, sorted(SCOPES))


@pytest.fixture
def make_desk(owner: Core, client: FlaskClient) -> Callable[..., Desk]:
    return lambda *scopes: Desk(owner, client, scopes)


def home(merchant: Merchant) -> str:
    return f"/merchants/{public_id('merchant', merchant.scope.merchant_id)}/api_keys"


def opens(client: FlaskClient, text: str, path: str = "/v1/payments") -> int:
    return client.get(path, headers={"Authorization": f"Bearer {text}"}).status_code


def test_a_key_is_made_shown_once_and_works(desk: Desk, merchant: Merchant, client: FlaskClient) -> None:
    body = {"name": "shop", "scopes": ["payments:*", "webhooks:manage"], "days": 30}
    made = desk.ask("POST", f"{home(merchant)}?mode=test", body)
    assert made.status_code == 201
    assert made.json["scopes"] == [
        "payments:read",
        "payments:write",
        "webhook_endpoints:read",
        "webhook_endpoints:write",
    ]
    assert (made.json["state"], made.json["created_by"]) == ("active", f"key:{desk.key.id}")
    assert opens(client, made.json["key"]) == 200
    assert opens(client, made.json["key"], "/v1/refunds") == 403
    listed = desk.ask("GET", f"{home(merchant)}?mode=test")
    assert {"id": made.json["id"], "key": made.json["key"]}["id"] in [one["id"] for one in listed.json["data"]]
    assert made.json["key"].rpartition("_")[2] not in listed.text


def test_a_repeated_request_makes_another_key_and_repeats_no_secret(desk: Desk, merchant: Merchant) -> None:
    headers = {"Authorization": f"Bearer {desk.key.text}", "Idempotency-Key": "once"}
    path = f"/admin/v1{home(merchant)}?mode=test"
    first, second = (desk.client.post(path, json={"name": "shop"}, headers=headers).json for _ in range(2))
    assert first["id"] != second["id"]
    assert first["key"] != second["key"]


def test_both_keys_work_until_the_overlap_is_over(
    desk: Desk, merchant: Merchant, client: FlaskClient, owner: Core
) -> None:
    old = desk.ask("POST", f"{home(merchant)}?mode=test", {"name": "shop", "scopes": ["payments:read"]}).json
    one = f"{home(merchant)}/{old['id']}"
    new = desk.ask("POST", f"{one}/rotate?mode=test", {"overlap_hours": 1, **WHY})
    assert new.status_code == 201
    assert (new.json["replaces"], new.json["scopes"], new.json["name"]) == (old["id"], old["scopes"], "shop")
    assert new.json["expires_at"] is None
    assert [opens(client, made["key"]) for made in (old, new.json)] == [200, 200]
    assert code(desk.ask("POST", f"{one}/rotate?mode=test", WHY)) == (409, "state_conflict")
    with owner.database.unscoped() as connection:
        ended = sa.text("UPDATE api_keys SET expires_at = expires_at - interval '1 hour' WHERE id = :id")
        connection.execute(ended, {"id": old["id"]})
    assert [opens(client, made["key"]) for made in (old, new.json)] == [401, 200]
    assert code(desk.ask("POST", f"{one}/rotate?mode=test", WHY)) == (409, "state_conflict")
    states = {row["id"]: row["state"] for row in desk.ask("GET", f"{home(merchant)}?mode=test").json["data"]}
    assert (states[old["id"]], states[new.json["id"]]) == ("expired", "active")


def test_a_lost_successor_is_revoked_and_another_made(desk: Desk, merchant: Merchant) -> None:
    old = desk.ask("POST", f"{home(merchant)}?mode=test", {"name": "shop", "days": 10}).json
    lost = desk.ask("POST", f"{home(merchant)}/{old['id']}/rotate?mode=test", WHY).json
    assert desk.ask("POST", f"{home(merchant)}/{lost['id']}/revoke?mode=test", WHY).status_code == 200
    again = desk.ask("POST", f"{home(merchant)}/{old['id']}/rotate?mode=test", WHY)
    assert again.status_code == 201
    assert again.json["expires_at"] > old["expires_at"], "as long from now as the old one had from its making"


def test_an_end_is_never_moved_to_later(desk: Desk, merchant: Merchant, client: FlaskClient) -> None:
    made = desk.ask("POST", f"{home(merchant)}?mode=test", {"name": "shop"}).json
    one = f"{home(merchant)}/{made['id']}"
    assert desk.ask("POST", f"{one}/expire?mode=test", {"in_hours": 5, **WHY}).json["state"] == "active"
    assert code(desk.ask("POST", f"{one}/expire?mode=test", {"in_hours": 6, **WHY})) == (409, "state_conflict")
    assert desk.ask("POST", f"{one}/expire?mode=test", {"in_hours": 0, **WHY}).json["state"] == "expired"
    assert opens(client, made["key"]) == 401
    assert code(desk.ask("POST", f"{one}/expire?mode=test", {"in_hours": 0, **WHY})) == (409, "state_conflict")


def test_revoking_twice_keeps_the_first_time(desk: Desk, merchant: Merchant, client: FlaskClient) -> None:
    made = desk.ask("POST", f"{home(merchant)}?mode=test", {"name": "shop"}).json
    first, second = (desk.ask("POST", f"{home(merchant)}/{made['id']}/revoke?mode=test", WHY).json for _ in range(2))
    assert first == second
    assert (first["state"], first["ended_by"]) == ("revoked", f"key:{desk.key.id}")
    assert opens(client, made["key"]) == 401


def test_another_merchants_modes_and_administrators_keys_are_not_there(
    desk: Desk, merchant: Merchant, make_merchant: Callable[..., Merchant], client: FlaskClient
) -> None:
    other = make_merchant()
    for verb, body in (("rotate", WHY), ("expire", {"in_hours": 0, **WHY}), ("revoke", WHY)):
        for path in (
            f"{home(merchant)}/{other.key.id}/{verb}?mode=test",
            f"{home(other)}/{other.key.id}/{verb}?mode=live",
            f"{home(other)}/{desk.key.id}/{verb}?mode=test",
            f"{home(other)}/nothing/{verb}?mode=test",
            f"/api_keys/{other.key.id}/{verb}",
        ):
            assert code(desk.ask("POST", path, body)) == (404, "not_found"), path
    assert opens(client, other.key.text) == 200


class TestGranting:
    def test_nobody_grants_more_than_they_have(self, make_desk: Callable[..., Desk]) -> None:
        few = make_desk("admin:keys", "admin:read", "admin:jobs")
        for body in ({"role": "support"}, {"role": "admin"}, {"scopes": ["admin:*"]}, {"scopes": ["admin:write"]}):
            assert code(few.ask("POST", "/api_keys", {"name": "more", **body})) == (403, "scope_missing"), body
        made = few.ask("POST", "/api_keys", {"name": "same", "scopes": ["admin:read", "admin:jobs"]})
        assert made.status_code == 201

    def test_nobody_takes_a_stronger_key_by_rotating_it(self, desk: Desk, make_desk: Callable[..., Desk]) -> None:
        few = make_desk("admin:keys")
        assert code(few.ask("POST", f"/api_keys/{desk.key.id}/rotate", WHY)) == (403, "scope_missing")
        assert desk.ask("GET", "/merchants").status_code == 200
        assert few.ask("POST", f"/api_keys/{few.key.id}/rotate", WHY).status_code == 201

    def test_nobody_ends_a_stronger_key(
        self, desk: Desk, make_desk: Callable[..., Desk], merchant: Merchant, owner: Core
    ) -> None:
        """By revoking it or having it expire: as with people, reach goes down. Merchants' keys are theirs to end."""
        few, other = make_desk("admin:keys", "admin:read"), make_desk("admin:keys")
        for verb, body in (("revoke", WHY), ("expire", {"in_hours": 0, **WHY})):
            refused = few.ask("POST", f"/api_keys/{desk.key.id}/{verb}", body)
            assert code(refused) == (403, "scope_missing"), verb
            assert "may more than you" in refused.json["detail"]
        assert desk.ask("GET", "/merchants").status_code == 200
        assert few.ask("POST", f"/api_keys/{other.key.id}/expire", {"in_hours": 1, **WHY}).status_code == 200
        assert few.ask("POST", f"/api_keys/{other.key.id}/revoke", WHY).status_code == 200
        assert few.ask("POST", f"{home(merchant)}/{merchant.key.id}/revoke?mode=test", WHY).status_code == 200
        assert few.ask("POST", f"/api_keys/{few.key.id}/revoke", WHY).status_code == 200, "its own"
        assert api_keys.revoke(owner, desk.key.id)["state"] == "revoked", "the owner is held to nothing"

    def test_what_is_refused_is_told(self, app: Flask, desk: Desk, make_desk: Callable[..., Desk], owner: Core) -> None:
        few = make_desk("admin:keys")
        few.ask("POST", "/api_keys", {"name": "more", "role": "admin"})
        few.ask("POST", f"/api_keys/{desk.key.id}/revoke", WHY)
        gate: Gate = app.extensions["tollgate"]
        gate.key_notes.close()
        told = [row for row in records(owner, few.key.id) if row.action == "api_key.refused"]
        assert {row.details["because"] for row in told} == {"grant_refused"}
        assert sum(row.details["times"] for row in told) == 2
        assert {row.actor for row in told} == {f"key:{few.key.id}"}
        at = {place for row in told for place in row.details["at"]}
        assert at == {"POST /admin/v1/api_keys", "POST /admin/v1/api_keys/<key>/revoke"}

    def test_people_in_clear_are_granted_by_those_who_may_see_them(
        self, make_desk: Callable[..., Desk], merchant: Merchant
    ) -> None:
        path, body = f"{home(merchant)}?mode=test", {"name": "x", "scopes": ["customers:*"]}
        assert code(make_desk("admin:keys").ask("POST", path, body)) == (403, "scope_missing")
        assert make_desk("admin:keys", "admin:reveal").ask("POST", path, body).status_code == 201
        usual = make_desk("admin:keys").ask("POST", path, {"name": "x"})
        assert "customers:reveal" not in usual.json["scopes"]

    def test_a_role_is_what_it_is_today(self, desk: Desk) -> None:
        made = desk.ask("POST", "/api_keys", {"name": "x", "role": "support"}).json
        assert made["scopes"] == sorted(ROLES["support"])
        assert (made["kind"], made["merchant"], made["mode"]) == ("admin", None, None)
        assert made["id"] in [one["id"] for one in desk.ask("GET", "/api_keys").json["data"]]

    def test_older_admin_keys_may_still_do_everything(self, owner: Core, desk: Desk) -> None:
        with owner.database.unscoped() as connection:
            older = sa.text("UPDATE api_keys SET scopes = '{admin:read,admin:write}' WHERE id = :id")
            connection.execute(older, {"id": desk.key.id})
        assert desk.ask("POST", "/api_keys", {"name": "x", "role": "admin"}).status_code == 201

    @pytest.mark.parametrize(
        "body",
        [
            {"name": "x"},
            {"name": "x", "scopes": ["admin:read"], "role": "viewer"},
            {"name": "x", "scopes": ["payments:read"]},
            {"name": "x", "scopes": ["admin:nothing"]},
            {"name": "x", "scopes": []},
            {"name": "x", "role": "chief"},
            {"name": "", "role": "viewer"},
            {"name": "two\nlines", "role": "viewer"},
            {"name": "4242424242424242", "role": "viewer"},
            {"name": "x", "role": "viewer", "days": 0},
        ],
    )
    def test_what_is_not_clear_is_refused(self, desk: Desk, body: dict[str, Any]) -> None:
        before = len(desk.ask("GET", "/api_keys").json["data"])
        answer = desk.ask("POST", "/api_keys", body)
        assert answer.status_code == 422, answer.json
        assert len(desk.ask("GET", "/api_keys").json["data"]) == before


def test_each_act_leaves_a_record(desk: Desk, merchant: Merchant, owner: Core) -> None:
    made = desk.ask("POST", f"{home(merchant)}?mode=test", {"name": "shop"}).json
    one = f"{home(merchant)}/{made['id']}"
    desk.ask("POST", f"{one}/rotate?mode=test", {"reason": "leaked"})
    desk.ask("POST", f"{one}/expire?mode=test", {"in_hours": 1, "reason": "sooner"})
    desk.ask("POST", f"{one}/revoke?mode=test", {"reason": "now"})
    told = records(owner, made["id"])
    assert [row.action for row in told] == [f"api_key.{verb}" for verb in ("created", "rotated", "expired", "revoked")]
    assert [row.details.get("reason") for row in told] == [None, "leaked", "sooner", "now"]
    assert {row.actor for row in told} == {f"key:{desk.key.id}"}
    assert all(row.request_id and row.from_address for row in told)
    assert (told[3].before["revoked_at"], told[3].after["revoked_at"] is None) == (None, False)
    assert made["key"].rpartition("_")[2] not in str(told)


def records(owner: Core, key_id: str) -> Sequence[Any]:
    with owner.database.unscoped() as connection:
        query = sa.text("SELECT * FROM audit_log WHERE subject_id = :subject ORDER BY number")
        return connection.execute(query, {"subject": number_of(key_id)}).all()


def test_the_owner_does_the_same_without_the_doors(owner: Core, merchant: Merchant, client: FlaskClient) -> None:
    by = key_grants.Granter("cli:ada", reason="test")
    made = api_keys.create(owner, kind="admin", name="x", scopes=["admin:*"], by=by)
    new = api_keys.rotate(owner, made.id, by, overlap=timedelta(0))
    assert opens(client, made.text, "/admin/v1/merchants") == 401
    assert opens(client, new.text, "/admin/v1/merchants") == 200
    assert api_keys.expire(owner, new.id, timedelta(hours=1), by)["state"] == "active"
    assert api_keys.revoke(owner, new.id, by)["state"] == "revoked"
    assert [row.action for row in records(owner, new.id)] == ["api_key.created", "api_key.expired", "api_key.revoked"]
    assert {row.actor for row in records(owner, made.id)} == {"cli:ada"}
    assert api_keys.revoke(owner, merchant.key.id, by)["mode"] == "test"
