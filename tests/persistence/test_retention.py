"""What is kept long enough goes, month by month and in batches, and nothing that is still needed goes with it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg2
import pytest
import sqlalchemy as sa
from psycopg2 import errorcodes
from sqlalchemy.engine import Connection

from cli.embedded import Embedded
from core.orchestration import retention, scheduled
from core.orchestration.context import Core
from core.orchestration.pacing import PrivatePacer
from core.persistence import partitions
from core.persistence.database import Database, Scope, create_engine
from core.persistence.partitions import MONTHS_AHEAD, InUse
from core.persistence.retention import BY_MONTH, KEPT
from core.persistence.vault import Vault, new_keys, parse_keys
from tests.persistence import rows
from tests.support import databases
from tests.support.databases import Urls
from tests.support.waiting import wait_until
from tests.support.world import settings_for

YEAR = 366
#: Of each table that is cut by month the shortest there is, so that tests move little time.
SHORT = {"keep_bodies": 7, "keep_events": 7, "keep_deliveries": 4, "keep_audit": 13, "keep_detached": 7}


class Aged:
    """A database of its own whose clock the test moves, as a worker sees it and as its owner does."""

    def __init__(self, urls: Urls, redis_url: str) -> None:
        self.urls = urls
        self.owner = create_engine(urls.owner, 4)
        self._engines = [self.owner, create_engine(urls.worker, 4, autocommit=True), create_engine(urls.api, 4)]
        self.database, self.api = Database(self._engines[1]), Database(self._engines[2])
        vault = Vault(parse_keys(new_keys()))
        self.core = Core(settings_for(urls, redis_url, **SHORT), self.database, vault, pacer=PrivatePacer())
        with self.owner.begin() as connection:
            self.scope = Scope(rows.make_merchant(connection), "test")
            self.made = rows.fill(connection, self.scope)

    def run(self, statement: str, **values: Any) -> list[Any]:
        with self.owner.begin() as connection:
            found = connection.execute(sa.text(statement), values)
            return [dict(row) for row in found.mappings()] if found.returns_rows else []

    def move(self, days: int) -> None:
        self.run("UPDATE app_clock SET shift = shift + make_interval(days => :days)", days=days)

    def months(self, table: str) -> list[str]:
        query = "SELECT relname FROM pg_class JOIN pg_inherits ON oid = inhrelid WHERE inhparent = to_regclass(:t)"
        return sorted(row["relname"] for row in self.run(query, t=table))

    def month(self) -> str:
        return str(self.run("SELECT to_char(app_now() AT TIME ZONE 'UTC', 'YYYY_MM') AS m")[0]["m"])

    def job(self, kind: str, lane: str, status: str = "succeeded", *, days_ago: int = 0, **arguments: Any) -> UUID:
        """Made so long before the database's now, and its id with it."""
        now: datetime = self.run("SELECT app_now() AS now")[0]["now"]
        made = now - timedelta(days=days_ago)
        job_id = UUID(int=(int(made.timestamp() * 1000) << 80) | (7 << 76) | (uuid4().int & ((1 << 76) - 1)))
        query = (
            "INSERT INTO jobs (id, merchant_id, mode, kind, lane, status, arguments, created_at, finished_at) VALUES "
            "(:id, :merchant, 'test', :kind, :lane, :status, CAST(:arguments AS jsonb), :made, :ended)"
        )
        ended = made if status in ("succeeded", "failed", "canceled") else None
        values = {"merchant": self.scope.merchant_id, "kind": kind, "lane": lane, "status": status, "made": made}
        self.run(query, id=job_id, arguments=json.dumps(arguments), ended=ended, **values)
        return job_id

    def jobs(self) -> set[UUID]:
        return {row["id"] for row in self.run("SELECT id FROM jobs")}

    def close(self) -> None:
        for engine in self._engines:
            engine.dispose()


@pytest.fixture
def aged(embedded: Embedded, template: str) -> Iterator[Aged]:
    name = f"test_{uuid4().hex}"
    made = Aged(databases.create(embedded, name, template), embedded.redis_url)
    yield made
    made.close()
    databases.drop(embedded, name)


@contextmanager
def refused(code: str) -> Iterator[None]:
    with pytest.raises(sa.exc.DBAPIError) as caught:
        yield
    assert getattr(caught.value.orig, "pgcode", None) == code, caught.value


def test_every_table_says_how_long_it_is_kept(aged: Aged) -> None:
    query = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')"
    assert {row["relname"] for row in aged.run(f"{query} AND NOT relispartition")} == set(KEPT)
    settings = aged.core.settings
    assert all(hasattr(settings, one.setting) for one in KEPT.values() if one.setting is not None)
    assert all(one.removed_by for one in KEPT.values() if one.setting is not None)


class TestMonths:
    def test_come_and_go_over_years(self, aged: Aged) -> None:
        """Three years, a month at a time: never more months than are kept, and there is always one to write into."""
        for _ in range(36):
            aged.move(30)
            scheduled.ensure_partitions(aged.core)
            retention.retention(aged.core)
            for table in BY_MONTH:
                kept = getattr(aged.core.settings, str(KEPT[table].setting))
                found = aged.months(table)
                assert len(found) <= kept + 2 + MONTHS_AHEAD
                assert f"{table}_{aged.month()}" in found
        with aged.owner.begin() as connection:
            rows.fill(connection, Scope(aged.scope.merchant_id, "live"))
        gone = aged.run(
            "SELECT parent, count(*) AS n, count(dropped_at) AS dropped FROM detached_partitions GROUP BY 1"
        )
        counts = {row["parent"]: (row["n"], row["dropped"]) for row in gone}
        assert set(counts) == set(BY_MONTH)
        assert counts["audit_log"][1] == 0
        assert all(counts[table][1] >= counts[table][0] - 2 > 20 for table in ("bodies", "events", "deliveries"))
        left = {
            row["relname"] for row in aged.run("SELECT relname FROM pg_class WHERE relname ~ '^audit_log_[0-9_]+$'")
        }
        assert len(left) == counts["audit_log"][0] + len(aged.months("audit_log")), "the audit log is never dropped"

    def test_one_that_was_detached_waits_for_an_archive(self, aged: Aged) -> None:
        aged.move(YEAR)
        retention.retention(aged.core)
        detached = [row["name"] for row in aged.run("SELECT name FROM detached_partitions WHERE parent = 'bodies'")]
        assert detached
        assert aged.run(f"SELECT count(*) AS n FROM {detached[0]}")[0]["n"] >= 0
        aged.move(SHORT["keep_detached"] - 1)
        retention.retention(aged.core)
        assert aged.run("SELECT 1 FROM detached_partitions WHERE dropped_at IS NOT NULL") == []
        aged.move(2)
        retention.retention(aged.core)
        for name in detached:
            assert aged.run("SELECT to_regclass(:name) AS found", name=name)[0]["found"] is None

    def test_one_that_was_attached_again_is_not_dropped(self, aged: Aged) -> None:
        aged.move(YEAR)
        retention.retention(aged.core)
        name = aged.run("SELECT min(name) AS n FROM detached_partitions WHERE parent = 'bodies'")[0]["n"]
        begun = datetime.strptime(name[-7:], "%Y_%m").replace(tzinfo=UTC)
        until = (begun + timedelta(days=32)).replace(day=1)
        aged.run(f"ALTER TABLE bodies ATTACH PARTITION {name} FOR VALUES FROM ('{begun}') TO ('{until}')")
        aged.move(SHORT["keep_detached"] + 1)
        partitions.drop(aged.database, SHORT["keep_detached"])
        assert name in aged.months("bodies")

    def test_an_event_not_delivered_yet_keeps_its_month(self, aged: Aged) -> None:
        told_at: datetime = aged.run("SELECT app_now() AS now")[0]["now"]
        job = aged.job("deliver_event", "deliveries", "queued", event_created_at=told_at.isoformat())
        aged.run("UPDATE inbox_events SET status = 'applied'")
        aged.move(YEAR)
        retention.retention(aged.core)
        this_month = f"events_{told_at:%Y_%m}"
        assert aged.months("events")[0] == this_month, "the one before has gone, this one has not"
        for status in ("running", "needs_review"):
            aged.run("UPDATE jobs SET status = :status WHERE id = :id", status=status, id=job)
            assert partitions.detach(aged.database, "events", 7) is None
        aged.run("UPDATE jobs SET status = 'succeeded' WHERE id = :id", id=job)
        assert partitions.detach(aged.database, "events", 7) == this_month

    def test_a_webhook_not_read_yet_keeps_its_body(self, aged: Aged) -> None:
        received: datetime = aged.run("SELECT app_now() AS now")[0]["now"]
        for status in ("received", "parked"):
            aged.run("UPDATE inbox_events SET status = :status", status=status)
            aged.move(YEAR if status == "received" else 0)
            retention.retention(aged.core)
            assert f"bodies_{received:%Y_%m}" in aged.months("bodies")
        aged.run("UPDATE inbox_events SET status = 'applied'")
        retention.retention(aged.core)
        assert f"bodies_{received:%Y_%m}" not in aged.months("bodies")

    def test_a_detached_month_of_the_audit_log_stays_append_only(self, aged: Aged) -> None:
        aged.move(2 * YEAR)
        retention.retention(aged.core)
        held = [row["name"] for row in aged.run("SELECT name FROM detached_partitions WHERE parent = 'audit_log'")]
        name = next(one for one in held if aged.run(f"SELECT 1 FROM {one}"))
        for change in ("UPDATE {} SET actor = 'x'", "DELETE FROM {}", "TRUNCATE {}"):
            with refused(errorcodes.INSUFFICIENT_PRIVILEGE):
                aged.run(change.format(name))
        for database in (aged.database, aged.api):
            with refused(errorcodes.INSUFFICIENT_PRIVILEGE), database.scoped(aged.scope) as connection:
                connection.execute(sa.text(f"SELECT 1 FROM {name}"))


class TestTheWall:
    @pytest.mark.parametrize(
        "call",
        [
            "detach_oldest_partition('bodies', 6)",
            "detach_oldest_partition('audit_log', 12)",
            "detach_oldest_partition('payments', 600)",
            "drop_detached_partition(6)",
            "delete_ended_jobs(29, 10)",
            "delete_resolved_findings(179, 10)",
            "delete_forged_counts(89)",
        ],
    )
    def test_a_worker_cannot_hurry(self, aged: Aged, call: str) -> None:
        with refused(errorcodes.INSUFFICIENT_PRIVILEGE), aged.database.unscoped() as connection:
            connection.execute(sa.text(f"SELECT {call}"))


class TestTraffic:
    """A report reads an old event for an hour; nobody else may notice that a month should go meanwhile."""

    @pytest.fixture
    def report(self, aged: Aged) -> Iterator[psycopg2.extensions.connection]:
        aged.move(YEAR)
        scheduled.ensure_partitions(aged.core)
        connection = psycopg2.connect(databases.plain(aged.urls.owner))
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM events")
        yield connection
        connection.close()

    def test_a_detach_behind_a_long_transaction_gives_up(self, aged: Aged, report: Any) -> None:
        before = aged.months("events")
        with pytest.raises(InUse):
            partitions.detach(aged.database, "events", 7)
        assert aged.months("events") == before
        report.rollback()
        assert partitions.detach(aged.database, "events", 7) == before[0]

    def test_the_rest_of_a_run_goes_on(self, aged: Aged, report: Any) -> None:
        assert retention.retention(aged.core) > 0
        assert aged.run("SELECT 1 FROM detached_partitions WHERE parent = 'events'") == []
        assert aged.run("SELECT 1 FROM detached_partitions WHERE parent = 'bodies'")

    def test_whoever_comes_behind_the_detach_waits_no_longer_than_its_lock_timeout(
        self, aged: Aged, report: Any
    ) -> None:
        """The writer is given 5 s; it is let through because the detach gives up, since the report never does."""
        with ThreadPoolExecutor(1) as pool:
            detaching = pool.submit(_detach_without_end, aged)
            waits = "SELECT 1 FROM pg_locks l WHERE NOT granted AND mode = 'AccessExclusiveLock'"
            wait_until(lambda: aged.run(waits), "the detach to wait for the report", every=0.005)
            with aged.api.scoped(aged.scope, lock_timeout=5.0) as connection:
                _tell(connection, aged.scope)
            assert detaching.result(10) is None
        with aged.api.scoped(aged.scope) as connection:
            assert connection.execute(sa.text("SELECT current_setting('lock_timeout')")).scalar_one() == "5s"

    def test_months_are_made_beside_a_long_transaction(self, aged: Aged, report: Any) -> None:
        """As a part of its parent from the start, each would wait for whoever reads the parent, and hold up all."""
        aged.move(40)
        with aged.owner.connect() as connection:
            connection.execute(sa.text("SET lock_timeout = '200ms'"))
            assert connection.execute(sa.text("SELECT ensure_partitions(6)")).scalar_one() >= len(BY_MONTH)
            strong = "SELECT mode FROM pg_locks WHERE pid = pg_backend_pid() AND relation = 'events'::regclass"
            modes = set(connection.execute(sa.text(strong)).scalars())
            assert modes <= {"AccessShareLock", "ShareUpdateExclusiveLock"}
            with aged.api.scoped(aged.scope, lock_timeout=0.2) as traffic:
                _tell(traffic, aged.scope)
            connection.commit()


def _detach_without_end(aged: Aged) -> None:
    with pytest.raises(InUse):
        partitions.detach(aged.database, "events", 7)


def _tell(connection: Connection, scope: Scope) -> None:
    statement = (
        "INSERT INTO events (id, merchant_id, mode, type, sequence, data) VALUES (:id, :merchant, :mode, 't', 1, '{}')"
    )
    values = {"id": uuid4(), "merchant": scope.merchant_id, "mode": scope.mode}
    connection.execute(sa.text(statement), values)


class TestRows:
    def test_ended_jobs_go_but_those_of_callers_stay(self, aged: Aged) -> None:
        at = datetime(2020, 1, 1, tzinfo=UTC).isoformat()
        now: datetime = aged.run("SELECT app_now() AS now")[0]["now"]
        old, told = 100, (now - timedelta(days=100)).isoformat()
        gone = {
            aged.job("process_webhook", "webhooks", days_ago=old),
            aged.job("process_webhook", "webhooks", "failed", days_ago=old),
            aged.job("deliver_event", "deliveries", days_ago=old, event_created_at=told),
            aged.job("expire_payment", "payments", "canceled", days_ago=old),
        }
        kept = {
            aged.job("create_payment", "payments", days_ago=old),
            aged.job("refund_payment", "payments", days_ago=old),
            aged.job("sync_payment", "payments", days_ago=old),
            aged.job("forget_method", "payments", days_ago=old),
            aged.job("process_webhook", "webhooks", "needs_review", days_ago=old),
            aged.job("process_webhook", "webhooks", "queued", days_ago=old),
            aged.job("process_webhook", "webhooks", days_ago=80),
            aged.job("deliver_event", "deliveries", days_ago=old, event_created_at=told, actor="key"),
            aged.job("deliver_event", "deliveries", days_ago=old, event_created_at=at),
        }
        before = aged.jobs()
        assert retention.retention(aged.core) == len(gone)
        assert aged.jobs() == before - gone
        assert kept <= aged.jobs()

    def test_the_walk_reads_no_job_twice_and_goes_on_where_it_was(
        self, aged: Aged, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(retention, "BATCH", 3)
        jobs = [aged.job("process_webhook", "webhooks", days_ago=200 - number) for number in range(8)]
        kept = aged.job("create_payment", "payments", days_ago=195)
        monkeypatch.setattr(retention, "LONGEST_RUN", -1.0)
        assert retention.retention(aged.core) == 0, "no time, no work"
        monkeypatch.setattr(retention, "LONGEST_RUN", 8.0)
        assert retention.retention(aged.core) == len(jobs)
        assert kept in aged.jobs()
        with aged.database.unscoped() as connection:
            assert tuple(connection.execute(sa.text("SELECT * FROM delete_ended_jobs(90, 3)")).one()) == (0, 0)

    def test_two_at_once_are_one(self, aged: Aged) -> None:
        aged.job("process_webhook", "webhooks", days_ago=100)
        with aged.owner.begin() as another:
            another.execute(sa.text("SELECT * FROM delete_ended_jobs(90, 10)"))
            done = threading.Event()
            with ThreadPoolExecutor(1) as pool:
                second = pool.submit(retention.retention, aged.core)
                second.add_done_callback(lambda _: done.set())
                assert done.wait(10), "it waited for the other"
                assert second.result() == 0

    def test_findings_and_counts(self, aged: Aged) -> None:
        aged.run("UPDATE findings SET status = 'open'")
        aged.run(
            "INSERT INTO findings (id, merchant_id, mode, kind, dedupe_key, status, resolved_at) "
            "VALUES (:id, :merchant, 'test', 'x', 'y', 'resolved', app_now())",
            id=uuid4(),
            merchant=aged.scope.merchant_id,
        )
        aged.run("INSERT INTO forged_webhooks (provider_account_id, day) VALUES (:id, app_now()::date)", id=uuid4())
        counts = "SELECT (SELECT count(*) FROM findings) AS findings, (SELECT count(*) FROM forged_webhooks) AS forged"
        before = aged.run(counts)[0]
        aged.move(401)
        retention.retention(aged.core)
        assert aged.run(counts)[0] == {"findings": before["findings"], "forged": before["forged"] - 1}
        aged.move(400)
        retention.retention(aged.core)
        assert aged.run(counts)[0]["findings"] == before["findings"] - 1

    def test_keys_and_what_was_received_outlive_everything(self, aged: Aged) -> None:
        tables = "idempotency_keys inbox_events payments transactions refunds disputes".split()
        before = {table: aged.run(f"SELECT * FROM {table}") for table in tables}
        assert all(before.values())
        for _ in range(3):
            aged.move(5 * YEAR)
            scheduled.ensure_partitions(aged.core)
            retention.retention(aged.core)
        assert {table: aged.run(f"SELECT * FROM {table}") for table in tables} == before
