"""Who may pass: wrong, revoked, expired keys, keys of the other mode, missing scopes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from api.policy import policy_of
from core.orchestration import api_keys
from core.orchestration.context import Core
from tests.api.support import Merchant, code


def ask(client: FlaskClient, authorization: str | None, path: str = "/v1/payments") -> tuple[int, str]:
    headers = {} if authorization is None else {"Authorization": authorization}
    answer = client.get(path, headers=headers)
    assert answer.headers.get("WWW-Authenticate", "").startswith("Bearer") == (answer.status_code == 401)
    return code(answer)


def wrong_keys(text: str) -> dict[str, str | None]:
    stranger = api_keys.make_key("test").text
    prefix, _, secret = text.rpartition("_")
    other_secret = stranger.rpartition("_")[2]
    return {
        "none": None,
        "empty": "",
        "no scheme": text,
        "basic": f"Basic {text}",
        "bearer alone": "Bearer",
        "unknown": f"Bearer {stranger}",
        "changed": f"Bearer {prefix}_{secret[:-1]}{'a' if secret[-1] != 'a' else 'b'}",
        "wrong secret": f"Bearer {prefix}_{other_secret}",
        "other mode": f"Bearer {text.replace('tg_test', 'tg_live')}",
        "as admin": f"Bearer {text.replace('tg_test', 'tg_admin')}",
        "long": f"Bearer {text * 10}",
        "not ASCII": "Bearer tg_t\u00e9st_1_2",
    }


def test_wrong_keys_are_401(merchant: Merchant) -> None:
    for name, authorization in wrong_keys(merchant.key.text).items():
        assert ask(merchant.client, authorization) == (401, "unauthorized"), name


def test_right_id_with_another_secret_is_401(merchant: Merchant, owner: Core) -> None:
    """The checksum holds, the id exists, the secret does not match."""
    forged = api_keys.make_key("test")
    with owner.database.unscoped() as connection:
        statement = sa.text("UPDATE api_keys SET secret_hash = :hash WHERE id = :id")
        connection.execute(statement, {"hash": forged.secret_hash, "id": merchant.key.id})
    assert ask(merchant.client, f"Bearer {merchant.key.text}") == (401, "unauthorized")


def test_revoked_key_is_401_from_the_next_request_on(merchant: Merchant, owner: Core) -> None:
    assert merchant.get("/v1/payments").status_code == 200
    assert api_keys.revoke(owner, merchant.key.id)
    assert code(merchant.get("/v1/payments")) == (401, "unauthorized")


def test_expired_key_is_401(merchant: Merchant, owner: Core) -> None:
    made = api_keys.create(
        owner, kind="test", merchant_id=merchant.scope.merchant_id, name="old", lifetime=timedelta(seconds=-1)
    )
    assert ask(merchant.client, f"Bearer {made.text}") == (401, "unauthorized")


def test_live_key_sees_nothing_of_test_mode(merchant: Merchant, owner: Core) -> None:
    live = api_keys.create(owner, kind="live", merchant_id=merchant.scope.merchant_id, name="live")
    made = merchant.pay().json
    headers = {"Authorization": f"Bearer {live.text}"}
    for path in (f"/v1/payments/{made['payment']['id']}", made["job"]["url"]):
        assert code(merchant.client.get(path, headers=headers)) == (404, "not_found")
    assert merchant.client.get("/v1/payments", headers=headers).json["data"] == []


def test_live_text_over_a_test_row_is_401(merchant: Merchant, owner: Core) -> None:
    """A key whose row says another mode than its text is no key, even if the hash holds."""
    live = api_keys.create(owner, kind="live", merchant_id=merchant.scope.merchant_id, name="live")
    with owner.database.unscoped() as connection:
        connection.execute(sa.text("UPDATE api_keys SET mode = 'test' WHERE id = :id"), {"id": live.id})
    assert ask(merchant.client, f"Bearer {live.text}") == (401, "unauthorized")


def test_doors_take_their_own_kind_of_key(merchant: Merchant, owner: Core) -> None:
    admin = api_keys.create(owner, kind="admin", name="operator")
    assert ask(merchant.client, f"Bearer {admin.text}") == (403, "key_kind")
    assert ask(merchant.client, f"Bearer {merchant.key.text}", "/admin/v1/merchants") == (403, "key_kind")


def test_every_route_demands_its_scope(
    app: Flask, make_merchant: Callable[..., Merchant], owner: Core, client: FlaskClient
) -> None:
    """Walks all routes with a key that has every scope but the one a route names."""
    merchant = make_merchant()
    walked = 0
    for rule in app.url_map.iter_rules():
        policy = policy_of(app.view_functions[rule.endpoint])
        assert policy is not None, rule
        if policy.door in ("public", "person"):  # people's pages: tests/dashboard walks those
            continue
        known = api_keys.MERCHANT_SCOPES if policy.door == "merchant" else api_keys.ADMIN_SCOPES
        kind: api_keys.Kind = "test" if policy.door == "merchant" else "admin"
        tenant = merchant.scope.merchant_id if policy.door == "merchant" else None
        key = api_keys.create(owner, kind=kind, merchant_id=tenant, name="less", scopes=known - {policy.scope})
        method = next(iter((rule.methods or set()) - {"HEAD", "OPTIONS"}))
        path = rule.rule.replace("<id>", "x")
        headers = {"Authorization": f"Bearer {key.text}"}
        answer = client.open(path, method=method, headers=headers, environ_overrides={"CONTENT_LENGTH": "0"})
        assert code(answer) == (403, "scope_missing"), rule
        assert policy.scope in known
        walked += 1
    assert walked >= 27


def test_only_the_hash_is_stored(merchant: Merchant, owner: Core) -> None:
    with owner.database.unscoped() as connection:
        row = connection.execute(sa.text("SELECT k::text FROM api_keys k WHERE id = :id"), {"id": merchant.key.id})
        assert merchant.key.text.rpartition("_")[2] not in row.scalar_one()
