"""Starts the real sandbox processes and hands out clients of the kinds that merchants use."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
import stripe

ROOT = Path(__file__).resolve().parents[2]
NEVER_REDIRECT = {"enabled": True, "allow_redirects": "never"}


def wait_until(condition: Callable[[], Any], seconds: float = 10.0) -> Any:
    """The first true answer of `condition`; fails when there is none in time."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not true within {seconds} s: {condition}")
        pause.wait(0.02)


class Sandbox:
    """One running provider process and its control doors."""

    def __init__(self, provider: str, directory: Path, *options: str) -> None:
        self.provider, self.directory, self.options = provider, directory, options
        self.http = requests.Session()
        self.http.trust_env = False
        self.start()

    def start(self) -> None:
        listening = self.directory / "listening.json"
        listening.unlink(missing_ok=True)
        command = [sys.executable, "-m", "sandbox", self.provider, "--port", "0", "--data-dir", str(self.directory)]
        self.process = subprocess.Popen(
            [*command, *self.options], cwd=ROOT, env={**os.environ, "PYTHONWARNINGS": "error"}, stderr=subprocess.PIPE
        )
        wait_until(lambda: listening.exists() or self.process.poll() is not None)
        assert self.process.poll() is None, self.process.stderr and self.process.stderr.read()
        self.url = json.loads(listening.read_text())["url"]
        wait_until(lambda: self.http.get(self.url + "/_sandbox/health", timeout=5).status_code == 200)

    def kill(self) -> None:
        self.process.kill()
        self.said()

    def stop(self) -> str:
        """Stops it as an operator would; answers what it wrote to standard error."""
        self.process.terminate()
        said = self.said()
        self.http.close()
        return said

    def said(self) -> str:
        """What the ended process wrote to standard error."""
        assert self.process.stderr
        with self.process.stderr:
            said = self.process.stderr.read().decode()
        self.process.wait(10)
        return said

    def door(self, method: str, path: str, /, **body: Any) -> Any:
        answer = self.http.request(method, f"{self.url}/_sandbox/{path}", json=body or None, timeout=10)
        answer.raise_for_status()
        return answer.json()


@dataclass
class Shop:
    """A Stripe account with the official client."""

    sandbox: Sandbox
    key: str
    client: stripe.StripeClient
    session: requests.Session

    def pay(self, **changes: Any) -> stripe.PaymentIntent:
        wanted = {
            "amount": 1000,
            "currency": "usd",
            "payment_method": "pm_card_visa",
            "confirm": True,
            "automatic_payment_methods": NEVER_REDIRECT,
        }
        return self.client.v1.payment_intents.create({**wanted, **changes})

    def raw(self, method: str, path: str, data: Any = None, **headers: str) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.key}", **{n.replace("_", "-"): v for n, v in headers.items()}}
        return self.session.request(method, self.sandbox.url + path, data=data, headers=headers, timeout=10)

    def submit(self, url: str, **fields: str) -> requests.Response:
        return self.session.post(url, data=fields, allow_redirects=False, timeout=10)

    def ledger(self) -> Any:
        return self.sandbox.door("GET", f"ledger?secret_key={self.key}")

    def fault(self, effect: str, /, **rest: Any) -> Any:
        return self.sandbox.door("POST", "faults", effect=effect, secret_key=self.key, **rest)

    def event_types(self, **wanted: Any) -> list[str]:
        """Types of the account's events, oldest first."""
        return [event.type for event in self.client.v1.events.list({"limit": 100, **wanted}).data][::-1]


def open_shop(sandbox: Sandbox, **account: Any) -> Iterator[Shop]:
    key = f"sk_test_{uuid.uuid4().hex}"
    sandbox.door("POST", "accounts", secret_key=key, **account)
    session = requests.Session()
    session.trust_env = False
    client = stripe.StripeClient(
        key,
        base_addresses={"api": sandbox.url},
        max_network_retries=0,
        http_client=stripe.RequestsClient(session=session, timeout=10),
    )
    yield Shop(sandbox, key, client, session)
    session.close()


@dataclass
class Integration:
    """A Paystack integration, spoken to with `requests`."""

    sandbox: Sandbox
    key: str
    number: int
    session: requests.Session

    def call(self, method: str, path: str, **body: Any) -> tuple[int, Any]:
        answer = self.session.request(method, self.sandbox.url + path, json=body or None, timeout=10)
        return answer.status_code, answer.json()

    def initialize(self, **changes: Any) -> Any:
        wanted = {"email": "ada@shop.example", "amount": 500_000, "callback_url": "https://shop.example/back"}
        status, body = self.call("POST", "/transaction/initialize", **{**wanted, **changes})
        assert status == 200, body
        return body["data"]

    def verify(self, reference: str) -> Any:
        status, body = self.call("GET", f"/transaction/verify/{reference}")
        assert status == 200, body
        return body["data"]

    def submit(self, url: str, **fields: str) -> requests.Response:
        return self.session.post(url, data=fields, allow_redirects=False, timeout=10)

    def paid(self, card: str = "4084084084084081", **changes: Any) -> Any:
        """A transaction that a customer has paid on the page."""
        started = self.initialize(**changes)
        assert self.submit(started["authorization_url"], action="pay", card=card).status_code == 303
        return self.verify(started["reference"])

    def ledger(self) -> Any:
        return self.sandbox.door("GET", f"ledger?secret_key={self.key}")

    def fault(self, effect: str, /, **rest: Any) -> Any:
        return self.sandbox.door("POST", "faults", effect=effect, secret_key=self.key, **rest)


def open_integration(sandbox: Sandbox, **account: Any) -> Iterator[Integration]:
    key = f"sk_test_{uuid.uuid4().hex}"
    number = int(sandbox.door("POST", "accounts", secret_key=key, **account)["account"])
    session = requests.Session()
    session.trust_env = False
    session.headers["Authorization"] = f"Bearer {key}"
    yield Integration(sandbox, key, number, session)
    session.close()


@dataclass
class Receiver:
    """A merchant's webhook address: keeps what arrives and answers what it is told."""

    server: ThreadingHTTPServer
    arrived: queue.Queue[tuple[dict[str, str], bytes]] = field(default_factory=queue.Queue)
    answers: list[int] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}/hook"

    def next(self, seconds: float = 10.0) -> tuple[dict[str, str], bytes]:
        return self.arrived.get(timeout=seconds)

    def take(self, *types: str, name: str = "type") -> dict[str, Any]:
        """What arrived until each of these event types has; the bodies by type."""
        found: dict[str, Any] = {}
        while set(types) - set(found):
            body = json.loads(self.next()[1])
            found[body[name]] = body
        return found


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path == "/hook":
                held.arrived.put((dict(self.headers.items()), body))
            self.send_response(held.answers.pop(0) if held.answers else 200)
            self.send_header("Content-Length", "0")
            self.send_header("Location", "/moved")  # never followed: a redirect is a failed delivery
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """The test's output is not the place for an access log."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

    held = Receiver(Server(("127.0.0.1", 0), Handler))
    thread = threading.Thread(target=held.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield held
    held.server.shutdown()
    held.server.server_close()
    thread.join()


@pytest.fixture
def run_sandbox(tmp_path: Path) -> Iterator[Callable[..., Sandbox]]:
    """Starts processes of a test's own, for what others must not feel: clocks, limits, restarts."""
    started: list[Sandbox] = []

    def run(provider: str, *options: str, directory: str = "data") -> Sandbox:
        folder = tmp_path / directory
        folder.mkdir(exist_ok=True)
        started.append(Sandbox(provider, folder, *options))
        return started[-1]

    yield run
    for sandbox in started:
        if sandbox.process.poll() is None:
            sandbox.stop()
        sandbox.http.close()


NO_LIMITS = ("--rate-limit", "0", "--rate-limit-total", "0")


@pytest.fixture(scope="session")
def stripe_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    sandbox = Sandbox("stripe", tmp_path_factory.mktemp("stripe"), *NO_LIMITS)
    sandbox.door("POST", "settings", settle_ms=50, webhook_delay_ms=0, webhook_retry_scale=0.0001)
    yield sandbox
    assert sandbox.stop() == "", "the sandbox complained"


@pytest.fixture(scope="session")
def paystack_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    sandbox = Sandbox("paystack", tmp_path_factory.mktemp("paystack"))
    sandbox.door("POST", "settings", settle_ms=50, webhook_delay_ms=0, webhook_retry_scale=0.0001)
    yield sandbox
    assert sandbox.stop() == "", "the sandbox complained"


@pytest.fixture
def shop(stripe_sandbox: Sandbox) -> Iterator[Shop]:
    yield from open_shop(stripe_sandbox)


@pytest.fixture
def hooked_shop(stripe_sandbox: Sandbox, receiver: Receiver) -> Iterator[Shop]:
    yield from open_shop(stripe_sandbox, webhook_url=receiver.url, webhook_secret="whsec_test")


@pytest.fixture
def integration(paystack_sandbox: Sandbox) -> Iterator[Integration]:
    yield from open_integration(paystack_sandbox)


@pytest.fixture
def hooked_integration(paystack_sandbox: Sandbox, receiver: Receiver) -> Iterator[Integration]:
    yield from open_integration(paystack_sandbox, webhook_url=receiver.url)


@pytest.fixture
def eventually() -> Callable[..., Any]:
    return wait_until


@pytest.fixture
def new_shop() -> Iterator[Callable[..., Shop]]:
    """Opens an account at a sandbox of the test's own."""
    opened: list[Iterator[Shop]] = []

    def make(sandbox: Sandbox, **account: Any) -> Shop:
        opened.append(open_shop(sandbox, **account))
        return next(opened[-1])

    yield make
    for shop in opened:
        next(shop, None)


@pytest.fixture
def new_integration() -> Iterator[Callable[..., Integration]]:
    opened: list[Iterator[Integration]] = []

    def make(sandbox: Sandbox, **account: Any) -> Integration:
        opened.append(open_integration(sandbox, **account))
        return next(opened[-1])

    yield make
    for one in opened:
        next(one, None)
