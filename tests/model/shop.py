"""One merchant of one example: its doors at the gate, its providers' mail, and workers that may die or stall."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from uuid import uuid4

import requests
from sqlalchemy.engine import Connection

from core import invariants, points
from core.domain.identifiers import parse_id
from core.orchestration import accounts, execute, jobs, provider_manager, scheduled
from core.persistence.database import Scope
from tests.model.clock import Monotonic
from tests.orchestration import by_hand
from tests.support.receiver import Receiver
from tests.support.waiting import wait_until
from tests.support.world import LANES, World

PROVIDERS = ("stripe", "paystack")
#: Nobody listens there: a connection is refused, which proves that nothing was sent.
NOBODY = "http://127.0.0.1:9"

# The example before may have left work for later; it is not this one's. Its rows stay, for whoever looks.
_PUT_AWAY = (
    "UPDATE jobs SET status = 'canceled', lease_until = NULL, worker = NULL, finished_at = app_now() "
    "WHERE status IN ('queued', 'running')",
    "UPDATE payments SET next_sync_at = NULL, expires_at = NULL, watch_until = NULL "
    "WHERE next_sync_at IS NOT NULL OR expires_at IS NOT NULL OR watch_until IS NOT NULL",
)


class Died(BaseException):
    """A process ends here. No `except Exception` of the product may catch it, as none catches SIGKILL."""


class Violation(AssertionError):
    """Something that was promised does not hold."""


@contextmanager
def hooked(hook: Callable[[str, str], None]) -> Iterator[None]:
    """`hook` hears of every point until the block ends."""
    points.hook = hook
    try:
        yield
    finally:
        points.hook = None


class Death:
    """Ends the process at the `nth` time a point is reached, and remembers that it has."""

    def __init__(self, point: str, nth: int = 1) -> None:
        self.point, self.left, self.happened = point, nth, False

    def __call__(self, point: str, kind: str) -> None:
        if point == self.point and not self.happened:
            self.left -= 1
            if self.left == 0:
                self.happened = True
                raise Died(f"{point} {kind}")


class Shop:
    """Stands on a world of its module; `world.merchant_id` and the rest are this shop's from here on."""

    def __init__(self, world: World, mail: Receiver, clock: Monotonic) -> None:
        self.world, self.mail, self.clock = world, mail, clock
        # Each is settled in the thread that ran it: a death there must be that worker's and nobody else's.
        self.worker = replace(world.worker, together=None)
        with world.owner.begin() as connection:
            for statement in _PUT_AWAY:
                connection.exec_driver_sql(statement)
            _lift_partitions(connection)
        mail.got.clear()
        #: What the examples before have left broken is not this one's doing.
        self.broken_before = self.broken()
        self.held: list[tuple[str, bytes]] = []
        self.gone: set[str] = set()
        world.merchant_id = accounts.create_merchant(world.admin, "Shop")
        world.scope = Scope(world.merchant_id, "test")
        world.test_key = world.make_key("test")
        for provider in PROVIDERS:
            world.add_account(provider)
            self._tell_by_mail(provider)

    def _tell_by_mail(self, provider: str) -> None:
        """The provider's events come to the test, which delivers them as it likes."""
        secret = self.world.secrets[provider]
        hook = f"http://127.0.0.1:{self.mail.port}/{provider}"
        body = {"secret_key": secret, "webhook_url": hook}
        if provider == "stripe":
            body["webhook_secret"] = self.world.secrets["stripe.webhook"]
        self.world.sandboxes[provider].post("accounts", **body)

    # The gate

    def send(self, method: str, path: str, body: Any = None, key: str | None = None) -> requests.Response:
        """Any answer but a 5xx."""
        headers = {"Idempotency-Key": key} if key else {}
        answer = self.world.request(method, path, json=body, headers=headers)
        if answer.status_code >= 500:
            raise Violation(f"{method} {path} answered {answer.status_code}: {answer.text[:300]}")
        return answer

    def ask(self, path: str, body: Any, key: str, death: Death | None = None) -> requests.Response:
        """A POST whose process dies at `death`; the caller knows nothing then, and sends it again under its key."""
        if death is None:
            return self.send("POST", path, body, key)
        with hooked(death):
            try:
                return self.send("POST", path, body, key)
            except requests.ConnectionError:
                if not death.happened:
                    raise
        return self.send("POST", path, body, key)

    def read(self, path: str) -> Any:
        answer = self.send("GET", path)
        if answer.status_code != 200:
            raise Violation(f"GET {path} answered {answer.status_code}: {answer.text[:300]}")
        return answer.json()

    # The providers

    def collect(self) -> None:
        """Wait until the providers have sent what they have to say, and put it with the mail that is held back."""

        def sent() -> bool:
            boxes = self.world.sandboxes
            return all(
                boxes[name].get("webhooks", secret_key=self.world.secrets[name], limit=1)["pending"] == 0
                for name in PROVIDERS
            )

        wait_until(sent, "the providers' mail")
        arrived, self.mail.got[:] = list(self.mail.got), []
        # They send in parallel; the same example has to find the same letter in the same place.
        self.held += sorted(((one.path.strip("/"), one.body) for one in arrived), key=_order)

    def deliver_all(self) -> None:
        self.collect()
        for letter in self.held:
            self.deliver(letter)
        self.held.clear()

    def deliver(self, letter: tuple[str, bytes], death: Death | None = None) -> None:
        provider, body = letter
        if death is not None:
            with hooked(death):
                try:
                    by_hand.deliver(self.world, body, provider)
                except requests.ConnectionError:
                    if death.happened:
                        return  # not acknowledged: the provider still has it
                    raise
            return
        answer = by_hand.deliver(self.world, body, provider)
        if answer.status_code != 200:
            raise Violation(f"a signed webhook of {provider} was answered {answer.status_code}: {answer.text[:300]}")

    def arm(self, provider: str, fault: Mapping[str, Any]) -> None:
        self.world.sandboxes[provider].post("faults", secret_key=self.world.secrets[provider], **fault)

    def lift(self) -> None:
        for provider in PROVIDERS:
            self.world.sandboxes[provider].clear_faults()
            self.come_back(provider)

    def go_away(self, provider: str) -> None:
        self._move(provider, NOBODY)
        self.gone.add(provider)

    def come_back(self, provider: str) -> None:
        if provider in self.gone:
            self._move(provider, self.world.sandboxes[provider].url)
            self.gone.discard(provider)

    def _move(self, provider: str, base: str) -> None:
        account = self.world.accounts[provider]
        with self.world.owner.begin() as connection:
            statement = "UPDATE provider_accounts SET api_base = %s WHERE id = %s"
            connection.exec_driver_sql(statement, (base, str(account)))
        for core in (self.worker, self.world.api):
            provider_manager.forget(core, account)

    # Workers and time

    def claim(self, lane: str, limit: int) -> list[jobs.Job]:
        return jobs.claim(self.worker.database, lane, limit, f"worker-{uuid4().hex[:8]}", self.world.settings.lease)

    def work(self, lane: str, limit: int) -> int:
        """One worker takes up to `limit` jobs of a lane to their end."""
        runs = execute.prepare(self.worker, self.claim(lane, limit))
        for run in runs:
            run()
        return len(runs)

    def work_all(self, rounds: int = 40) -> None:
        for _ in range(rounds):
            if sum(self.work(lane, 20) for lane in LANES) == 0:
                return
        raise Violation(f"jobs kept coming after {rounds} rounds: {self.jobs_open()}")

    def crash(self, lane: str, death: Death) -> bool:
        """A worker takes one job and dies at a point; its lease has to run out before anybody else has the job."""
        with hooked(death):
            try:
                self.work(lane, 1)
            except Died:
                return True
        return False

    def stall(self, lane: str, point: str, seconds: float) -> bool:
        """A worker stops at a point for longer than its lease, others go on, and then it wakes."""
        stalled: list[str] = []

        def sleep(reached: str, kind: str) -> None:
            if reached == point and not stalled:
                stalled.append(kind)
                self.advance(seconds)
                points.hook = None
                self.work_all()

        with hooked(sleep):
            self.work(lane, 1)
        return bool(stalled)

    def advance(self, seconds: float) -> None:
        """For everybody: the database, the providers, and the machine under whoever holds a job."""
        self.world.advance(seconds)
        self.clock.shift += seconds

    def tick(self) -> None:
        """What beat does, all of it."""
        for entry in (
            scheduled.ensure_partitions,
            scheduled.sweep,
            scheduled.resolve_unknown,
            scheduled.synchronise_open,
            scheduled.close_abandoned,
        ):
            entry(self.worker)

    def is_due(self, lane: str) -> bool:
        query = (
            "SELECT count(*) AS n FROM jobs WHERE merchant_id = :m AND lane = :lane AND "
            "(status = 'queued' AND run_after <= app_now() OR status = 'running' AND lease_until < app_now())"
        )
        return bool(self.world.one(query, m=self.world.merchant_id, lane=lane)["n"])

    def jobs_open(self) -> list[Mapping[str, Any]]:
        query = (
            "SELECT kind, status, error, attempts FROM jobs WHERE merchant_id = :m AND status IN ('queued','running')"
        )
        return self.world.rows(query, m=self.world.merchant_id)

    def broken(self) -> list[invariants.Violation]:
        """By the checker that `tollgate doctor --invariants` runs, which knows nothing of this model."""
        database = self.world.worker.database
        found = invariants.check(database, settled=True)
        for provider in PROVIDERS:
            ledger = self.world.sandboxes[provider].get("ledger")
            found += invariants.compare_ledger(database, provider, ledger, None, settled=True)
        return found

    def surplus(self, payment_id: str) -> int:
        """Charges and holds that our own books call more than the payment asked for."""
        query = "SELECT count(*) AS n FROM transactions WHERE payment_id = :id AND surplus"
        return int(self.world.one(query, id=parse_id("payment", payment_id))["n"])


def _lift_partitions(connection: Connection) -> None:
    """Months ahead of wherever the clock stands by now."""
    connection.exec_driver_sql("SELECT ensure_partitions(6)")


def _order(letter: tuple[str, bytes]) -> tuple[str, ...]:
    provider, body = letter
    told = json.loads(body)
    data = told.get("data", {}).get("object", told.get("data", {}))
    parts = (told.get("created", 0), told.get("type", told.get("event")), data.get("amount"), data.get("status"))
    return (provider, *map(str, parts))


@contextmanager
def quiet_deaths() -> Iterator[None]:
    """A request's thread that dies on purpose is no error of the test run."""
    before = threading.excepthook

    def heard(arguments: threading.ExceptHookArgs) -> None:
        if not isinstance(arguments.exc_value, Died):
            before(arguments)

    threading.excepthook = heard
    try:
        yield
    finally:
        threading.excepthook = before
