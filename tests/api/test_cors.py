"""No other origin's page may read the API, unless it is named; and the headers that every answer carries."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from core.environment import WrongSettings, read
from core.settings import Settings
from tests.api.support import Merchant, code

SHOP = "https://shop.example"


def allowed(answer: TestResponse) -> list[str]:
    return [name for name, _ in answer.headers if name.startswith("Access-Control-")]


def ask_first(client: FlaskClient, path: str, origin: str = SHOP) -> TestResponse:
    headers = {"Origin": origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x"}
    return client.options(path, headers=headers)


def test_nobody_by_default(client: FlaskClient, merchant: Merchant) -> None:
    assert code(ask_first(client, "/v1/payments")) == (405, "method_not_allowed")
    assert allowed(ask_first(client, "/v1/payments")) == []
    assert allowed(merchant.get("/v1/payments", Origin=SHOP)) == []


def test_who_is_named_and_no_other(make_app: Callable[..., Flask], merchant: Merchant) -> None:
    client = make_app(cors_origins=f"{SHOP},http://localhost:3000").test_client()
    first = ask_first(client, "/v1/payments")
    assert first.status_code == 204
    assert first.headers["Access-Control-Allow-Origin"] == SHOP
    assert "Idempotency-Key" in first.headers["Access-Control-Allow-Headers"]
    answer = client.get("/v1/payments", headers=merchant.headers(Origin=SHOP))
    assert answer.headers["Access-Control-Allow-Origin"] == SHOP
    assert "Origin" in answer.headers["Vary"]
    assert "Access-Control-Allow-Credentials" not in answer.headers
    for other in ("https://shop.example.evil", "https://evil.shop.example", "http://shop.example", "null", ""):
        assert allowed(ask_first(client, "/v1/payments", other)) == []
        answer = client.get("/v1/payments", headers=merchant.headers(Origin=other))
        assert allowed(answer) == []
        assert "Origin" in answer.headers["Vary"]


def test_a_refusal_can_be_read_too(make_app: Callable[..., Flask]) -> None:
    answer = make_app(cors_origins=SHOP).test_client().get("/v1/payments", headers={"Origin": SHOP})
    assert code(answer) == (401, "unauthorized")
    assert answer.headers["Access-Control-Allow-Origin"] == SHOP


@pytest.mark.parametrize("path", ["/dashboard", "/dashboard/login", "/webhooks/stripe/acc_x", "/metrics", "/docs"])
def test_what_is_no_api_answers_no_other_origin(make_app: Callable[..., Flask], path: str) -> None:
    client = make_app(cors_origins=SHOP).test_client()
    assert allowed(ask_first(client, path)) == []
    assert allowed(client.get(path, headers={"Origin": SHOP})) == []


@pytest.mark.parametrize(
    "text",
    ["*", "null", "shop.example", "https://shop.example/", "https://*.shop.example", "http://shop.example",
     "https://shop.example:443", "https://Shop.example", "https://shop.example:x", "https://a@shop.example", "a,b"],
)  # fmt: skip
def test_what_browsers_do_not_write_is_refused(text: str) -> None:
    with pytest.raises(WrongSettings, match="TOLLGATE_CORS_ORIGINS: "):
        read(Settings, {"DATABASE_URL": "postgresql://a:b@127.0.0.1/c", "TOLLGATE_CORS_ORIGINS": text})


def test_every_answer_says_what_a_browser_may_do_with_it(client: FlaskClient, merchant: Merchant) -> None:
    answers = [client.get("/healthz"), client.get("/nothing"), client.post("/webhooks/stripe/acc_x", data=b"{}")]
    for answer in (*answers, merchant.get("/v1/payments"), client.get("/v1/payments"), merchant.pay(amount=0)):
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["Permissions-Policy"].startswith("camera=()")
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert answer.headers["Cache-Control"] == "no-store"
    assert "no-store" not in client.get("/openapi.json").headers.get("Cache-Control", "")
