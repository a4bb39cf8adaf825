"""Limits and outages: too many requests, Redis away, Postgres away."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from uuid import uuid4

import pytest
import redis
from flask import Flask
from hypothesis import given, settings
from hypothesis import strategies as st

from api.app import build_app
from api.buckets import OwnBuckets, SharedBuckets, quota
from api.limits import RateLimits
from cli.embedded import Embedded
from core.domain.identifiers import public_id
from core.orchestration import api_keys
from core.orchestration.api_keys import KeyHolder
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
    assert 28_000 < int(answer.headers["Retry-After"]) <= 28_800
    assert answer.headers["RateLimit"].startswith('"key";r=0;t=')


def test_every_answer_to_a_known_key_tells_of_its_limits(make_app: Callable[..., Flask], merchant: Merchant) -> None:
    client = make_app(rate_limit="5/day", merchant_rate_limit="9/hour,6", route_rate_limit="4/day").test_client()
    policy = '"key";q=5;w=86400, "merchant";q=6;w=2400, "route";q=4;w=86400'
    told = []
    for path in ("/v1/payments", "/v1/payments/nothing", "/admin/v1/merchants", "/v1/refunds"):
        answer = client.get(path, headers=merchant.headers())
        told.append((answer.status_code, answer.headers["RateLimit"].partition(";t=")[0]))
        assert answer.headers["RateLimit-Policy"] == policy
    # The limit that ends first: a route's own while it is the tightest, then the key's.
    assert told == [(200, '"route";r=3'), (404, '"key";r=3'), (403, '"key";r=2'), (200, '"key";r=1')]
    assert "RateLimit" not in client.get("/v1/payments", headers={"Authorization": "Bearer tg_test_x"}).headers
    assert "RateLimit" not in client.get("/healthz").headers


def test_key_limit_is_a_key_s_own(make_app: Callable[..., Flask], merchant: Merchant, owner: Core) -> None:
    app = make_app(rate_limit="1/day", merchant_rate_limit="100/day", route_rate_limit="100/day")
    key = api_keys.create(owner, kind="test", merchant_id=merchant.scope.merchant_id, name="second")
    second = replace(merchant, key=key)
    assert [ask(app, merchant), ask(app, merchant), ask(app, second)] == [200, 429, 200]


def test_a_merchant_s_keys_share_one_limit_in_each_mode(
    make_app: Callable[..., Flask], make_merchant: Callable[..., Merchant], merchant: Merchant, owner: Core
) -> None:
    app = make_app(rate_limit="2/day", merchant_rate_limit="3/day", route_rate_limit="100/day")
    keys = [
        api_keys.create(owner, kind=mode, merchant_id=merchant.scope.merchant_id, name=mode)
        for mode in ("test", "live")
    ]
    second, live = (replace(merchant, key=key) for key in keys)
    assert [ask(app, one) for one in (merchant, merchant, second, second)] == [200, 200, 200, 429]
    answer = app.test_client().get("/v1/payments", headers=second.headers())
    assert "this merchant's keys may make 3 requests" in answer.json["detail"]
    assert ask(app, live) == 200
    assert ask(app, make_merchant()) == 200


def test_one_route_asked_too_often_leaves_the_others(make_app: Callable[..., Flask], merchant: Merchant) -> None:
    client = make_app(rate_limit="100/day", route_rate_limit="2/day").test_client()
    asked = ["/v1/payments", "/v1/payments?limit=1", "/v1/payments?limit=2", "/v1/refunds"]
    assert [client.get(path, headers=merchant.headers()).status_code for path in asked] == [200, 200, 429, 200]


def test_a_burst_is_let_through_and_a_rate_holds_in_the_long_run() -> None:
    now = [0.0]
    buckets = OwnBuckets([quota(10, 1, 30)], lambda: now[0])
    taken = [buckets.take("group", ["one"]) for _ in range(31)]
    assert [bool(one.wait) for one in taken] == [False] * 30 + [True]
    assert taken[-1].wait == pytest.approx(100_000)
    now[0] += 1
    assert [bool(buckets.take("group", ["one"]).wait) for _ in range(11)] == [False] * 10 + [True]
    now[0] += 60
    assert [bool(buckets.take("group", ["one"]).wait) for _ in range(31)] == [False] * 30 + [True]


def test_what_one_limit_refuses_takes_nothing_from_the_others() -> None:
    buckets = OwnBuckets([quota(2, 60), quota(3, 60)], lambda: 0.0)
    for _ in range(5):
        buckets.take("group", ["narrow", "wide"])
    assert [bool(buckets.take("group", ["other", "wide"]).wait) for _ in range(2)] == [False, True]


def test_buckets_that_are_whole_are_let_go_of() -> None:
    now = [0.0]
    buckets = OwnBuckets([quota(1, 1)], lambda: now[0])
    for each in range(50_000):
        now[0] += 0.01
        buckets.take("group", [str(each)])
    assert len(buckets._whole) < 30_000


@settings(max_examples=60, deadline=None)
@given(steps=st.lists(st.tuples(st.integers(0, 3), st.floats(0, 0.4)), max_size=60))
def test_here_and_in_redis_the_same_is_let_through(embedded: Embedded, steps: list[tuple[int, float]]) -> None:
    """The script asked with a time of ours instead of the server's."""
    quotas = [quota(5, 1, 3), quota(7, 1)]
    now = [1_700_000_000.0]
    own = OwnBuckets(quotas, lambda: now[0])
    with redis.Redis.from_url(embedded.redis_url) as client:
        shared = SharedBuckets(client, quotas)
        shared._script = shared._script.replace("redis.call('TIME')", "{ARGV[3], ARGV[4]}").replace("#ARGV", "2")
        shared._script = shared._script.replace("unpack(ARGV)", "ARGV[1], ARGV[2]")
        shared._sha = "0" * 40
        group = f"test:{uuid4()}"
        for which, pause in steps:
            now[0] += pause
            whole = int(now[0])
            names = [f"narrow{which}", "wide"]
            here = own.take(group, names)
            there = shared.take(group, [*names, str(whole), f"{(now[0] - whole) * 1e6:.0f}"])
            assert bool(here.wait) == bool(there.wait) or max(here.wait, there.wait) < 5
            assert here.ahead == pytest.approx(there.ahead, abs=5)
        client.delete(group)


def test_a_clock_that_is_set_back_locks_nobody_out(embedded: Embedded) -> None:
    with redis.Redis.from_url(embedded.redis_url) as client:
        group = f"test:{uuid4()}"
        client.hset(group, "one", 9_000_000_000_000_000)
        taken = SharedBuckets(client, [quota(10, 1)]).take(group, ["one"])
        assert 0 < taken.wait <= 100_000
        client.delete(group)


def test_limits_cost_one_trip_and_leave_nothing_behind(embedded: Embedded, merchant: Merchant) -> None:
    limits = RateLimits(settings_for("postgresql://a:b@127.0.0.1/c", REDIS_URL=embedded.redis_url))
    holder = KeyHolder("key", "merchant", merchant.scope, frozenset())
    limits.spend(holder, "payments.list")
    with redis.Redis.from_url(embedded.redis_url) as client:
        before = client.info("stats")["total_commands_processed"]
        for _ in range(10):
            limits.spend(holder, "payments.list")
        # Ours, the INFO itself, and the five that a script calls are counted; more trips would show as more.
        commands = client.info("commandstats")
        assert client.info("stats")["total_commands_processed"] - before <= 10 * 5 + 2
        assert commands["cmdstat_evalsha"]["calls"] >= 10
        life = client.pttl(f"tollgate:limit:{merchant.scope.merchant_id}:test")
        assert 0 < life < 10_000


def test_processes_share_the_count_in_redis(
    make_app: Callable[..., Flask], merchant: Merchant, embedded: Embedded
) -> None:
    one, two = (make_app(rate_limit="3/day", REDIS_URL=embedded.redis_url) for _ in range(2))
    assert [ask(one, merchant), ask(two, merchant), ask(one, merchant), ask(two, merchant)] == [200, 200, 200, 429]


def test_what_providers_tell_is_never_limited(make_app: Callable[..., Flask], merchant: Merchant) -> None:
    client = make_app(rate_limit="1/day", merchant_rate_limit="1/day").test_client()
    address = f"/webhooks/stripe/{public_id('provider_account', merchant.accounts['stripe'])}"
    assert {client.post(address, data=b"{}").status_code for _ in range(30)} == {401}


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
