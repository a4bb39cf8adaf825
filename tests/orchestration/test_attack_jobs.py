"""Jobs under attack: locked rows, a database that does not serve, handlers that crash, replaced credentials."""

from __future__ import annotations

import time
from typing import Any

import pytest
import sqlalchemy as sa

from core.domain.identifiers import parse_id
from core.domain.outcomes import LookUp
from core.orchestration import accounts, execute, jobs, settle, starting
from core.orchestration.accounts import NewAccount
from core.persistence.database import driver_url
from core.persistence.queries import payments as rows
from core.providers.base import LookUpRequest
from core.providers.stripe import StripeProvider
from tests.orchestration import by_hand
from tests.support.world import UNPACED, World

NEEDS_3DS = {"type": "token", "token": "pm_card_authenticationRequired"}


@pytest.fixture(autouse=True)
def webhooks_by_hand(world: World) -> None:
    by_hand.keep_webhooks_back(world)


def job_row(world: World, job: jobs.Job) -> Any:
    return world.one("SELECT * FROM jobs WHERE id = :id", id=job.id)


def claim(world: World, limit: int = 5, worker: str = "stepped", lease: float = 6.0) -> list[jobs.Job]:
    return jobs.claim(world.worker.database, "payments", limit, worker, lease)


def locked(world: World, table: str, row_id: Any) -> sa.Connection:
    """A row in somebody's hands until the connection is closed.

    A plain connection of the owner: the engines of the product end one that idles in a transaction.
    """
    engine = sa.create_engine(driver_url(world.urls.owner), poolclass=sa.NullPool)
    connection = engine.connect()
    connection.exec_driver_sql(f"SELECT 1 FROM {table} WHERE id = %s FOR UPDATE", (str(row_id),))
    return connection


class TestLockedRows:
    def test_one_costs_no_other_job_its_lease(self, world: World) -> None:
        for _ in range(2):
            world.create()
        blocked, free = claim(world, worker="holder")
        before = {job.id: job_row(world, job)["lease_until"] for job in (blocked, free)}
        with locked(world, "jobs", blocked.id):
            begun = time.monotonic()
            held = [(job.id, job.fence) for job in (blocked, free)]
            ours = jobs.renew(world.worker.database, "holder", held, 60.0)
            assert time.monotonic() - begun < 1, "nobody waits for the lock"
        assert ours == {blocked.id, free.id}, "what is locked is still this worker's"
        assert job_row(world, free)["lease_until"] > before[free.id]
        assert job_row(world, blocked)["lease_until"] == before[blocked.id]
        jobs.renew(world.worker.database, "holder", held, 60.0)
        assert job_row(world, blocked)["lease_until"] > before[blocked.id], "the next round renews it"
        for job in (blocked, free):
            execute.run(world.worker, job)

    def test_a_database_that_does_not_serve_is_not_a_dead_worker(self, world: World) -> None:
        """However often the payment's lock is not to be had: the job is put back and goes on."""
        payment = world.create()
        worker_deaths = []
        with locked(world, "payments", parse_id("payment", payment["id"])):
            for _ in range(2):
                (job,) = claim(world, lease=30.0)
                execute.run(world.worker, job)
                found = job_row(world, job)
                assert (found["status"], found["error"]["code"]) == ("queued", "database_trouble")
                worker_deaths.append(found["lease_losses"])
                world.advance(3)
        assert worker_deaths == [0, 0]
        world.work(("payments",))
        assert world.payment(payment["id"])["status"] == "succeeded"
        assert len(world.charges("stripe", payment["id"])) == 1


class TestLeases:
    def test_a_job_put_back_starts_counting_deaths_anew(self, world: World) -> None:
        """Only deaths in a row make a poison job: whoever puts it back is alive."""
        world.create()
        for _ in range(jobs.MAX_LEASE_LOSSES):
            (job,) = claim(world)
            world.advance(7)
        (job,) = claim(world)
        assert job_row(world, job)["lease_losses"] == jobs.MAX_LEASE_LOSSES
        with world.worker.transaction(job.scope) as connection:
            jobs.requeue(connection, job, 0.0)
        assert (job_row(world, job)["status"], job_row(world, job)["lease_losses"]) == ("queued", 0)
        world.work(("payments",))
        assert job_row(world, job)["status"] == "succeeded"

    def test_a_poison_job_opens_a_finding(self, world: World) -> None:
        payment = world.create()
        for _ in range(jobs.MAX_LEASE_LOSSES + 1):
            (job,) = claim(world)
            world.advance(7)
        assert claim(world) == []
        found = job_row(world, job)
        assert (found["status"], found["error"]["code"]) == ("needs_review", "worker_lost")
        finding = world.one("SELECT * FROM findings WHERE job_id = :id", id=job.id)
        assert (finding["kind"], finding["status"]) == ("worker_lost", "open")
        assert finding["payment_id"] == parse_id("payment", payment["id"])


class TestCrashes:
    def _crash(self, world: World, monkeypatch: pytest.MonkeyPatch, job: jobs.Job) -> None:
        def look_up(_: StripeProvider, request: LookUpRequest) -> LookUp:
            raise KeyError("id")

        monkeypatch.setattr(StripeProvider, "look_up", look_up)
        execute.run(world.worker, job)
        monkeypatch.undo()

    def test_a_look_that_crashes_leaves_its_work_to_the_one_that_waits(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Putting it back beside the waiting one is refused by the database; it must not stay `running` for that."""
        payment = world.pay(payment_method=NEEDS_3DS)
        world.post(f"/v1/payments/{payment['id']}/sync")
        (job,) = claim(world, lease=60.0)
        world.post(f"/v1/payments/{payment['id']}/sync")
        self._crash(world, monkeypatch, job)
        assert job_row(world, job)["status"] == "succeeded"
        query = "SELECT status FROM jobs WHERE payment_id = :id AND kind = 'sync_payment' AND id <> :job"
        (waiting,) = world.rows(query, id=job.payment, job=job.id)
        assert waiting["status"] == "queued"
        assert world.work(("payments",)) == 1

    def test_one_that_goes_on_crashing_is_a_finding(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        payment = world.pay(payment_method=NEEDS_3DS)
        world.post(f"/v1/payments/{payment['id']}/sync")
        with world.owner.begin() as connection:
            tried = (
                "UPDATE jobs SET attempts = %s WHERE payment_id = %s AND kind = 'sync_payment' AND status = 'queued'"
            )
            payment_id = parse_id("payment", payment["id"])
            connection.exec_driver_sql(tried, (world.settings.max_job_attempts - 1, str(payment_id)))
        (job,) = claim(world, lease=60.0)
        self._crash(world, monkeypatch, job)
        assert job_row(world, job)["status"] == "needs_review"
        assert by_hand.findings(world, payment) == ["internal_error"]


def test_a_401_of_replaced_credentials_does_not_suspend_the_new_ones(world: World) -> None:
    """The answer to a call with the old key comes after an operator has saved the new one."""
    world.create()
    (job,) = claim(world, lease=60.0)
    with world.worker.transaction(job.scope) as connection:
        step = starting.start(world.worker, connection, job, rows.lock_payment(connection, job.payment))
    assert step is not None
    with world.fault("stripe", operation="payment_intents.create", effect="status_before", status=401):
        result = execute.take(world.worker, job, step)
    replaced = NewAccount(
        provider="stripe",
        name="stripe",
        credentials={"secret_key": world.secrets["stripe"], "publishable_key": "pk_test_new"},
        webhook_secrets=[world.secrets["stripe.webhook"]],
        api_base=world.sandboxes["stripe"].url,
        settings=UNPACED,
    )
    accounts.save_provider_account(world.admin, world.scope, replaced, "operator")
    with world.worker.transaction(job.scope) as connection:
        settle.settle(world.worker, connection, job, step, result)
    query = "SELECT status FROM provider_accounts WHERE id = :id"
    assert world.one(query, id=world.accounts["stripe"])["status"] == "enabled"
