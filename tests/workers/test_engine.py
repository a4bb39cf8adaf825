"""The engine on a real Postgres: what it claims, keeps, gives up and finishes."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from core.orchestration import jobs
from core.orchestration.context import Core
from core.orchestration.jobs import Job
from core.settings import Settings
from tests.support.bench import Bench
from tests.support.databases import Urls
from tests.support.waiting import wait_until
from workers.lanes import connections


@pytest.fixture
def bench(database: Urls) -> Iterator[Bench]:
    made = Bench(database)
    yield made
    made.close()


@pytest.fixture
def narrow(database: Urls) -> Iterator[Bench]:
    """Three places for money and nobody to tell in time: rounds are an hour apart."""
    made = Bench(database, executor_threads=3, poll_interval=3600.0)
    yield made
    made.close()


def test_due_jobs_are_found_by_polling(bench: Bench) -> None:
    bench.engine.start()
    payments, deliveries = bench.add(20), bench.add(5, "deliver_event")
    wait_until(lambda: bench.count("succeeded") == 25, "the jobs")
    assert sorted(bench.ran) == sorted(payments + deliveries)


def test_a_job_that_is_not_due_is_left(bench: Bench) -> None:
    (later,) = bench.add()
    bench.sql("UPDATE jobs SET run_after = app_now() + interval '1 hour'")
    bench.engine.take("payments", [later])
    bench.add()
    bench.engine.start()
    wait_until(lambda: bench.count("succeeded") == 1, "the other job")
    assert later not in bench.ran


def test_never_more_is_claimed_than_can_run_and_the_rest_follows_at_once(narrow: Bench) -> None:
    narrow.open.clear()
    narrow.add(10)
    narrow.engine.start()
    wait_until(lambda: narrow.count("running") == 3, "three jobs")
    assert narrow.count("queued") == 7
    narrow.open.set()
    # Rounds are an hour apart: what waits is claimed because places became free.
    wait_until(lambda: narrow.count("succeeded") == 10, "all of them")
    assert len(narrow.ran) == 10


def test_a_hint_claims_what_it_names_and_keeps_the_lane_looking_for_a_while(narrow: Bench) -> None:
    narrow.engine.start()
    wait_until(lambda: not narrow.engine.lanes["payments"].backlog, "the first round")
    named, other = narrow.add(2)
    narrow.engine.take("payments", [named])
    # Rounds are an hour apart and nobody names the other: it is found because a busy lane is looked at often.
    wait_until(lambda: narrow.count("succeeded") == 2, "both")
    assert narrow.ran == [named, other]
    wait_until(lambda: not narrow.engine.lanes["payments"].warm, "the lane to cool down")
    [late] = narrow.add(1)
    narrow.engine.take("deliveries", [late])
    assert narrow.count("queued") == 1


def test_what_arises_here_is_taken_up_here(narrow: Bench) -> None:
    narrow.engine.start()
    wait_until(lambda: not narrow.engine.lanes["payments"].backlog, "the first round")
    made = narrow.add(2)
    narrow.engine.core.wake("payments", made)
    wait_until(lambda: narrow.count("succeeded") == 2, "the jobs")
    assert narrow.elsewhere == []


def test_a_lane_that_is_not_served_waits_for_another_worker(database: Urls) -> None:
    bench = Bench(database, lanes=("deliveries",))
    try:
        bench.engine.start()
        money, told = bench.add(2)
        (delivery,) = bench.add(1, "deliver_event")
        bench.engine.take("payments", [money])
        bench.engine.offer("payments", [told])
        wait_until(lambda: bench.elsewhere and bench.count("succeeded") == 1, "the delivery, and others to be told")
        assert bench.elsewhere == [("payments", [told])]
        assert not bench.engine.submit("maintenance", lambda: None)
        assert (bench.ran, bench.count("queued")) == ([delivery], 2)
    finally:
        bench.close()


def test_a_process_needs_connections_for_its_lanes_only(database: Urls) -> None:
    settings = Settings.model_validate({"DATABASE_URL": database.worker})
    assert connections(settings) == connections(settings, ["payments"]) == settings.database_pool
    assert connections(settings, ["webhooks"]) == settings.webhook_threads
    # An entry of the schedule holds its lock while it works.
    assert connections(settings, ["maintenance"]) == 2 * settings.maintenance_threads


def test_others_are_told_of_what_has_no_place_here(narrow: Bench) -> None:
    narrow.open.clear()
    narrow.engine.start()
    narrow.engine.take("payments", narrow.add(3))
    wait_until(lambda: narrow.count("running") == 3, "three jobs")
    more = narrow.add(2)
    narrow.engine.offer("payments", more)
    wait_until(lambda: narrow.elsewhere, "the others to be told")
    assert narrow.elsewhere == [("payments", more)]
    # A hint that came from elsewhere is not passed on: full workers would send it round for ever.
    narrow.engine.take("payments", more)
    assert len(narrow.elsewhere) == 1
    narrow.open.set()
    wait_until(lambda: narrow.count("succeeded") == 5, "all of them")


def test_leases_are_kept_while_jobs_run(bench: Bench) -> None:
    bench.open.clear()
    (job,) = bench.add()
    bench.engine.start()
    wait_until(lambda: bench.count("running") == 1, "the job to start")
    first = bench.sql("SELECT lease_until FROM jobs")[0]["lease_until"]
    query = "SELECT 1 FROM jobs WHERE lease_until > :first + interval '2 seconds' AND fence = 1"
    wait_until(lambda: bench.sql(query, first=first), "the lease to be renewed past its first end")
    bench.open.set()
    wait_until(lambda: bench.count("succeeded") == 1, "the job to end")
    assert bench.ran == [job]


def test_a_lost_lease_is_let_go(bench: Bench) -> None:
    bench.open.clear()
    bench.add()
    bench.engine.start()
    wait_until(lambda: bench.count("running") == 1, "the job to start")
    bench.sql("UPDATE jobs SET fence = 7, worker = 'another', lease_until = app_now() + interval '1 hour'")
    wait_until(lambda: not bench.engine._held, "the lease to be given up")
    bench.act = lambda core, job: None
    bench.open.set()
    row = bench.sql("SELECT status, fence, worker FROM jobs")[0]
    assert (row["status"], row["fence"], row["worker"]) == ("running", 7, "another")


def test_a_dead_workers_job_is_taken_over(bench: Bench) -> None:
    (job,) = bench.add()
    jobs.claim(bench.core.database, "payments", 1, "dead", 0.2)
    bench.engine.start()
    wait_until(lambda: bench.count("succeeded") == 1, "the job to be taken over")
    assert bench.ran == [job]
    assert bench.sql("SELECT fence, lease_losses FROM jobs")[0] == {"fence": 2, "lease_losses": 1}


def test_suspects_are_taken_one_after_the_other_without_waiting_for_the_clock(narrow: Bench) -> None:
    """Each has lost two workers. Rounds are an hour apart: with a round for each, the dead of an outage would wait."""
    suspects = narrow.add(5)
    left = "UPDATE jobs SET status = 'running', fence = 2, lease_losses = 2, worker = 'dead', lease_until = app_now()"
    narrow.sql(f"{left} - interval '1 second'")
    narrow.engine.start()
    wait_until(lambda: narrow.count("succeeded") == 5, "all of them")
    assert sorted(narrow.ran) == sorted(suspects)


def test_a_job_that_raises_costs_only_itself(bench: Bench) -> None:
    def fail_once(core: Core, job: Job) -> None:
        if len(bench.ran) == 1:
            raise RuntimeError("a mistake")
        bench.finish(core, job)

    bench.act = fail_once
    bench.add(1)
    bench.engine.start()
    wait_until(lambda: bench.count("succeeded") == 1, "the job to come back with its lease", 20)
    assert len(bench.ran) == 2


def test_stopping_waits_for_what_runs_and_claims_nothing_more(bench: Bench) -> None:
    bench.open.clear()
    bench.add(3)
    bench.engine.start()
    wait_until(lambda: bench.count("running") == 3, "the jobs to start")
    ended: list[bool] = []
    stopping = threading.Thread(target=lambda: ended.append(bench.engine.stop(20)))
    stopping.start()
    wait_until(lambda: bench.engine._stopping.is_set(), "the stop to begin")
    waiting = bench.add(2)
    bench.engine.offer("payments", waiting)
    bench.engine.take("payments", waiting)
    first = bench.sql("SELECT max(lease_until) AS until FROM jobs")[0]["until"]
    query = "SELECT 1 FROM jobs WHERE lease_until > :first + interval '1 second'"
    wait_until(lambda: bench.sql(query, first=first), "the leases to be kept meanwhile")
    assert ended == []
    bench.open.set()
    # It ends with the last job, not with a time-out of its own threads.
    stopping.join(4)
    assert ended == [True]
    assert (bench.count("succeeded"), bench.count("queued")) == (3, 2)


def test_a_stop_that_takes_too_long_leaves_the_rest_to_its_lease(bench: Bench) -> None:
    bench.open.clear()
    bench.add()
    bench.engine.start()
    wait_until(lambda: bench.count("running") == 1, "the job to start")
    assert bench.engine.stop(0.2) is False


def test_the_engine_outlives_postgres_going_away(bench: Bench) -> None:
    bench.engine.start()
    bench.add()
    wait_until(lambda: bench.count("succeeded") == 1, "a first job")
    kill = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'tollgate_worker'"
    refuse = "ALTER ROLE tollgate_worker CONNECTION LIMIT 0"
    bench.sql(refuse)
    try:
        bench.sql(kill)
        wait_until(lambda: bench.engine._outage._down, "the outage to be noticed")
    finally:
        bench.sql("ALTER ROLE tollgate_worker CONNECTION LIMIT -1")
    made = bench.sql(
        "INSERT INTO jobs (id, merchant_id, mode, kind, lane, status) "
        "VALUES (gen_random_uuid(), :merchant, 'test', 'sync_payment', 'payments', 'queued') RETURNING id",
        merchant=bench.scope.merchant_id,
    )
    wait_until(lambda: bench.count("succeeded") == 2, "a job after the outage")
    assert bench.ran[-1] == made[0]["id"]
    assert not bench.engine._outage._down


def test_what_a_living_worker_could_not_write_is_given_back_and_counts_as_no_death(database: Urls) -> None:
    """With leases of an hour nobody would take it over: its own worker puts it back."""
    bench = Bench(database, lease=3600.0, not_found_after=7200.0)
    try:
        bench.act = lambda core, job: False if len(bench.ran) == 1 else bench.finish(core, job)
        bench.add()
        bench.sql("UPDATE jobs SET lease_losses = 1")
        bench.engine.start()
        wait_until(lambda: bench.count("succeeded") == 1, "the job to come back")
        assert len(bench.ran) == 2
        assert bench.sql("SELECT fence, lease_losses FROM jobs")[0] == {"fence": 2, "lease_losses": 0}
        assert not bench.engine._left
    finally:
        bench.close()


def test_after_an_outage_the_living_may_renew_before_anybody_counts_as_dead(database: Urls) -> None:
    """Leases are renewed once an hour here, so that the time for it does not pass within the test."""
    bench = Bench(database, lease_renewal=3600.0, lease=9000.0, not_found_after=18000.0)
    try:
        bench.add()
        jobs.claim(bench.core.database, "payments", 1, "another that lives", 7200.0)
        bench.sql("UPDATE jobs SET lease_until = app_now() - interval '1 second'")
        outages = iter([sa.exc.OperationalError(None, None, Exception("away"))])

        def before() -> None:
            for error in outages:
                raise error

        bench.engine._before = before
        bench.engine.start()
        for number in (1, 2):
            bench.add()
            wait_until(lambda many=number: bench.count("succeeded") == many, "what is queued")  # type: ignore[misc]
        assert bench.sql("SELECT fence, lease_losses, worker FROM jobs WHERE status = 'running'") == [
            {"fence": 1, "lease_losses": 0, "worker": "another that lives"}
        ]
    finally:
        bench.close()


def test_a_doubt_that_comes_up_during_a_look_is_not_lost(bench: Bench) -> None:
    looks: list[int] = []

    def before() -> None:
        looks.append(1)
        if len(looks) == 1:
            # Another thread meets an outage while this one looks: what it saw may be over already.
            bench.engine._guarded(_meet_an_outage)

    bench.engine._before = before
    # A lane that is warm waits for the next look, so each is asked of another lane.
    for lane, kind in (("payments", "sync_payment"), ("webhooks", "process_webhook"), ("deliveries", "deliver_event")):
        bench.engine.take(lane, bench.add(1, kind))
    wait_until(lambda: bench.count("succeeded") == 3, "the jobs")
    assert len(looks) == 2


def _meet_an_outage() -> None:
    raise sa.exc.OperationalError(None, None, Exception("away"))
