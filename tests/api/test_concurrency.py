"""One merchant's requests leave threads for the others, a rush waits a moment, and no place is ever lost."""

from __future__ import annotations

import threading
from collections.abc import Callable
from uuid import UUID, uuid4

import pytest
from flask import Flask

from api import concurrency
from api.app import build_app
from api.concurrency import Places
from api.state import gate
from core.orchestration.context import Core
from tests.api.support import Merchant, code, payment
from tests.support.waiting import wait_until


def meet(places: Places, *merchants: UUID) -> None:
    """They have asked for something a moment ago."""
    for merchant in merchants:
        places.enter(merchant)
        places.leave(merchant)


def test_who_is_alone_has_every_thread_until_a_neighbour_comes() -> None:
    now = [0.0]
    places, one, other = Places(8, lambda: now[0]), uuid4(), uuid4()
    assert [places.enter(one) for _ in range(9)] == [True] * 9
    assert places.enter(other)
    assert not places.enter(one)
    places.leave(other)
    for _ in range(9):
        places.leave(one)
    now[0] += concurrency.NEIGHBOURS
    meet(places, one)
    now[0] += concurrency.NEIGHBOURS
    assert [places.enter(one) for _ in range(9)] == [True] * 9


def test_a_merchant_has_three_quarters_and_another_the_rest() -> None:
    places = Places(8)
    one, other = uuid4(), uuid4()
    meet(places, one, other)
    assert [places.enter(one) for _ in range(7)] == [True] * 6 + [False]
    assert places.enter(other)
    places.leave(one)
    assert places.enter(one)


@pytest.mark.parametrize(("threads", "most"), [(1, 1), (2, 1), (4, 3), (8, 6), (64, 48)])
def test_somebody_else_finds_a_thread_wherever_there_are_two(threads: int, most: int) -> None:
    assert Places(threads).most == most


def test_a_rush_waits_for_its_own_and_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(concurrency, "PATIENCE", 30.0)
    places, merchant = Places(1), uuid4()
    meet(places, uuid4(), merchant)
    assert places.enter(merchant)
    entered: list[bool] = []
    waiting = threading.Thread(target=lambda: entered.append(places.enter(merchant)))
    waiting.start()
    wait_until(lambda: places._changed._waiters, "it to wait")  # type: ignore[attr-defined]
    places.leave(merchant)
    waiting.join(10)
    assert entered == [True]


def test_who_is_stuck_holds_no_thread_by_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    places, merchant = Places(1, lambda: now[0]), uuid4()
    meet(places, uuid4(), merchant)
    assert places.enter(merchant)
    assert not places.enter(merchant)
    monkeypatch.setattr(places._changed, "wait_for", lambda *_: pytest.fail("it waited"))
    assert not places.enter(merchant)
    monkeypatch.undo()
    now[0] += concurrency.STUCK
    assert not places.enter(merchant)
    places.leave(merchant)
    assert places.enter(merchant)


def test_every_way_out_gives_the_place_back(make_app: Callable[..., Flask], merchant: Merchant, core: Core) -> None:
    app = make_app(rate_limit="20/day")
    client, places = app.test_client(), None
    with app.app_context():
        places = gate().places
    for method, path, body in (
        ("get", "/v1/payments", None),
        ("get", "/v1/payments/nothing", None),
        ("post", "/v1/payments", payment()),
        ("post", "/v1/payments", {"amount": 0}),
        ("get", "/admin/v1/merchants", None),
        ("get", "/v1/nothing", None),
    ):
        headers = merchant.headers(Idempotency_Key=str(uuid4()))
        client.open(path, method=method, json=body, headers=headers)
        assert places.taken(merchant.scope.merchant_id) == 0, path
    while client.get("/v1/payments", headers=merchant.headers()).status_code != 429:
        pass
    assert places.taken(merchant.scope.merchant_id) == 0


def test_a_fault_of_ours_gives_it_back_too(core: Core, merchant: Merchant, monkeypatch: pytest.MonkeyPatch) -> None:
    app = build_app(core)
    monkeypatch.setattr("api.payments.reading.list_payments", lambda *_, **__: 1 / 0)
    assert app.test_client().get("/v1/payments", headers=merchant.headers()).status_code == 500
    with app.app_context():
        assert gate().places.taken(merchant.scope.merchant_id) == 0


def test_one_too_many_is_429(make_app: Callable[..., Flask], make_merchant: Callable[..., Merchant]) -> None:
    app = make_app(api_threads=1)
    merchant, other = make_merchant(), make_merchant()
    with app.app_context():
        places = gate().places
    meet(places, other.scope.merchant_id, merchant.scope.merchant_id)
    assert places.enter(merchant.scope.merchant_id)
    answer = app.test_client().get("/v1/payments", headers=merchant.headers())
    assert code(answer) == (429, "rate_limited")
    assert answer.headers["Retry-After"] == "1"
    assert "under way" in answer.json["detail"]
    assert app.test_client().get("/v1/payments", headers=other.headers()).status_code == 200
    places.leave(merchant.scope.merchant_id)
    assert app.test_client().get("/v1/payments", headers=merchant.headers()).status_code == 200
