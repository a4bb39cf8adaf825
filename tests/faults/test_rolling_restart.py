"""Api servers, workers and beat restarted one after the other under load: no request is lost, nothing waits long."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pytest
import requests

from tests.faults.balancer import Balancer
from tests.faults.conftest import Patient, as_uuid
from tests.faults.instances import LISTENERS, Instance, listeners
from tests.faults.load import BODY, Load
from tests.support.waiting import wait_until

#: A job whose worker was told to stop before it was taken waits at most so long for another.
PICKED_UP_WITHIN = 3.0
#: Long enough for the balancer to see red ten times.
DRAIN = 1.0


class Started:
    """Makes instances and ends those that are left."""

    def __init__(self, patient: Patient, directory: Path) -> None:
        self._patient, self._directory = patient, directory
        self._made: list[Instance] = []

    def __call__(self, drain: float, port: int = 0) -> Instance:
        directory = self._directory / f"instance-{len(self._made)}"
        self._made.append(Instance(self._patient.service, directory, drain=drain, port=port))
        return self._made[-1]

    def close(self) -> None:
        for one in self._made:
            one.close()


@pytest.fixture
def start(patient: Patient, tmp_path: Path) -> Iterator[Started]:
    made = Started(patient, tmp_path)
    yield made
    made.close()


def test_api_servers_restarted_in_turn_behind_a_balancer(patient: Patient, start: Started) -> None:
    instances = [start(DRAIN), start(DRAIN)]
    ports = [one.port for one in instances]
    balancers = [Balancer(ports, keep_alive=True), Balancer(ports, keep_alive=False)]
    try:
        for balancer in balancers:
            wait_until(lambda all_of=balancer.ready: all(all_of.values()), "the balancers to see green")  # type: ignore[misc]
        key = patient.service.test_key
        kept, fresh = Load(balancers[0].url, key, 10, keep_alive=True), Load(balancers[1].url, key, 10)
        with kept, fresh:
            for instance in instances:
                _runs_on([kept, fresh])
                instance.tell_to_stop()
                instance.wait_stopped(DRAIN + 10)
                _runs_on([kept, fresh])
                instance.start()
                for balancer in balancers:
                    green = (balancer.ready, instance.port)
                    wait_until(lambda of=green: of[0][of[1]], "the balancers to see green again")  # type: ignore[misc]
            _runs_on([kept, fresh])
    finally:
        for balancer in balancers:
            balancer.close()
    assert [one for balancer in balancers for one in balancer.broken] == []
    for load in (kept, fresh):
        assert {status for status, _ in load.answers} == {202}
        assert len(set(load.payments)) == len(load.answers) > 50
    patient.assert_ended_once([*kept.payments, *fresh.payments], 30)


def _runs_on(loads: list[Load]) -> None:
    before = [len(load.payments) for load in loads]
    wait_until(lambda: all(len(one.payments) >= n + 10 for one, n in zip(loads, before, strict=True)), "the load")


def test_told_to_stop_it_turns_red_serves_on_and_answers_who_waits(patient: Patient, start: Started) -> None:
    instance, key = start(60.0), patient.service.test_key
    patient.sandbox(latency_ms=4000)
    try:
        with ThreadPoolExecutor(1) as pool:
            begun = time.monotonic()
            waiting = pool.submit(_accept, instance.url, key, 30)
            running = "SELECT 1 FROM jobs WHERE status = 'running' AND lane = 'payments'"
            wait_until(lambda: patient.query(running) and time.monotonic() > begun + 1, "the request to wait")
            assert not waiting.done()
            instance.tell_to_stop()
            answer = waiting.result(3)
    finally:
        patient.sandbox(latency_ms=0)
    assert (answer.status_code, answer.json()["job"]["status"]) == (202, "running")
    ready = requests.get(f"{instance.url}/readyz", timeout=5)
    assert (ready.status_code, ready.json()["status"]) == (503, "draining")
    assert ready.headers["Connection"] == "close", "a kept-alive connection would be closed under the next request"
    assert requests.get(f"{instance.url}/healthz", timeout=5).status_code == 200
    later = _accept(instance.url, key, 30)
    assert later.status_code == 202, "and nobody waits from now on"
    instance.tell_to_stop()
    instance.wait_stopped(10)
    patient.assert_ended_once([one.json()["payment"]["id"] for one in (answer, later)], 30)


def _accept(url: str, key: str, seconds: int) -> requests.Response:
    headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": str(uuid4()), "Prefer": f"wait={seconds}"}
    return requests.post(f"{url}/v1/payments", json=BODY, headers=headers, timeout=40)


def test_a_server_takes_over_the_port_of_another(start: Started) -> None:
    first = start(0.5)
    second = start(0.5, first.port)
    assert listeners(first.port) == 2 * LISTENERS
    first.tell_to_stop()
    answers = set()

    def stopped() -> bool:
        # Each over a connection of its own; while both listen the kernel chooses.
        answers.add(requests.get(f"{first.url}/healthz", timeout=5).status_code)
        return not first.child.running

    wait_until(stopped, "the first to stop", 10, every=0.01)
    assert requests.get(f"{second.url}/readyz", timeout=5).status_code == 200
    assert answers == {200}


def test_workers_and_beat_restarted_in_turn(patient: Patient) -> None:
    names = [name for name in patient.service.children if name.startswith("worker") or name == "beat"]
    losses, ages, reports = patient.lease_losses(), [], len(patient.reports)
    patient.sandbox(latency_ms=300)
    watched = threading.Event()

    def watch() -> None:
        while not watched.wait(0.1):
            ages.append(patient.oldest_waiting())

    watcher = threading.Thread(target=watch, daemon=True)
    try:
        with Load(patient.service.api_url, patient.service.test_key, rate=15) as load:
            watcher.start()
            for name in names:
                _runs_on([load])
                patient.service.restart(name)
            _runs_on([load])
    finally:
        watched.set()
        watcher.join(10)
        patient.sandbox(latency_ms=0)
    assert {status for status, _ in load.answers} == {202}
    patient.assert_ended_once(load.payments, 30)
    assert max(ages) < PICKED_UP_WITHIN, f"the oldest waiting job was {max(ages):.2f} s old"
    assert patient.lease_losses() == losses
    assert [event for event, _ in patient.reports[reports:]] == [], "nothing died by itself"
    ids = [str(as_uuid(payment)) for payment in load.payments]
    unsure = "SELECT 1 FROM transactions WHERE payment_id = ANY(%s::uuid[]) AND (send_count <> 1 OR lookup_count <> 0)"
    assert patient.query(unsure, ids) == [], "no call was cut short"
