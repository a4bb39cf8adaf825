"""Redis is emptied again and again under load, hints, rate limits and pacing with it: what was accepted ends once."""

from __future__ import annotations

import random
import threading
from fnmatch import fnmatch

import pytest
import redis
import requests

from core.invariants import check, compare_ledger
from core.persistence.database import Database, create_engine
from tests.faults.conftest import Patient
from tests.faults.load import Load
from tests.support.waiting import wait_until

#: How often it is emptied in one run, and how many payments are accepted in between at most.
TIMES, BETWEEN = 12, 12
#: Each was seen in Redis at the moment it was emptied: who counts a merchant's requests, who paces a provider's.
KINDS = ("tollgate:pace:*", "tollgate:limit:*")


@pytest.mark.parametrize("seed", [20261, 20262])
def test_emptied_at_any_moment(patient: Patient, seed: int) -> None:
    dice, seen = random.Random(seed), set[str]()
    client = redis.Redis.from_url(patient.service.redis_url)
    patient.sandbox(latency_ms=100)
    try:
        with Load(patient.service.api_url, patient.service.test_key, rate=25) as load:
            for _ in range(TIMES):
                wanted = len(load.payments) + dice.randint(1, BETWEEN)
                wait_until(lambda wanted=wanted: len(load.payments) >= wanted, f"the load to run ({seed=})")  # type: ignore[misc]
                threading.Event().wait(dice.uniform(0, 0.05))
                seen |= {kind for kind in KINDS for key in client.scan_iter() if fnmatch(key.decode(), kind)}
                client.flushall()
    finally:
        client.close()
        patient.sandbox(latency_ms=0)
    assert seen == set(KINDS)
    assert {status for status, _ in load.answers} == {202}
    patient.assert_ended_once(load.payments, 20)
    wait_until(lambda: patient.open_jobs() == 0, "every job to end", 20)
    assert broken(patient) == []


def broken(patient: Patient) -> list[object]:
    ledger = requests.get(f"{patient.service.sandbox_urls['stripe']}/_sandbox/ledger", timeout=30).json()
    engine = create_engine(patient.service.worker_database_url, 2)
    try:
        database = Database(engine)
        return [*check(database), *compare_ledger(database, "stripe", ledger, None, settled=True)]
    finally:
        engine.dispose()
