"""One provider account frozen, with work for it by the hundreds: the others' payments do not notice."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.embedded import Embedded
from core.domain.identifiers import parse_id
from core.orchestration import accounts
from core.orchestration.in_flight import RETURNS
from core.persistence.database import Scope
from tests.support.waiting import wait_until
from tests.support.worker import WorkerProcess
from tests.support.world import World

#: Of the tests' whole provider call, in seconds; 30 in production.
DEADLINE = 3.0
#: What a call may end late by on a busy machine.
LATE = 2.0
#: Small, so that a hundred jobs are many times what fits.
THREADS = 30
WAITING = 120
#: Calls that are cut before the circuit opens, at the least.
CUT = 5
#: Payments of the others, one every so many seconds.
OTHERS, EVERY = 30, 0.1


@pytest.fixture(scope="module")
def worker(world: World, embedded: Embedded, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkerProcess]:
    directory: Path = tmp_path_factory.mktemp("frozen")
    settings: dict[str, Any] = {"provider_deadline": DEADLINE, "provider_connect_timeout": 1.0}
    settings |= {"executor_threads": THREADS, "lookup_delays": "1,2,3,4,5,6"}
    settings["poll_interval"] = 0.1  # this gate gives no hints
    made = WorkerProcess(world, directory, embedded.redis_url, **settings)
    yield made
    made.close()


@pytest.fixture(scope="module")
def other_key(world: World) -> str:
    """Of another merchant, with an account of its own at the same provider."""
    merchant = accounts.create_merchant(world.admin, "Another shop")
    world.add_account("stripe", Scope(merchant, "test"), "stripe-other")
    for name, secret in world.secrets.items():
        if not name.endswith(".webhook"):
            # What the providers would send says nothing here, and is a lot.
            world.sandboxes[name.partition("-")[0]].post("accounts", secret_key=secret)
    return world.make_key("test", merchant_id=merchant)


@pytest.mark.parametrize(
    "fault", [{"effect": "timeout_before"}, {"effect": "slow_body", "ms": 120_000}], ids=["frozen", "dripping"]
)
def test_a_frozen_account_holds_nobody_else_up(
    world: World, worker: WorkerProcess, other_key: str, fault: dict[str, Any]
) -> None:
    calls = len(worker.events("provider_call"))
    usual = _p95(world, _pay_others(world, other_key, OTHERS // 2))
    with world.fault("stripe", times=10**6, **fault):
        begun = time.monotonic()
        stuck = [world.create()["id"] for _ in range(WAITING)]
        wait_until(lambda: _kept_back(world, stuck), "more work than there are places, or an open circuit")
        others = _pay_others(world, other_key, OTHERS)
        # After so many the circuit opens, and no more are sent into the ice.
        wait_until(lambda: _known(world, stuck, "unknown") >= CUT, "calls to be cut", 15)
        lasted = time.monotonic() - begun
    took = _p95(world, others)
    # A busy machine is slow at both; without the bound they would wait for several deadlines.
    assert took < 1.0 + 2 * usual, f"others' payments took {took:.2f} s, and {usual:.2f} s without the frozen account"
    # A claim raises the fence: whoever finds no place must not be claimed again and again.
    claims = world.one("SELECT sum(fence) AS n FROM jobs WHERE payment_id = ANY(:ids)", ids=_ids(stuck))["n"]
    assert claims < 3 * WAITING + 1.5 * RETURNS * lasted
    wait_until(lambda: _open(world, stuck) == 0, "the frozen account's own payments", 120)
    durations = [one["duration_ms"] for one in worker.events("provider_call")[calls:]]
    assert DEADLINE * 900 < max(durations) < (DEADLINE + LATE) * 1000
    charged = [one["metadata"]["tollgate_payment"] for one in world.ledger("stripe")["charges"]]
    assert {payment: charged.count(payment) for payment in stuck} == dict.fromkeys(stuck, 1)


def _pay_others(world: World, other_key: str, count: int) -> list[str]:
    """Another merchant's at the same provider, and the same merchant's at another one, in turn, to their ends."""
    redirect = world.redirect_body(currency="NGN", provider="paystack")
    bodies = itertools.cycle([(other_key, world.payment_body()), (world.test_key, redirect)])
    begun, made = time.monotonic(), []
    for number, (key, body) in enumerate(itertools.islice(bodies, count)):
        wait_until(lambda at=begun + number * EVERY: time.monotonic() >= at, "the next payment's turn")  # type: ignore[misc]
        answer = world.post("/v1/payments", body, key=key)
        assert answer.status_code == 202, answer.text
        made.append(answer.json()["payment"]["id"])
    wait_until(lambda: _open(world, made) == 0, "the others' payments", 15)
    return made


def _ids(payments: list[str]) -> list[Any]:
    return [parse_id("payment", one) for one in payments]


def _kept_back(world: World, payments: list[str]) -> int:
    query = (
        "SELECT count(*) AS n FROM transactions WHERE payment_id = ANY(:ids) "
        "AND (send_count = 0 OR evidence ->> 'reason' = 'breaker_open')"
    )
    return int(world.one(query, ids=_ids(payments))["n"])


def _known(world: World, payments: list[str], status: str) -> int:
    query = "SELECT count(*) AS n FROM transactions WHERE payment_id = ANY(:ids) AND status = :status"
    return int(world.one(query, ids=_ids(payments), status=status)["n"])


def _open(world: World, payments: list[str]) -> int:
    """Jobs that have not ended."""
    query = "SELECT count(*) AS n FROM jobs WHERE payment_id = ANY(:ids) AND lane = 'payments' AND finished_at IS NULL"
    return int(world.one(query, ids=_ids(payments))["n"])


def _p95(world: World, payments: list[str]) -> float:
    """Seconds from acceptance to the provider's answer."""
    query = (
        "SELECT percentile_cont(0.95) WITHIN GROUP (ORDER BY extract(epoch FROM finished_at - created_at)) AS s "
        "FROM jobs WHERE payment_id = ANY(:ids) AND kind = 'create_payment'"
    )
    return float(world.one(query, ids=_ids(payments))["s"])
