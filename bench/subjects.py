"""The systems that are measured side by side, each behind the same few questions."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from uuid import uuid4

import requests

from bench import generator
from bench.floor import app as floor
from bench.generator import ROOT
from bench.stack import API_THREADS, THREE_EVENTS, Stack
from cli.processes import Guard

BODY = {"amount": 1000, "currency": "USD", "payment_method": {"type": "token", "token": "pm_card_visa"}}
#: Of Stripe's events to the plain way, and of its own events to the merchant (Standard Webhooks: base64).
WEBHOOK_SECRET = "whsec_plain"
ENDPOINT_SECRET = "whsec_" + "cGxhaW4gd2F5IG9mIHRoZSBiZW5jaCwgMjQgYnl0ZXM="
AS_WRITTEN = (("-c", "16"),)
#: Two processes of 100 threads: one alone fills one core and leaves the other idle.
TUNED = (("-P", "threads", "-c", "100"), ("-P", "threads", "-c", "100"))
_MERCHANT = "INSERT INTO merchants (id, name, api_key_hash, webhook_url, webhook_secret) VALUES (%s, %s, %s, %s, %s)"
_MAKE_TABLES = "from bench.plain.models import Base, engine; Base.metadata.create_all(engine)"


def free_port() -> int:
    with contextlib.closing(socket.socket()) as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class Processes:
    """Processes of ours in sessions of their own, ended by their ids; also if we are killed."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._guard: Guard | None = None
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, command: Sequence[str], env: Mapping[str, str]) -> None:
        with (self._logs / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **env},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        if self._guard is None:
            self._guard = Guard()
        self._guard.watch(self._running[name].pid, signal.SIGTERM)

    def pids(self, prefix: str = "") -> list[int]:
        return [child.pid for name, child in self._running.items() if name.startswith(prefix)]

    def wait(self, ready: Callable[[], bool], seconds: float = 30.0) -> None:
        deadline = time.monotonic() + seconds
        while not ready():
            for name, child in self._running.items():
                if child.poll() is not None:
                    raise RuntimeError(f"{name} ended while starting:\n{self.log(name)[-2000:]}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"not ready after {seconds:.0f} s: {', '.join(self._running)}")
            time.sleep(0.05)

    def log(self, name: str) -> str:
        return (self._logs / f"{name}.log").read_text(encoding="utf-8", errors="replace")

    def stop(self) -> None:
        for child in self._running.values():
            child.terminate()
        for child in self._running.values():
            try:
                child.wait(12)
            except subprocess.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child.pid, signal.SIGKILL)
                child.wait()
            if self._guard is not None:
                self._guard.drop(child.pid)
        self._running.clear()
        if self._guard is not None:
            self._guard.close()
            self._guard = None


def listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.5):
        return True
    return False


class Subject(ABC):
    """One of the systems. `start` returns when it takes payments; nothing else of them runs then."""

    name = ""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.url = ""
        #: The merchant's endpoint, where webhooks are on: three come in and one event goes out in each payment.
        self.receiver: Receiver | None = None

    @abstractmethod
    def start(self) -> None: ...

    @abstractmethod
    def stop(self) -> None: ...

    @abstractmethod
    def groups(self) -> dict[str, list[int]]:
        """Process ids by part, without what all share."""

    @abstractmethod
    def done(self) -> int:
        """Payments at their final status, of all time."""

    @abstractmethod
    def open(self) -> int:
        """Payments accepted and not final."""

    @abstractmethod
    def payment(self) -> str:
        """The next payment to send, as a request."""

    def payments(self, count: int) -> list[str]:
        return [self.payment() for _ in range(count)]

    def told(self) -> int:
        """Messages the merchant's endpoint has had, each counted once."""
        return self.receiver.messages() if self.receiver is not None else 0

    def settled(self, told: int = 0) -> bool:
        """Nothing of anything is open; the merchant's endpoint has had `told` messages in all."""
        if self.open():
            return False
        return self.receiver is None or (self.told() >= told and not self.stack.webhooks_to_come())

    def all_groups(self) -> dict[str, list[int]]:
        shared = {name: pids for name, pids in self.stack.groups().items() if name in ("postgres", "redis", "sandbox")}
        if self.receiver is not None:
            shared["receiver"] = self.receiver.pids
        return {**self.groups(), **shared}


class Receiver:
    """A merchant's endpoint: `with Receiver(stack) as receiver`."""

    def __init__(self, stack: Stack) -> None:
        self._processes = Processes(stack.directory / "logs")
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/hook"
        self.root = f"http://127.0.0.1:{self.port}"
        self._session = requests.Session()

    def __enter__(self) -> Receiver:
        self._processes.start("receiver", [sys.executable, "-m", "bench.receiver", str(self.port)], {})
        self._processes.wait(lambda: listens(self.port))
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()
        self._processes.stop()

    @property
    def pids(self) -> list[int]:
        return self._processes.pids()

    def messages(self) -> int:
        return int(self._session.get(f"{self.root}/", timeout=5).json()["messages"])

    def last(self) -> tuple[str, str]:
        """Head and body of the last post."""
        head, body = self._session.get(f"{self.root}/last", timeout=5).json()
        return head, body


class Ours(Subject):
    name = "tollgate"

    def start(self) -> None:
        self.stack.start_ours()
        self.url = self.stack.service.api_url

    def stop(self) -> None:
        self.stack.stop_ours()

    def groups(self) -> dict[str, list[int]]:
        return {name: pids for name, pids in self.stack.groups().items() if name in ("api", "worker", "beat")}

    def done(self) -> int:
        return int(self.stack.one("SELECT count(*) FROM payments WHERE status IN ('succeeded', 'failed', 'canceled')"))

    def open(self) -> int:
        if self.receiver is None:
            return self.lane("payments")
        return sum(self.lane(name) for name in ("payments", "webhooks", "deliveries"))

    def lane(self, name: str) -> int:
        """Jobs that are due or run; those put off to later (a check of a payment in an hour) are no queue."""
        queued = "SELECT count(*) FROM jobs WHERE status = 'queued' AND lane = %s AND run_after <= app_now()"
        running = "SELECT count(*) FROM jobs WHERE status = 'running' AND lane = %s"
        return int(self.stack.one(queued, name)) + int(self.stack.one(running, name))

    def listen(self, receiver: Receiver | None) -> None:
        """From now on three webhooks come in and one event goes out in each payment, or nothing of it."""
        self.receiver = receiver
        self.stack.webhooks(receiver is not None)
        url, headers = self.stack.service.api_url, {"Authorization": f"Bearer {self.stack.service.test_key}"}
        if receiver is None:
            found = requests.get(f"{url}/v1/webhook_endpoints", headers=headers, timeout=10).json()["data"]
            for one in found:
                requests.delete(f"{url}/v1/webhook_endpoints/{one['id']}", headers=headers, timeout=10)
            return
        body = {"url": receiver.url, "event_types": ["payment.succeeded"]}
        headers["Idempotency-Key"] = str(uuid4())
        requests.post(f"{url}/v1/webhook_endpoints", json=body, headers=headers, timeout=10).raise_for_status()

    def payment(self) -> str:
        return self.with_token("pm_card_visa")

    def with_token(self, token: str) -> str:
        headers = {"Authorization": f"Bearer {self.stack.service.test_key}", "Idempotency-Key": str(uuid4())}
        body = {**BODY, "payment_method": {"type": "token", "token": token}}
        return generator.request("POST", "/v1/payments", headers, json.dumps(body))


class Floor(Subject):
    """A bare handler on the same server; `app` is one of the three in `bench.floor.app`."""

    name = "floor"
    database = "bench_floor"

    def __init__(self, stack: Stack, app: str = "end_to_end") -> None:
        super().__init__(stack)
        self.app = app
        self._processes = Processes(stack.directory / "logs")

    def start(self) -> None:
        self.stack.stop_ours()
        port = free_port()
        command = self.stack.granian(f"bench.floor.app:{self.app}", port)
        env = {"BENCH_DATABASE_URL": self.stack.make_database(self.database)}
        env |= {"BENCH_STRIPE_URL": self.stack.stripe_url, "BENCH_STRIPE_KEY": "sk_test_floor"}
        env |= {"BENCH_WEBHOOK_SECRET": self.stack.webhook_secret, "BENCH_THREADS": str(API_THREADS)}
        self.stack.sql(floor.TABLES, database=self.database)
        self._processes.start("floor", command, env)
        self._processes.wait(lambda: listens(port))
        self.url = f"http://127.0.0.1:{port}"

    def stop(self) -> None:
        self._processes.stop()

    def groups(self) -> dict[str, list[int]]:
        return {"api": self._processes.pids()}

    def done(self) -> int:
        return int(
            self.stack.one("SELECT count(*) FROM floor_payments WHERE status <> 'accepted'", database=self.database)
        )

    def open(self) -> int:
        return int(
            self.stack.one("SELECT count(*) FROM floor_payments WHERE status = 'accepted'", database=self.database)
        )

    def payment(self) -> str:
        headers = {"Authorization": "Bearer none", "Idempotency-Key": str(uuid4())}
        return generator.request("POST", "/v1/payments", headers, json.dumps(BODY))


class Plain(Subject):
    """The plain way, as usually written or tuned; see `bench/plain/README.md`."""

    database = "bench_plain"
    key = "sk_plain_bench"

    def __init__(self, stack: Stack, *, tuned: bool = False) -> None:
        super().__init__(stack)
        self.name = "plain, tuned" if tuned else "plain"
        self.workers = TUNED if tuned else AS_WRITTEN
        self._processes = Processes(stack.directory / "logs")

    def start(self) -> None:
        self.stack.stop_ours()
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        address = self.stack.make_database(self.database).replace("postgresql://", "postgresql+psycopg2://", 1)
        env = {"PLAIN_DATABASE_URL": address, "PLAIN_BROKER_URL": self.stack.service.redis_url.rsplit("/", 1)[0] + "/5"}
        env |= {"PLAIN_STRIPE_URL": self.stack.stripe_url, "PLAIN_STRIPE_KEY": "sk_test_plain"}
        env["PLAIN_WEBHOOK_SECRET"] = WEBHOOK_SECRET
        subprocess.run([sys.executable, "-c", _MAKE_TABLES], env={**os.environ, **env}, cwd=ROOT, check=True)
        row = (str(uuid4()), "Shop", hashlib.sha256(self.key.encode()).hexdigest())
        endpoint = (self.receiver.url if self.receiver is not None else None, ENDPOINT_SECRET)
        self.stack.sql(_MERCHANT, *row, *endpoint, database=self.database)
        account = {"secret_key": "sk_test_plain", "webhook_secret": WEBHOOK_SECRET}
        if self.receiver is not None:
            account |= {"webhook_url": f"{self.url}/webhooks/stripe", "webhook_events": list(THREE_EVENTS)}
        self.stack.sandbox("accounts", account)
        self._processes.start("plain-api", self.stack.granian("bench.plain.app:create_app", port), env)
        for number, options in enumerate(self.workers, 1):
            command = [sys.executable, "-m", "celery", "-q", "-A", "bench.plain.tasks:celery", "worker", *options]
            command += ["-n", f"plain{number}@%h", "--loglevel", "INFO", "--without-gossip", "--without-mingle"]
            self._processes.start(f"plain-worker-{number}", command, {**env, "PLAIN_POOL": "20"})
        names = [f"plain-worker-{number}" for number in range(1, len(self.workers) + 1)]
        self._processes.wait(lambda: listens(port) and all(" ready" in self._processes.log(name) for name in names))

    def stop(self) -> None:
        self._processes.stop()

    def groups(self) -> dict[str, list[int]]:
        return {"api": self._processes.pids("plain-api"), "worker": self._processes.pids("plain-worker")}

    def done(self) -> int:
        return int(self.stack.one("SELECT count(*) FROM payments WHERE status <> 'processing'", database=self.database))

    def open(self) -> int:
        return int(self.stack.one("SELECT count(*) FROM payments WHERE status = 'processing'", database=self.database))

    def payment(self) -> str:
        headers = {"Authorization": f"Bearer {self.key}", "Idempotency-Key": str(uuid4())}
        return generator.request("POST", "/payments", headers, json.dumps(BODY))
