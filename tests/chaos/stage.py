"""One whole service behind fault proxies, with a merchant's receiver, and everything that hurts it or looks at it."""

from __future__ import annotations

import json
import random
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any
from unittest.mock import patch
from uuid import uuid4

import requests

from cli import supervisor
from cli.service import PROVIDERS, Service
from tests.chaos import looking
from tests.chaos.arming import PLANT, Crashes
from tests.chaos.looking import Stuck
from tests.chaos.proxy import Proxy
from tests.chaos.settings import PACING, SANDBOX, environment
from tests.support.receiver import Receiver
from tests.support.waiting import wait_until

__all__ = ["Accepted", "Stage", "Stuck"]

TOKEN = {"amount": 1000, "currency": "USD", "payment_method": {"type": "token", "token": "pm_card_visa"}}
REDIRECT = {
    "amount": 1000,
    "currency": "USD",
    "payment_method": {"type": "redirect"},
    "customer": {"email": "ada@example.com", "name": "Ada"},
    "return_url": "https://shop.example/back",
}
#: A client tries again on these: nothing or nobody is known to have answered it.
TRY_AGAIN = (0, 409, 425, 429, 500, 502, 503, 504)
#: What comes due within so many seconds is waited for, unless time is moved.
HORIZON = 15.0
#: One step of moved time at most: a page that stays open for a day is not closed by waiting for a look-up.
LONGEST_STEP = 6 * 3600.0


@dataclass(frozen=True)
class Accepted:
    """A request for a payment that was answered with 202."""

    payment: str
    job: str
    key: str
    body: Mapping[str, Any]


class Stage:
    """Thread-safe once started, except `start` and `stop`. `workers` worker processes; `settings` by their names."""

    def __init__(
        self,
        directory: Path,
        *,
        workers: int = 2,
        settings: Mapping[str, Any] | None = None,
        sabotage: str | None = None,
        seed: int = 0,
        receiver: bool = True,
    ) -> None:
        self.directory, self.seed, self.rng = directory, seed, random.Random(seed)
        self.crashes = Crashes(directory / "crashes")
        env = environment(settings or {}) | {"PYTHONPATH": str(PLANT), "CHAOS_DIRECTORY": str(self.crashes.directory)}
        if sabotage:
            env["CHAOS_SABOTAGE"] = sabotage
        self.proxies: dict[str, Proxy] = {}
        self.service = Service(
            directory / "service", workers=workers, env=env, temporary=True, report=self._told, via=self._via
        )
        self.accepted: list[Accepted] = []
        self.reports: list[tuple[float, str, dict[str, Any]]] = []
        self.receiver: Receiver | None = None
        self._wants_receiver = receiver
        # A child that dies again and again dies of us: nothing is wrong with it that waiting would spare.
        self._patience = patch.object(supervisor, "BACK_OFF", (0.1,))
        self._own_faults: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._local = threading.local()

    # Start and stop

    def start(self) -> None:
        self._patience.start()
        try:
            self.service.start()
            for provider in PROVIDERS:
                self._settle_sandbox(provider)
            self.query("UPDATE provider_accounts SET settings = %s", PACING)
            if self._wants_receiver:
                self.receiver = Receiver()
                answer = self.request("POST", "/v1/webhook_endpoints", {"url": self.receiver.url, "event_types": ["*"]})
                assert answer.status_code == 201, answer.text
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        self.disarm()
        for proxy in self.proxies.values():
            proxy.heal()
        self.service.stop()
        self._patience.stop()
        for proxy in self.proxies.values():
            proxy.close()
        if self.receiver is not None:
            self.receiver.close()
            self.receiver = None

    def __enter__(self) -> Stage:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def keep_logs(self, folder: Path) -> None:
        """Copies what the processes wrote to `folder`, for who looks at a failure afterwards."""
        shutil.copytree(self.service.data_dir / "logs", folder, dirs_exist_ok=True)

    # The merchant

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        key: str | None = None,
        idempotency: str | None = None,
        timeout: float = 20,
        headers: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """Straight to the api; a POST has a new Idempotency-Key unless one is given. Raises RequestException."""
        sent = {"Authorization": f"Bearer {key or self.service.test_key}", **(headers or {})}
        if method == "POST" or idempotency:
            sent.setdefault("Idempotency-Key", idempotency or str(uuid4()))
        url = self.service.api_url + path
        return self._session().request(method, url, json=body, headers=sent, timeout=timeout)

    def insist(
        self,
        path: str,
        body: Any = None,
        *,
        idempotency: str | None = None,
        method: str = "POST",
        seconds: float = 60,
        bearer: str | None = None,
    ) -> requests.Response:
        """The first answer that says something, under one Idempotency-Key: what a careful client does.

        `bearer` is an API key; the merchant's where it is left out.
        """
        key = idempotency or str(uuid4())
        last = ["no try"]

        def attempt() -> requests.Response | None:
            try:
                answer = self.request(method, path, body, key=bearer, idempotency=key)
            except requests.RequestException as error:
                last[0] = type(error).__name__
                return None
            last[0] = f"{answer.status_code} {answer.text[:300]}"
            # A Response that says no is false.
            return None if answer.status_code in TRY_AGAIN and not _conflict(answer) else answer

        end = time.monotonic() + seconds
        while (answer := attempt()) is None:
            if time.monotonic() > end:
                raise Stuck(f"{method} {path} got no answer for {seconds} s; the last: {last[0]}")
            self.pause(0.1)
        return answer

    def pay(self, *, idempotency: str | None = None, **changes: Any) -> dict[str, Any]:
        """An accepted payment by card token, 10 dollars at Stripe unless `changes` say otherwise."""
        body = {**TOKEN, **changes}
        return self._accept(body, idempotency)

    def pay_by_page(self, *, idempotency: str | None = None, **changes: Any) -> dict[str, Any]:
        """An accepted payment that its customer makes on a page."""
        return self._accept({**REDIRECT, **changes}, idempotency)

    def _accept(self, body: Mapping[str, Any], idempotency: str | None) -> dict[str, Any]:
        key = idempotency or str(uuid4())
        answer = self.insist("/v1/payments", body, idempotency=key)
        assert answer.status_code in (200, 202), answer.text
        payment: dict[str, Any] = answer.json()["payment"]
        self.note(Accepted(payment["id"], answer.json()["job"]["id"], key, body))
        return payment

    def note(self, accepted: Accepted) -> None:
        with self._lock:
            if all(one.payment != accepted.payment for one in self.accepted[-64:]):
                self.accepted.append(accepted)

    def payment(self, payment_id: str) -> dict[str, Any]:
        answer = self.insist(f"/v1/payments/{payment_id}", method="GET")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def open_page(self, payment_id: str, seconds: float = 30) -> str:
        """The address of a payment's page, once it is there."""

        def look() -> str | None:
            action = self.payment(payment_id)["next_action"]
            return action["url"] if action else None

        return wait_until(look, f"the page of {payment_id}", seconds, every=0.1)

    def events(self) -> list[dict[str, Any]]:
        """What the merchant's receiver was told, each with its `webhook-id`, in the order of arrival."""
        got = list(self.receiver.got) if self.receiver is not None else []
        return [{"webhook_id": one.headers.get("webhook-id"), **json.loads(one.body)} for one in got]

    # Faults

    def fault(self, provider: str, **fault: Any) -> str:
        """Orders one at a local provider (sandbox/README.md); returns its id."""
        return str(self.sandbox(provider, "faults", fault)["id"])

    def clear_faults(self) -> None:
        for provider in PROVIDERS:
            shown = self.sandbox(provider, "faults")["faults"]
            with self._lock:
                for one in shown:
                    self._own_faults[f"{provider}.{one['effect']}"] += int(one["fired"])
            requests.delete(f"{self.service.sandbox_urls[provider]}/_sandbox/faults", timeout=10).raise_for_status()

    def arm(self, point: str, kind: str = "*", nth: int = 1) -> str:
        """A process will die at the nth visit of a crash point; returns the order's name."""
        return self.crashes.arm(point, kind, nth)

    def disarm(self, name: str | None = None) -> list[str]:
        """Takes back what has not fired, and names it."""
        return self.crashes.disarm(name)

    def fired(self) -> list[dict[str, Any]]:
        """Every process that died at a crash point: {"name", "point", "kind", "pid", "at"}."""
        return self.crashes.fired()

    def kill(self, child: str, number: int = signal.SIGKILL) -> None:
        """api, worker-1, worker-2, beat, postgres (SIGQUIT is its immediate stop), redis, sandbox-stripe, …"""
        with self._lock:
            self._own_faults[f"{child}.{signal.Signals(number).name}"] += 1
        self.service.kill(child, number)

    @property
    def faults_fired(self) -> Counter[str]:
        """How often each fault happened so far."""
        found = Counter(self._own_faults)
        for part, proxy in self.proxies.items():
            found.update({f"{part}.{name}": count for name, count in proxy.fired.items()})
        found.update(one["point"] for one in self.fired())
        for provider, url in self.service.sandbox_urls.items():
            try:
                shown = requests.get(f"{url}/_sandbox/faults", timeout=10).json()["faults"]
            except requests.RequestException:
                continue  # it restarts; its faults were in memory only
            for one in shown:
                found[f"{provider}.{one['effect']}"] += int(one["fired"])
        return +found

    # Looking and waiting

    def query(self, sql: str, *values: Any) -> list[dict[str, Any]]:
        return looking.query(self.service.owner_database_url, sql, values)

    def sandbox(self, provider: str, door: str, body: Any = None) -> Any:
        """A local provider's control door; with a body a POST."""
        url = f"{self.service.sandbox_urls[provider]}/_sandbox/{door}"
        answer = requests.request("GET" if body is None else "POST", url, json=body, timeout=30)
        if not answer.ok:
            raise ValueError(f"{provider} refuses {door}: {answer.text}")
        return answer.json()

    def ledger(self, provider: str) -> dict[str, Any]:
        """What really happened at the provider."""
        found: dict[str, Any] = self.sandbox(provider, "ledger")
        return found

    def charges(self, provider: str, payment_id: str) -> list[dict[str, Any]]:
        """The provider's charges that carry the payment's mark."""
        found = self.ledger(provider)["charges"]
        return [one for one in found if (one["metadata"] or {}).get("tollgate_payment") == payment_id]

    def advance(self, seconds: float) -> None:
        """Moves the time of the database and of both providers. Leases end with it, so move it while nothing runs."""
        for provider in PROVIDERS:
            self.sandbox(provider, "clock", {"advance_seconds": seconds})
        self.query("UPDATE app_clock SET shift = shift + make_interval(secs => %s)", seconds)

    def quiet(self, seconds: float = 60, advance: bool = False) -> float:
        """Waits until no job is due or running and every webhook has arrived; returns how long it took.

        What comes due within 15 s is waited for; with `advance` whatever is still to come is, and time is moved
        to it. Raises Stuck naming what is open.
        """
        begun = time.monotonic()
        calm = 0
        while calm < 2:
            rows = looking.open_rows(self.service.owner_database_url, None if advance else HORIZON)
            pending = {provider: count for provider in PROVIDERS if (count := self._pending(provider))}
            calm = 0 if rows or pending else calm + 1
            if calm < 2 and time.monotonic() - begun > seconds:
                raise Stuck(f"not at rest after {seconds} s; webhooks under way: {pending}; open:{looking.told(rows)}")
            if advance and rows and all(row["due_in"] > 1 and row["status"] != "running" for row in rows):
                self.advance(min(rows[0]["due_in"] + 0.1, LONGEST_STEP))
            self.pause(0.1)
        return time.monotonic() - begun

    def _pending(self, provider: str) -> int:
        try:
            return int(self.sandbox(provider, "webhooks?limit=1")["pending"])
        except requests.RequestException:
            return 1  # it restarts: not at rest

    def invariants(self, *, settled: bool = True) -> list[Any]:
        """What is broken of I1 to I8 in our books, the providers' and the logs. `settled`: nothing is under way."""
        from tests.chaos.books import broken  # it loads the whole of the core, which a proxy's test does not need

        return broken(self, settled=settled)

    def pause(self, seconds: float) -> None:
        threading.Event().wait(seconds)

    # Inside

    def _via(self, part: str, port: int) -> int:
        found = self.proxies.get(part)
        if found is None:
            found = self.proxies[part] = Proxy(port)
        found.retarget(port)
        return found.port

    def _session(self) -> requests.Session:
        """One a thread: a session is not for several."""
        if not hasattr(self._local, "session"):
            self._local.session = requests.Session()
            self._local.session.trust_env = False
        found: requests.Session = self._local.session
        return found

    def _told(self, event: str, details: dict[str, Any]) -> None:
        self.reports.append((time.time(), event, details))
        child = str(details.get("child", ""))
        if event == "child_restarted" and child.startswith("sandbox-"):
            self._settle_sandbox(child.removeprefix("sandbox-"))

    def _settle_sandbox(self, provider: str) -> None:
        """A restart takes it back to its command line."""
        self.sandbox(provider, "settings", SANDBOX)


def _conflict(answer: requests.Response) -> bool:
    """A 409 that will not change: everything but another request under way with the same key."""
    return answer.status_code == 409 and "idempotency" not in answer.text
