"""What each alert of deploy/alerts.yml is about, brought about for real: one function an alert."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient

from api.app import build_app
from core.domain.identifiers import public_id
from core.orchestration import health_changes, jobs, webhook_endpoints
from core.orchestration.breaker import Breaker, State
from core.orchestration.context import Caller, Core
from core.orchestration.jobs import Job
from core.persistence.database import open_database
from core.startup import clock
from tests.support.bench import Bench
from tests.support.world import World
from workers import ticks
from workers.hints import Hints
from workers.schedule import SCHEDULE, Entry
from workers.ticks import Ticks

NOBODY = "redis://127.0.0.1:1/0"
MANY = 21


@dataclass
class Ground:
    """A gate, a worker that is stepped, and what `/metrics` shows of both: they count in one process here."""

    world: World
    bench: Bench
    client: FlaskClient
    patch: pytest.MonkeyPatch

    def shown(self, client: FlaskClient | None = None) -> str:
        answer = (client or self.client).get("/metrics")
        assert answer.status_code == 200, answer.text
        return answer.text

    def sql(self, statement: str, **values: Any) -> None:
        with self.world.owner.begin() as connection:
            connection.execute(sa.text(statement), values)

    @contextmanager
    def changed(self, there: str, back: str, **values: Any) -> Iterator[None]:
        self.sql(there, **values)
        try:
            yield
        finally:
            self.sql(back, **values)

    def clear_jobs(self) -> None:
        self.sql("DELETE FROM jobs")


#: The last thing that targets show while the condition is there; None where no target answers.
Condition = Callable[[Ground], str | None]


def api_away(ground: Ground) -> str | None:
    return None


def database_away(ground: Ground) -> str:
    away = open_database("postgresql://nobody:nothing@127.0.0.1:1/none", 1, "tests")
    return ground.shown(build_app(replace(ground.world.api, database=away)).test_client())


def redis_away(ground: Ground) -> str:
    settings = ground.world.settings.model_copy(update={"redis_url": NOBODY})
    return ground.shown(build_app(replace(ground.world.api, settings=settings)).test_client())


def paused(ground: Ground) -> str:
    there = "SELECT pause_installation('the disk was lost')"
    with ground.changed(there, "UPDATE installation SET paused_at = NULL, paused_because = NULL"):
        return ground.shown()


def requests_fail(ground: Ground) -> str:
    class Broken:
        def __getattr__(self, name: str) -> None:
            raise ZeroDivisionError

    client = build_app(replace(ground.world.api, database=Broken())).test_client()  # type: ignore[arg-type]
    for _ in range(50):
        headers = {"Authorization": f"Bearer {ground.world.test_key}"}
        assert client.get("/v1/payments", headers=headers).status_code == 500
    return ground.shown()


def payments_wait(ground: Ground) -> str:
    ground.world.create()
    ground.sql("UPDATE jobs SET run_after = app_now() - interval '12 s' WHERE lane = 'payments'")
    return ground.shown()


def lane_waits(ground: Ground) -> str:
    ground.bench.add(kind="deliver_event")
    ground.sql("UPDATE jobs SET run_after = app_now() - interval '6 min' WHERE lane = 'deliveries'")
    return ground.shown()


def _late(name: str, seconds: int, column: str = "ran_at") -> Condition:
    """It ran once, and then time went by."""

    def bring_about(ground: Ground) -> str:
        assert Ticks(ground.bench.engine).run(name, "beat")
        late = f"UPDATE schedule_runs SET {column} = app_now() - make_interval(secs => :s) WHERE name = :name"
        ground.sql(late, s=seconds, name=name)
        return ground.shown()

    return bring_about


def account_suspended(ground: Ground) -> str:
    there = "UPDATE provider_accounts SET status = 'suspended' WHERE id = :id"
    back = "UPDATE provider_accounts SET status = 'enabled' WHERE id = :id"
    with ground.changed(there, back, id=ground.world.accounts["stripe"]):
        return ground.shown()


def provider_fails(ground: Ground) -> str:
    with ground.world.fault("stripe", effect="status_after", status=500, times=20):
        for _ in range(3):
            ground.world.create()
        ground.world.work()
    return ground.shown()


def _unknown(count: int, seconds: int) -> Condition:
    def bring_about(ground: Ground) -> str:
        payments = [ground.world.create()["id"] for _ in range(count)]
        assert payments
        ground.world.work()
        with ground.changed(
            "UPDATE transactions SET status = 'unknown', first_sent_at = app_now() - make_interval(secs => :s)",
            "UPDATE transactions SET status = 'succeeded'",
            s=seconds,
        ):
            return ground.shown()

    return bring_about


def _finding(severity: str) -> Condition:
    def bring_about(ground: Ground) -> str:
        there = (
            "INSERT INTO findings (id, merchant_id, mode, kind, dedupe_key, severity, status) "
            "VALUES (:id, :merchant, 'test', 'amount_mismatch', :id, :severity, 'open')"
        )
        values = {"id": str(uuid4()), "merchant": ground.world.merchant_id, "severity": severity}
        with ground.changed(there, "DELETE FROM findings WHERE id = CAST(:id AS uuid)", **values):
            return ground.shown()

    return bring_about


def clock_off(ground: Ground) -> str:
    real = clock.machine_time
    ground.patch.setattr(clock, "machine_time", lambda: real() + 8)
    return ground.shown()


def review_waits(ground: Ground) -> str:
    ground.world.create()
    ground.sql("UPDATE jobs SET status = 'needs_review'")
    return ground.shown()


def schedule_fails(ground: Ground) -> str:
    def fail(core: Core) -> int:
        raise ZeroDivisionError

    ground.patch.setattr(ticks, "SCHEDULE", {**SCHEDULE, "sweep": Entry(5, fail, "fails")})
    for _ in range(3):
        Ticks(ground.bench.engine)._work("sweep", "beat")()
    return ground.shown()


def hints_dropped(ground: Ground) -> str:
    hints = Hints(ground.world.settings.model_copy(update={"broker_url": NOBODY}))
    hints.wake("payments", [uuid4()])
    hints.close()
    return ground.shown()


def breaker_opens(ground: Ground) -> str:
    worker, account = ground.world.worker, ground.world.accounts["stripe"]
    health_changes.record(worker, ground.world.scope, account, "start", [(Breaker(), Breaker(state=State.OPEN))] * 3)
    return ground.shown()


def webhooks_forged(ground: Ground) -> str:
    address = f"/webhooks/stripe/{public_id('provider_account', ground.world.accounts['stripe'])}"
    for _ in range(6):
        assert ground.client.post(address, data=b"{}", headers={"Stripe-Signature": "t=1,v1=00"}).status_code == 401
    return ground.shown()


def webhooks_unread(ground: Ground) -> str:
    ground.world.pay()
    there = "UPDATE inbox_events SET status = 'received', received_at = app_now() - interval '2 min'"
    with ground.changed(there, "UPDATE inbox_events SET status = 'applied'"):
        return ground.shown()


def deliveries_fail(ground: Ground) -> str:
    caller = Caller(ground.world.scope, "key:test")
    webhook_endpoints.create(ground.world.api, caller, None, url="http://127.0.0.1:9/nobody", event_types=["*"])
    try:
        ground.world.create()
        ground.world.work(("payments", "deliveries"))
        return ground.shown()
    finally:
        ground.clear_jobs()
        ground.sql("DELETE FROM webhook_endpoints")


def connections_short(ground: Ground) -> str:
    small = open_database(ground.world.urls.worker, 1, "tollgate-small")
    with small.unscoped() as connection:
        connection.execute(sa.text("SELECT 1"))
        shown = ground.shown()
    small.engine.dispose()
    return shown


def workers_die(ground: Ground) -> str:
    ground.bench.add()
    ground.sql(
        "UPDATE jobs SET status = 'running', fence = fence + 1, worker = 'dead', "
        "lease_until = app_now() - interval '1 s'"
    )
    ground.bench.engine._claim("payments", None, expired=True)
    return ground.shown()


def jobs_crash(ground: Ground) -> str:
    def fail(core: Core, job: Job) -> None:
        raise ZeroDivisionError

    ground.bench.add()
    (claimed,) = jobs.claim(ground.world.worker.database, "payments", 1, "w", 60.0)
    ground.bench.act = fail
    ground.bench.engine.lanes["payments"].reserve(1)
    ground.bench.engine._run(claimed, lambda: fail(ground.world.worker, claimed))
    ground.bench.engine.lanes["payments"].give_back(1)
    return ground.shown()


def months_short(ground: Ground) -> str:
    with ground.changed(
        "UPDATE app_clock SET shift = shift + interval '160 days'",
        "UPDATE app_clock SET shift = shift - interval '160 days'",
    ):
        return ground.shown()


def unsealed(ground: Ground) -> str:
    with ground.changed(
        "UPDATE app_clock SET shift = shift + interval '301 seconds'",
        "UPDATE app_clock SET shift = shift - interval '301 seconds'",
    ):
        return ground.shown()


CONDITIONS: Mapping[str, Condition] = {
    "TollgateApiAway": api_away,
    "TollgateDatabaseAway": database_away,
    "TollgatePaused": paused,
    "TollgateRequestsFail": requests_fail,
    "TollgatePaymentsWait": payments_wait,
    "TollgateSweepLate": _late("sweep", 61),
    "TollgateAccountSuspended": account_suspended,
    "TollgateProviderFails": provider_fails,
    "TollgateManyUnknown": _unknown(MANY, 5),
    "TollgateMoneyDiffers": _finding("high"),
    "TollgateClockOff": clock_off,
    "TollgateUnknownLasts": _unknown(1, 3700),
    "TollgateReviewWaits": review_waits,
    "TollgateFindingOpen": _finding("medium"),
    "TollgateLaneWaits": lane_waits,
    "TollgateAuditUnsealed": unsealed,
    "TollgateScheduleLate": _late("deliver_events", 51),
    "TollgateScheduleFails": schedule_fails,
    "TollgateBeatAway": _late("sweep", 125, "beat_at"),
    "TollgateRedisAway": redis_away,
    "TollgateHintsDropped": hints_dropped,
    "TollgateBreakerOpens": breaker_opens,
    "TollgateWebhooksForged": webhooks_forged,
    "TollgateWebhooksUnread": webhooks_unread,
    "TollgateDeliveriesFail": deliveries_fail,
    "TollgateConnectionsShort": connections_short,
    "TollgateWorkersDie": workers_die,
    "TollgateJobsCrash": jobs_crash,
    "TollgateMonthsShort": months_short,
}
