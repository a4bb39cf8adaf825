"""A merchant with keys and accounts at both sandboxes, the gate over real HTTP, and a worker one can step."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import requests
import sqlalchemy as sa
from sqlalchemy.engine import Engine
from werkzeug.serving import WSGIRequestHandler, make_server

from api.app import build_app
from core.domain.identifiers import parse_id, public_id
from core.orchestration import accounts, api_keys, execute, jobs
from core.orchestration.context import Core
from core.orchestration.health import Health
from core.orchestration.pacing import PrivatePacer
from core.orchestration.together import Together
from core.persistence.database import Database, Scope, create_engine
from core.persistence.vault import Vault, new_keys, parse_keys
from core.providers.registry import PROVIDERS
from core.reconciliation.handlers import HANDLERS
from core.settings import Settings
from tests.support.databases import Urls
from tests.support.sandboxes import Sandbox
from tests.support.waiting import wait_until

LANES = ("payments", "webhooks", "deliveries")
#: High enough that no test waits for a provider's published limit; tests of pacing set their own.
UNPACED = {"pacing": {"per_operation": 100000, "total": 100000}}
RETURN_URL = "https://shop.example/back"


def settings_for(urls: Urls, redis_url: str, **changes: Any) -> Settings:
    base: dict[str, Any] = {
        "DATABASE_URL": urls.api,
        "REDIS_URL": redis_url,
        "rate_limit": "10000/second",
        "admin_rate_limit": "10000/second",
        "provider_deadline": 1.0,
        "provider_connect_timeout": 0.5,
        "allow_private_webhook_targets": True,
    }
    return Settings.model_validate({**base, **changes})


class _Quiet(WSGIRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """The gate logs its requests itself."""


class World:
    """Everything a test of the roads needs; one per test module."""

    def __init__(self, urls: Urls, redis_url: str, sandboxes: Mapping[str, Sandbox], **changes: Any) -> None:
        self.urls = urls
        self.sandboxes = sandboxes
        self.settings = settings_for(urls, redis_url, **changes)
        self.key_text = new_keys()
        self.keys = parse_keys(self.key_text)
        self.vault = Vault(self.keys)
        self.owner = create_engine(urls.owner, 2)
        self._engines: list[Engine] = [self.owner]
        self._moved = 0.0
        self._take_over_time()
        self.api = self._core(urls.api)
        self.worker = self._core(urls.worker)
        self.admin = Core(self.settings, Database(self.owner), self.vault)
        self._server = make_server("127.0.0.1", 0, build_app(self.api), threaded=True, request_handler=_Quiet)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.merchant_id = accounts.create_merchant(self.admin, "Shop")
        self.scope = Scope(self.merchant_id, "test")
        self.test_key = self.make_key("test")
        self.http = requests.Session()
        self.accounts: dict[str, UUID] = {}
        self.secrets: dict[str, str] = {}
        for provider in sandboxes:
            self.add_account(provider)

    def _core(self, url: str) -> Core:
        engine = create_engine(url, 20, autocommit=True)
        self._engines.append(engine)
        # Breakers and rests go by a clock of their own, which has to be moved with the others.
        health = Health(clock=lambda: time.time() + self._moved)
        roads: dict[str, Any] = {"pacer": PrivatePacer(), "together": Together(), "handlers": HANDLERS}
        return Core(self.settings, Database(engine), self.vault, health=health, **roads)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)
        self.http.close()
        for engine in self._engines:
            engine.dispose()

    # Setting up

    def make_key(self, kind: str, scopes: list[str] | None = None, merchant_id: UUID | None = None) -> str:
        made = api_keys.create(
            self.admin,
            kind=kind,  # type: ignore[arg-type]
            merchant_id=None if kind == "admin" else merchant_id or self.merchant_id,
            name="test key",
            scopes=scopes,
        )
        return made.text

    def add_account(self, provider: str, scope: Scope | None = None, name: str | None = None, **settings: Any) -> UUID:
        """An account at the sandbox whose webhooks come to this gate."""
        secret, signing = f"sk_test_{uuid4().hex}", f"whsec_{secrets.token_hex(16)}"
        keyed = PROVIDERS[provider].settings.signs_with_key
        sandbox = self.sandboxes[provider]
        sandbox.post("accounts", secret_key=secret)
        new = accounts.NewAccount(
            provider=provider,
            name=name or provider,
            credentials={"secret_key": secret, "publishable_key": f"pk_test_{uuid4().hex}"},
            webhook_secrets=[secret if keyed else signing],
            api_base=sandbox.url,
            settings={**UNPACED, **settings},
        )
        account_id = accounts.save_provider_account(self.admin, scope or self.scope, new, "test")
        hook = f"{self.url}/webhooks/{provider}/{public_id('provider_account', account_id)}"
        body = {"secret_key": secret, "webhook_url": hook}
        if not keyed:
            body["webhook_secret"] = signing
        sandbox.post("accounts", **body)
        self.accounts[name or provider] = account_id
        self.secrets[name or provider] = secret
        self.secrets[f"{name or provider}.webhook"] = secret if keyed else signing
        return account_id

    # Speaking to the gate

    def request(self, method: str, path: str, *, key: str | None = None, **options: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {key or self.test_key}", **options.pop("headers", {})}
        return self.http.request(method, self.url + path, headers=headers, timeout=40, **options)

    def get(self, path: str, **options: Any) -> requests.Response:
        return self.request("GET", path, **options)

    def post(self, path: str, body: Any = None, *, idempotency: str | None = None, **options: Any) -> requests.Response:
        headers = {"Idempotency-Key": idempotency or str(uuid4()), **options.pop("headers", {})}
        return self.request("POST", path, json={} if body is None else body, headers=headers, **options)

    def payment_body(self, **changes: Any) -> dict[str, Any]:
        body: dict[str, Any] = {
            "amount": 5000,
            "currency": "USD",
            "payment_method": {"type": "token", "token": "pm_card_visa"},
            "return_url": RETURN_URL,
        }
        return {**body, **changes}

    def redirect_body(self, **changes: Any) -> dict[str, Any]:
        person = {"email": "ada@example.com", "name": "Ada"}
        body = self.payment_body(payment_method={"type": "redirect"}, customer=person)
        return {**body, **changes}

    def create(self, **changes: Any) -> dict[str, Any]:
        """An accepted payment, not carried out yet."""
        answer = self.post("/v1/payments", self.payment_body(**changes))
        assert answer.status_code == 202, answer.text
        payment: dict[str, Any] = answer.json()["payment"]
        return payment

    def pay(self, **changes: Any) -> dict[str, Any]:
        """A payment carried out as far as it goes without the customer."""
        payment = self.create(**changes)
        self.settle()
        return self.payment(payment["id"])

    def payment(self, payment_id: str) -> dict[str, Any]:
        answer = self.get(f"/v1/payments/{payment_id}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    # The worker, stepped

    def work(self, lanes: tuple[str, ...] = LANES, rounds: int = 50) -> int:
        """Run every due job to its end, as a worker would; returns how many."""
        done = 0
        for _ in range(rounds):
            batch = [job for lane in lanes for job in jobs.claim(self.worker.database, lane, 20, "stepped", 60.0)]
            if not batch:
                return done
            for run in execute.prepare(self.worker, batch):
                run()
                done += 1
        raise AssertionError(f"jobs kept coming after {rounds} rounds")

    def settle(self) -> None:
        """Work until neither jobs nor webhooks are on their way."""

        def quiet() -> bool:
            sent = all(self._sent(provider) for provider in self.sandboxes)
            return self.work() == 0 and sent

        try:
            wait_until(quiet, "jobs and webhooks to come to rest")
        except AssertionError as error:
            raise AssertionError(f"{error}; not delivered: {self._unsent()}") from None

    def _unsent(self) -> dict[str, Any]:
        found = {}
        for name, sandbox in self.sandboxes.items():
            log = sandbox.get("webhooks", secret_key=self.secrets.get(name))
            found[name] = [one for one in log["deliveries"] if not one["delivered"]]
        return found

    def _sent(self, provider: str) -> bool:
        name = self.secrets.get(provider)
        found = self.sandboxes[provider].get("webhooks", secret_key=name, limit=1)
        return bool(found["pending"] == 0)

    def advance(self, seconds: float) -> None:
        """Move the time of the database and of both sandboxes; no webhook is signed in between."""
        sending = {name: box.get("settings")["webhooks"] for name, box in self.sandboxes.items()}
        for sandbox in self.sandboxes.values():
            sandbox.post("settings", webhooks=False)
            sandbox.post("clock", advance_seconds=seconds)
        self._moved += seconds
        self._take_over_time()
        for name, sandbox in self.sandboxes.items():
            sandbox.post("settings", webhooks=sending[name])

    def _take_over_time(self) -> None:
        """The sandboxes outlive this world's database and have kept the time other tests moved them to, one by one."""
        offsets = {name: box.get("clock")["offset_seconds"] for name, box in self.sandboxes.items()}
        shift = max(offsets.values())
        for name, offset in offsets.items():
            if offset < shift:
                self.sandboxes[name].post("clock", advance_seconds=shift - offset)
        with self.owner.begin() as connection:
            connection.execute(sa.text("UPDATE app_clock SET shift = make_interval(secs => :s)"), {"s": shift})

    # Looking inside

    def rows(self, query: str, **values: Any) -> list[Mapping[str, Any]]:
        with self.owner.connect() as connection:
            return [dict(row) for row in connection.execute(sa.text(query), values).mappings()]

    def open_transactions(self) -> list[str]:
        """The last statement of each that a worker's login has open; another login would be shown none."""
        query = (
            "SELECT query FROM pg_stat_activity WHERE usename = current_user AND datname = current_database() "
            "AND xact_start IS NOT NULL AND pid <> pg_backend_pid()"
        )
        with self.worker.database.unscoped() as connection:
            return list(connection.exec_driver_sql(query).scalars())

    def one(self, query: str, **values: Any) -> Mapping[str, Any]:
        found = self.rows(query, **values)
        assert len(found) == 1, found
        return found[0]

    def transactions(self, payment_id: str) -> list[Mapping[str, Any]]:
        query = "SELECT * FROM transactions WHERE payment_id = :id ORDER BY id"
        return self.rows(query, id=parse_id("payment", payment_id))

    def ledger(self, account: str) -> Any:
        """What really happened at the provider, for this world's account."""
        provider = next((name for name in self.sandboxes if account.startswith(name)), "stripe")
        return self.sandboxes[provider].get("ledger", secret_key=self.secrets[account])

    def charges(self, account: str, payment_id: str) -> list[Any]:
        """The provider's charges that carry this payment's mark."""
        found = self.ledger(account)["charges"]
        return [one for one in found if (one["metadata"] or {}).get("tollgate_payment") == payment_id]

    @contextmanager
    def fault(self, provider: str, **fault: Any) -> Iterator[Any]:
        made = self.sandboxes[provider].post("faults", secret_key=self.secrets[provider], **fault)
        try:
            yield made
        finally:
            self.sandboxes[provider].clear_faults()

    @contextmanager
    def without_webhooks(self, provider: str) -> Iterator[None]:
        """The sandbox keeps its events back, and sends them afterwards."""
        self.sandboxes[provider].post("settings", webhooks=False)
        try:
            yield
        finally:
            self.sandboxes[provider].post("settings", webhooks=True)

    def count(self) -> dict[str, int]:
        """Rows by table, to see that a refused request left none."""
        tables = "payments refunds transactions jobs idempotency_keys customers audit_log events"
        return {name: self.rows(f"SELECT count(*) AS n FROM {name}")[0]["n"] for name in tables.split()}


def made_directory(base: Path, name: str) -> Path:
    found = base / name
    found.mkdir(parents=True, exist_ok=True)
    return found
