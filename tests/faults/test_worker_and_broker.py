"""Killed workers, an emptied Redis, a stopped one, one that restarts again and again: every payment ends once."""

from __future__ import annotations

import signal
import time

from tests.faults.conftest import Patient
from tests.faults.load import Load, send
from tests.support.waiting import wait_until

#: A dead worker's jobs are taken over within 10 s; the call itself then takes its time.
TAKEN_OVER_WITHIN = 10.0
#: Without a broker, pick-up slows to under this.
PICKED_UP_WITHIN = 3.0


def test_a_worker_killed_in_the_middle_of_its_calls(patient: Patient) -> None:
    patient.sandbox(latency_ms=1500)
    try:
        sent = [send(patient.service.api_url, patient.service.test_key) for _ in range(20)]
        payments = [payment for _, payment in sent if payment is not None]
        assert len(payments) == 20

        def calling() -> bool:
            rows = patient.query("SELECT DISTINCT worker FROM jobs WHERE status = 'running' AND lane = 'payments'")
            return len(rows) >= 1

        wait_until(calling, "calls to be under way")
        for name in [name for name in patient.service.children if name.startswith("worker")]:
            patient.service.kill(name, signal.SIGKILL)
        killed = time.monotonic()
        held = patient.query("SELECT count(*) AS n FROM jobs WHERE status = 'running' AND lane = 'payments'")[0]["n"]
        assert held > 0, "no job was in a dead worker's hands"

        def taken_over() -> bool:
            return not patient.query(
                "SELECT 1 FROM jobs WHERE status = 'running' AND lease_until < app_now() "
                "OR (status = 'running' AND lease_losses = 0 AND started_at < app_now() - %s * interval '1 s')",
                time.monotonic() - killed,
            )

        wait_until(taken_over, "the dead workers' jobs to be taken over", TAKEN_OVER_WITHIN)
        wait_until(lambda: patient.open_jobs() == 0, "every job to end", 30)
        losses = patient.query("SELECT count(*) AS n FROM jobs WHERE lease_losses > 0")
        assert losses[0]["n"] >= 1
    finally:
        patient.sandbox(latency_ms=0)
    patient.assert_ended_once(payments, 60)


def test_redis_emptied_while_jobs_wait(patient: Patient) -> None:
    workers = [name for name in patient.service.children if name.startswith("worker")]
    for name in workers:
        patient.service.kill(name, signal.SIGSTOP)
    try:
        sent = [send(patient.service.api_url, patient.service.test_key) for _ in range(50)]
        payments = [payment for _, payment in sent if payment is not None]
        assert len(payments) == 50
        patient.service.flush_redis()
        assert patient.open_count(payments) == 50
    finally:
        for name in workers:
            patient.service.kill(name, signal.SIGCONT)
    patient.assert_ended_once(payments, 30)


def test_redis_away_for_a_minute_under_load(patient: Patient) -> None:
    ages: list[float] = []
    with Load(patient.service.api_url, patient.service.test_key, rate=20) as load:
        wait_until(lambda: len(load.payments) >= 20, "the load to run")
        patient.service.stop_child("redis")
        away_until = time.monotonic() + 60
        try:

            def minute_over() -> bool:
                ages.append(patient.oldest_waiting())
                return time.monotonic() > away_until

            wait_until(minute_over, "the minute to pass", 90, every=0.25)
        finally:
            patient.service.start_child("redis")
        after = len(load.payments)
        wait_until(lambda: len(load.payments) >= after + 40, "the load to go on")
    assert {status for status, _ in load.answers} == {202}
    assert len(load.payments) > 60 * 20
    assert max(ages) < PICKED_UP_WITHIN, f"the oldest waiting job was {max(ages):.2f} s old"
    patient.assert_ended_once(load.payments, 30)


def test_redis_restarted_again_and_again(patient: Patient) -> None:
    workers = [name for name in patient.service.children if name.startswith("worker")]
    with Load(patient.service.api_url, patient.service.test_key, rate=20) as load:
        for _ in range(25):
            before = len(load.payments)
            patient.service.restart("redis")
            wait_until(lambda before=before: len(load.payments) >= before + 10, "payments between restarts")  # type: ignore[misc]
    patient.assert_ended_once(load.payments, 30)

    assert {status for status, _ in load.answers} == {202}
    assert set(workers) <= set(patient.service.children), "a worker was lost for good"
    _every_worker_consumes(patient, len(workers))


def _every_worker_consumes(patient: Patient, count: int) -> None:
    """Hints, not only polling, reach each worker again: a payment is taken much faster than polling would."""

    def taken_by_all() -> bool:
        for _ in range(10):
            send(patient.service.api_url, patient.service.test_key)
        rows = patient.query(
            "SELECT count(*) AS n FROM jobs WHERE kind = 'create_payment' AND "
            "created_at > app_now() - interval '5 seconds' AND "
            "started_at - created_at < interval '100 milliseconds'"
        )
        return bool(rows[0]["n"] >= 5)

    wait_until(taken_by_all, "hints to be consumed again", 60, every=1.0)
    assert count >= 1
