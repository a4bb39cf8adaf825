"""The back office: an administrator's key, the provider's own dashboard, and a clock that can be moved."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg2
import requests

from cli.demo.client import PATIENCE, Surprise

#: Runs reach back this far: the whole of the tour, and the days by which its clock was moved.
REACH = timedelta(days=6)


class Office:
    """Whoever looks after the books. `keys` are the secret keys of the accounts at the local providers."""

    def __init__(
        self,
        api_url: str,
        admin_key: str,
        merchant: str,
        accounts: Mapping[str, str],
        owner_url: str,
        sandbox_urls: Mapping[str, str],
        keys: Mapping[str, str],
    ) -> None:
        self._home = f"{api_url}/admin/v1/merchants/{merchant}"
        self._accounts, self._owner_url = accounts, owner_url
        self._sandboxes, self._keys = sandbox_urls, keys
        self._http = requests.Session()
        self._http.trust_env = False
        self._admin = {"Authorization": f"Bearer {admin_key}"}

    def account(self, provider: str) -> str:
        """The id of the shop's account there."""
        return self._accounts[provider]

    def get(self, path: str, **params: Any) -> dict[str, Any]:
        answer = self._http.get(
            self._home + path, params={"mode": "test", **params}, headers=self._admin, timeout=PATIENCE
        )
        return self._body(answer, path)

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        answer = self._http.post(
            self._home + path, params={"mode": "test"}, json=body, headers=self._admin, timeout=PATIENCE
        )
        return self._body(answer, path)

    def _body(self, answer: requests.Response, path: str) -> dict[str, Any]:
        if not answer.ok:
            raise Surprise(f"{path} answered {answer.status_code}: {answer.text[:200]}")
        found: dict[str, Any] = answer.json()
        return found

    def reconcile(self, provider: str, kind: str) -> dict[str, Any]:
        """A run from its start to its end."""
        until = self.now()
        window = {"since": (until - REACH).isoformat(), "until": until.isoformat()}
        run = self._started({"provider_account": self._accounts[provider], "kind": kind, **window})
        waited = threading.Event()
        for _ in range(PATIENCE * 10):
            found = self.get(f"/reconciliation/runs/{run['id']}")
            if found["status"] not in ("queued", "running"):
                return found
            waited.wait(0.1)
        raise Surprise(f"the run {run['id']} did not end in {PATIENCE} s")

    def _started(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Once the one that the clock may have started is over."""
        waited = threading.Event()
        for _ in range(PATIENCE * 5):
            answer = self._http.post(
                f"{self._home}/reconciliation/runs",
                params={"mode": "test"}, json=body, headers=self._admin, timeout=PATIENCE,
            )  # fmt: skip
            if answer.status_code != 409:
                return self._body(answer, "/reconciliation/runs")
            waited.wait(0.2)
        raise Surprise("another run went on and on")

    def now(self) -> datetime:
        """The database's time."""
        found: datetime = self._query("SELECT app_now()")[0][0]
        return found.astimezone(UTC)

    def advance(self, **span: float) -> None:
        """Moves the time of the database and of both providers."""
        seconds = timedelta(**span).total_seconds()
        for url in self._sandboxes.values():
            self._http.post(f"{url}/_sandbox/clock", json={"advance_seconds": seconds}, timeout=PATIENCE)
        self._query("UPDATE app_clock SET shift = shift + make_interval(secs => %s) RETURNING 1", seconds)

    def _query(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        connection = psycopg2.connect(self._owner_url.replace("postgresql+psycopg2://", "postgresql://", 1))
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(statement, values)
                return list(cursor.fetchall())
        finally:
            connection.close()

    def dashboard_refund(self, intent: str, amount: int) -> None:
        """As somebody would make it at Stripe's own dashboard."""
        answer = self._http.post(
            f"{self._sandboxes['stripe']}/v1/refunds",
            data={"payment_intent": intent, "amount": amount},
            auth=(self._keys["stripe"], ""),
            timeout=PATIENCE,
        )
        self._body(answer, "/v1/refunds")
