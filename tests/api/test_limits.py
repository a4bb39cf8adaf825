"""Limits and outages: too many requests, Redis away, Postgres away."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from flask import Flask

from api.app import build_app
from cli.embedded import Embedded
from core.orchestration.context import Core
from core.persistence.database import Database, create_engine
from tests.api.support import Merchant, code, payment, settings_for


def ask(app: Flask, merchant: Merchant) -> int:
    return app.test_client().get("/v1/payments", headers=merchant.headers()).status_code


def test_too_many_requests_are_429_with_a_wait(make_app: Callable[..., Flask], merchant: Merchant) -> None:
    app = make_app(rate_limit="3/day")
    assert [ask(app, merchant) for _ in range(3)] == [200] * 3
    answer = app.test_client().get("/v1/payments", headers=merchant.headers())
    assert code(answer) == (429, "rate_limited")
    assert int(answer.headers["Retry-After"]) >= 1
    assert answer.headers["RateLimit-Policy"] == '"key";q=3;w=86400'


def test_limit_is_a_key_s_own(make_app: Callable[..., Flask], make_merchant: Callable[..., Merchant]) -> None:
    app = make_app(rate_limit="1/day")
    first, second = make_merchant(), make_merchant()
    assert [ask(app, first), ask(app, first), ask(app, second)] == [200, 429, 200]


def test_processes_share_the_count_in_redis(
    make_app: Callable[..., Flask], merchant: Merchant, embedded: Embedded
) -> None:
    one, two = (make_app(rate_limit="3/day", REDIS_URL=embedded.redis_url) for _ in range(2))
    assert [ask(one, merchant), ask(two, merchant), ask(one, merchant), ask(two, merchant)] == [200, 200, 200, 429]


def test_count_goes_on_in_process_while_redis_is_away(make_app: Callable[..., Flask], merchant: Merchant) -> None:
    """Without adding a time-out to every request."""
    app = make_app(rate_limit="20/day")
    started = time.monotonic()
    assert [ask(app, merchant) for _ in range(21)] == [200] * 20 + [429]
    assert time.monotonic() - started < 5


def test_without_redis_the_gate_is_degraded_but_ready(app: Flask) -> None:
    answer = app.test_client().get("/readyz")
    assert answer.status_code == 200
    assert answer.json["status"] == "degraded"
    assert answer.json["dependencies"]["postgres"] == {"status": "ok", "reason": None}
    assert "Redis" in answer.json["dependencies"]["redis"]["reason"]


def test_with_both_it_is_ready(make_app: Callable[..., Flask], embedded: Embedded) -> None:
    answer = make_app(REDIS_URL=embedded.redis_url).test_client().get("/readyz")
    assert (answer.status_code, answer.json["status"]) == (200, "ok")


@pytest.fixture
def stranded(core: Core) -> Iterator[Flask]:
    """A gate whose database is away."""
    url = "postgresql://nobody@127.0.0.1:1/nothing"
    engine = create_engine(url, 1, "tests")
    yield build_app(replace(core, settings=settings_for(url), database=Database(engine)))
    engine.dispose()


def test_without_postgres_requests_are_503_with_a_wait(stranded: Flask, merchant: Merchant) -> None:
    client = stranded.test_client()
    answer = client.post("/v1/payments", json=payment(), headers=merchant.headers(Idempotency_Key="a"))
    assert code(answer) == (503, "unavailable")
    assert int(answer.headers["Retry-After"]) >= 1
    hook = client.post("/webhooks/stripe/acc_01hzzzzzzzzzzzzzzzzzzzzzzz", data=b"{}")
    assert code(hook) == (503, "unavailable")
    assert client.get("/healthz").status_code == 200
    ready = client.get("/readyz")
    assert (ready.status_code, ready.json["status"]) == (503, "unavailable")
    assert ready.json["dependencies"]["postgres"]["reason"]


def test_our_own_faults_are_500_without_a_word_of_them(
    core: Core, merchant: Merchant, capfd: pytest.CaptureFixture[str]
) -> None:
    class Broken:
        def __getattr__(self, name: str) -> None:
            raise ZeroDivisionError("secret 4242")

    app = build_app(replace(core, database=Broken()))  # type: ignore[arg-type]
    answer = app.test_client().get("/v1/payments", headers=merchant.headers())
    assert code(answer) == (500, "internal_error")
    assert "ZeroDivision" not in answer.get_data(as_text=True)
    logged = capfd.readouterr().err
    assert "ZeroDivisionError" in logged
    assert answer.headers["X-Request-Id"] in logged
    assert "secret 4242" not in answer.get_data(as_text=True) + logged


def test_metrics_count_by_route_and_not_by_address(app: Flask, merchant: Merchant) -> None:
    merchant.get("/v1/payments/pay_01hzzzzzzzzzzzzzzzzzzzzzzz")
    text = app.test_client().get("/metrics").get_data(as_text=True)
    assert 'tollgate_requests_total{method="GET",route="/v1/payments/<id>",status="404"}' in text
    assert "pay_01hzzzzzzzzzzzzzzzzzzzzzzz" not in text
