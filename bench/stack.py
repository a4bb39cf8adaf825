"""What all measured systems stand on: one Tollgate installation with its Postgres, Valkey and sandbox.

Only one system runs at a time: Tollgate's own processes are stopped while the floor or the plain way is measured.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import psycopg2
import requests
from sqlalchemy.engine import make_url

from cli import seed
from cli.secrets_file import Secrets
from cli.service import Service
from core.settings import Settings

LATENCY_MS = 300
WORKERS = 2
#: The API's own numbers, for whatever else is served beside it.
API_PROCESSES: int = Settings.model_fields["api_processes"].default
API_THREADS: int = Settings.model_fields["api_threads"].default
#: One key does the whole load here, so the limit of a key must not be what is measured.
ENVIRONMENT = {"TOLLGATE_RATE_LIMIT": "1000000/second"}
PACING = '{"pacing": {"per_operation": 100000, "total": 100000}}'
THREE_EVENTS = ("payment_intent.created", "charge.succeeded", "payment_intent.succeeded")


class Stack:
    """`with Stack() as stack`: started, with Tollgate's own processes running; everything is removed at the end."""

    def __init__(self, env: Mapping[str, str] | None = None) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="tollgate-bench-"))
        os.chmod(self._folder, 0o711)  # as root, Postgres runs under another account, which must pass
        self.directory = self._folder / "data"
        self.service = Service(self.directory, workers=WORKERS, env={**ENVIRONMENT, **(env or {})})
        self._connections: dict[str, Any] = {}
        self._ours: list[str] = []
        self.latency_ms: float = LATENCY_MS

    def __enter__(self) -> Stack:
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start(self) -> None:
        # Not `temporary`: that would turn Postgres' fsync off.
        self.service.start()
        self._ours = [name for name in self.service.children if self._is_ours(name)]
        self.sql("ALTER SYSTEM SET track_commit_timestamp = on", superuser=True)
        self._forget_connections()
        self.service.restart("postgres")
        self.sql("UPDATE provider_accounts SET settings = %s", PACING)
        for account in ("floor", "plain"):
            self.sandbox("accounts", {"secret_key": f"sk_test_{account}"})
        self.webhooks(False)
        self.latency(LATENCY_MS)

    def close(self) -> None:
        self._forget_connections()
        self.service.stop()
        placed = self.service._postgres.placement if self.service._postgres is not None else None
        if placed is not None:
            placed.remove()
        shutil.rmtree(self._folder, ignore_errors=True)

    # The sandbox

    @property
    def stripe_url(self) -> str:
        return self.service.sandbox_urls["stripe"]

    def sandbox(self, door: str, body: dict[str, Any]) -> None:
        requests.post(f"{self.stripe_url}/_sandbox/{door}", json=body, timeout=10).raise_for_status()

    def latency(self, milliseconds: float) -> None:
        """How long the provider takes to answer."""
        self.latency_ms = milliseconds
        self.sandbox("settings", {"latency_ms": milliseconds, "rate_limit": 0, "rate_limit_total": 0})

    @property
    def webhook_secret(self) -> str:
        return seed.webhook_secret(Secrets(self.directory), "stripe")

    @property
    def webhook_path(self) -> str:
        return f"/webhooks/stripe/{self.service.seeded.accounts['stripe']}"

    def webhooks_to_come(self) -> int:
        """Webhooks that the sandbox has not delivered yet, to anybody."""
        told = requests.get(f"{self.stripe_url}/_sandbox/webhooks", params={"limit": "1"}, timeout=10).json()
        return int(told["pending"])

    def stripe_account(self) -> dict[str, Any]:
        """Of Tollgate's own account at the sandbox, as its door for accounts takes it."""
        return {**seed.credentials(Secrets(self.directory), "stripe"), "webhook_secret": self.webhook_secret}

    def webhooks(self, on: bool) -> None:
        """Three signed webhooks in each payment of Tollgate's account, or none."""
        account = self.stripe_account()
        if on:
            account["webhook_url"] = f"{self.service.api_url}{self.webhook_path}"
            account["webhook_events"] = list(THREE_EVENTS)
        self.sandbox("accounts", account)

    # Tollgate's own processes

    def _is_ours(self, name: str) -> bool:
        return name in ("api", "beat") or name.startswith("worker")

    def stop_ours(self, *names: str) -> None:
        for name in reversed(names or self._ours):
            if name in self.service.children:
                self.service.stop_child(name)

    def start_ours(self, *names: str) -> None:
        for name in names or self._ours:
            if name not in self.service.children:
                self.service.start_child(name)

    @property
    def workers(self) -> list[str]:
        return [name for name in self._ours if name.startswith("worker")]

    @contextmanager
    def frozen_workers(self) -> Iterator[None]:
        """The workers stand still: what comes in is stored and waits."""
        for name in self.workers:
            self.service.kill(name, signal.SIGSTOP)
        try:
            yield
        finally:
            for name in self.workers:
                self.service.kill(name, signal.SIGCONT)

    def groups(self) -> dict[str, list[int]]:
        """Process ids of the running parts by what they are."""
        children = self.service.children
        found: dict[str, list[int]] = {}
        for name, pid in children.items():
            group = "worker" if name.startswith("worker") else "sandbox" if name.startswith("sandbox") else name
            found.setdefault(group, []).append(pid)
        return found

    def granian(self, app: str, port: int) -> list[str]:
        """The same server as Tollgate's API, with the same settings, for another application."""
        options = ["--interface", "wsgi", "--factory", "--host", "127.0.0.1", "--port", str(port), "--no-ws"]
        options += ["--workers", str(API_PROCESSES), "--blocking-threads", str(API_THREADS)]
        options += ["--respawn-failed-workers", "--workers-kill-timeout", "10", "--log-level", "warning"]
        return [sys.executable, "-m", "granian", *options, app]

    # Postgres

    def address(self, database: str = "", *, superuser: bool = False) -> str:
        """A URL for psycopg2, of the owner of the tables or the superuser."""
        postgres = self.service._postgres
        assert postgres is not None
        url = make_url(postgres.superuser_url if superuser else postgres.url).set(drivername="postgresql")
        if database:
            url = url.set(database=database)
        return url.render_as_string(hide_password=False)

    def make_database(self, name: str) -> str:
        """An empty one; its URL."""
        kept = self._connections.pop(self.address(name), None)
        if kept is not None:
            kept.close()
        self.sql(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        self.sql(f'CREATE DATABASE "{name}"')
        return self.address(name)

    def sql(self, statement: str, *values: Any, database: str = "", superuser: bool = False) -> list[tuple[Any, ...]]:
        """Rows of a statement on a connection that is kept, so that watching costs little."""
        url = self.address(database, superuser=superuser)
        if url not in self._connections:
            self._connections[url] = psycopg2.connect(url)
            self._connections[url].autocommit = True
        with closing(self._connections[url].cursor()) as cursor:
            cursor.execute(statement, values or None)
            return list(cursor.fetchall()) if cursor.description else []

    def one(self, statement: str, *values: Any, database: str = "") -> Any:
        return self.sql(statement, *values, database=database)[0][0]

    def written(self) -> tuple[int, int]:
        """Commits of all databases and bytes of the log written ahead, of all time."""
        query = "SELECT sum(xact_commit)::bigint, pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint FROM "
        commits, wal = self.sql(query + "pg_stat_database")[0]
        return int(commits), int(wal)

    def _forget_connections(self) -> None:
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()
