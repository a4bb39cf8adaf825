"""What a case is, and the ground it stands on: one stage, what is expected of it, what was done to it."""

from __future__ import annotations

import contextlib
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar
from uuid import uuid4

import psycopg2
import requests

from core.domain.identifiers import parse_id
from tests.chaos.proxy import Proxy
from tests.chaos.stage import Stage
from tests.support.databases import plain
from tests.support.waiting import wait_until

T = TypeVar("T")
#: Seconds in which a payment that was hit has to come to its end, shortened delays included.
PATIENCE = 30.0
#: "apart" cases change what others would notice, and get a stage that is thrown away after them. Those that may notice
#: each other stand side by side in the table and share one.
Profile = Literal["shared", "apart", "clock", "limits"]


class Ground:
    """A stage during one case. `counted` holds the faults that no proxy, provider or crash point counts."""

    def __init__(self, stage: Stage) -> None:
        self.stage, self.rng = stage, stage.rng
        self.counted: Counter[str] = Counter()
        self.hurt_at: float | None = None

    # What is done

    def hurt(self, name: str, times: int = 1) -> None:
        """A fault that nothing else counts has happened now."""
        self.counted[name] += times
        self.since()

    def since(self) -> None:
        """Recovery is measured from here."""
        self.hurt_at = time.monotonic()

    def at_once(self, calls: Sequence[Callable[[], T]], most: int = 100) -> list[T]:
        """In parallel, each in a thread of its own; the answers in order."""
        with ThreadPoolExecutor(min(most, len(calls))) as pool:
            return [one.result(120) for one in [pool.submit(call) for call in calls]]

    def pay_many(self, count: int, threads: int = 8, **body: Any) -> list[str]:
        """The ids of so many accepted payments."""
        calls = [lambda: str(self.stage.pay(**body)["id"])] * count
        return self.at_once(calls, threads)

    def kill(self, child: str, number: int = signal.SIGKILL) -> None:
        self.stage.kill(child, number)
        self.since()

    def submit(self, page: str, **fields: str) -> requests.Response:
        """The customer at a provider's page."""
        return requests.post(page, data=fields, allow_redirects=False, timeout=10)

    def paystack(self, **body: Any) -> dict[str, Any]:
        """An accepted payment on Paystack's page."""
        return self.stage.pay_by_page(**{"provider": "paystack", "currency": "NGN", "amount": 500000, **body})

    def paid_at_paystack(self, **body: Any) -> str:
        """A payment whose customer has paid on Paystack's page."""
        payment = str(self.paystack(**body)["id"])
        self.submit(self.stage.open_page(payment), action="pay", card="4084084084084081")
        self.ended(payment, "succeeded")
        return payment

    @contextlib.contextmanager
    def without_webhooks(self, *providers: str) -> Iterator[None]:
        """The providers keep their events back, and send them afterwards."""
        for provider in providers or ("stripe", "paystack"):
            self.stage.sandbox(provider, "settings", {"webhooks": False})
        try:
            yield
        finally:
            for provider in providers or ("stripe", "paystack"):
                self.stage.sandbox(provider, "settings", {"webhooks": True})

    @contextlib.contextmanager
    def held(self, statement: str) -> Iterator[None]:
        """The owner holds a lock in a transaction of his own."""
        connection = psycopg2.connect(plain(self.stage.service.owner_database_url))
        try:
            connection.cursor().execute(statement)
            yield
        finally:
            connection.close()

    # What is expected

    def ended(self, payment_id: str, *statuses: str, seconds: float = PATIENCE) -> dict[str, Any]:
        """The payment once it has one of the statuses."""
        wanted = statuses or ("succeeded",)

        def look() -> dict[str, Any]:
            found = self.stage.payment(payment_id)
            return found if found["status"] in wanted else {}

        return wait_until(look, f"{payment_id} to be {' or '.join(wanted)}", seconds, every=0.1)

    def paid_once(self, payment_id: str, provider: str = "stripe", seconds: float = PATIENCE) -> dict[str, Any]:
        """Succeeded, with one charge that did."""
        found = self.ended(payment_id, "succeeded", seconds=seconds)
        self.charged(payment_id, 1, provider)
        return found

    def charged(self, payment_id: str, times: int, provider: str = "stripe") -> None:
        good = [one for one in self.stage.charges(provider, payment_id) if one["status"] in ("succeeded", "authorized")]
        expect(len(good) == times, f"{payment_id} has {len(good)} charges at {provider} instead of {times}")

    # What is in the database

    def jobs(self, payment_id: str, kind: str = "%") -> list[dict[str, Any]]:
        statement = "SELECT * FROM jobs WHERE payment_id = %s AND kind LIKE %s ORDER BY id"
        return self.stage.query(statement, uuid_of(payment_id), kind)

    def transactions(self, payment_id: str, kind: str = "%") -> list[dict[str, Any]]:
        statement = "SELECT * FROM transactions WHERE payment_id = %s AND kind LIKE %s ORDER BY id"
        return self.stage.query(statement, uuid_of(payment_id), kind)

    def count(self, statement: str, *values: Any) -> int:
        return int(self.stage.query(f"SELECT count(*) AS n FROM {statement}", *values)[0]["n"])

    def money_rows(self, payment_id: str) -> list[dict[str, Any]]:
        """Every row about a payment with the transaction that wrote it last."""
        tables = ("payments p WHERE p.id", "transactions p WHERE p.payment_id", "jobs p WHERE p.payment_id")
        parts = [f"SELECT p.xmin::text AS written, to_jsonb(p) AS row FROM {one} = %s" for one in tables]
        mark = uuid_of(payment_id)
        return self.stage.query(" UNION ALL ".join(parts) + " ORDER BY 2", mark, mark, mark)

    # Processes

    def worker_of(self, payment_id: str, kind: str = "create_payment", seconds: float = 10) -> str:
        """The child that runs this job of the payment now; another may tell of the payment meanwhile."""

        def look() -> str:
            jobs = self.jobs(payment_id, kind)
            running = [job["worker"] for job in jobs if job["status"] == "running" and job["worker"]]
            names = {str(pid): name for name, pid in self.stage.service.children.items()}
            return next((names[one.rpartition(":")[2]] for one in running if one.rpartition(":")[2] in names), "")

        return wait_until(look, f"a worker to run {payment_id}", seconds, every=0.01)

    def died_at(self, order: str, seconds: float = 20) -> None:
        self.stage.crashes.wait(order, seconds)
        self.since()

    def log(self, child: str) -> str:
        return (self.stage.service.data_dir / "logs" / f"{child}.log").read_text(errors="replace")

    def all_alive(self, seconds: float = 40) -> None:
        """Every child runs, and the api answers that it is ready."""
        wanted = {"api", "worker-1", "worker-2", "beat", "postgres", "redis", "sandbox-stripe", "sandbox-paystack"}

        def look() -> bool:
            try:
                ready = self.stage.request("GET", "/readyz").status_code == 200
            except requests.RequestException:
                return False
            return ready and wanted <= set(self.stage.service.children)

        wait_until(look, "every process to be back", seconds, every=0.1)

    def proxy(self, name: str) -> Proxy:
        return self.stage.proxies[name]


@dataclass(frozen=True)
class Case:
    """A row of the table. `number` is RELIABILITY's, with a letter where a row is split; "+" for those beyond it.

    `run` None: not built yet, and `note` says what is missing. `faults` is how many have to happen at least.
    """

    number: str
    group: str
    name: str
    holds: str
    faults: int
    run: Callable[[Ground], None] | None
    profile: Profile = "shared"
    note: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    # Invariants that this case breaks by its nature; `note` says why.
    excused: frozenset[str] = frozenset()

    @property
    def title(self) -> str:
        return f"{self.number:>3} {self.group}: {self.name}"


def expect(condition: object, words: str) -> None:
    """Raises AssertionError."""
    if not condition:
        raise AssertionError(words)


def uuid_of(payment_id: str) -> str:
    return str(parse_id("payment", payment_id))


def fresh(word: str) -> str:
    """An Idempotency-Key nobody has used."""
    return f"{word}-{uuid4()}"
