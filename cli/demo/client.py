"""What a shop's backend would do: call the API, follow redirects for the customer, receive events."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import uuid4

import requests
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

#: Seconds a job may take before the tour calls it stuck; the slowest step waits for a look-up after 5 s.
PATIENCE = 40


class Surprise(Exception):
    """Something in the tour went another way than it should; the message says which."""


class Shop:
    """A backend with a test key."""

    def __init__(self, api_url: str, test_key: str) -> None:
        self.api_url = api_url
        self._http = requests.Session()
        self._http.trust_env = False
        self._http.headers["Authorization"] = f"Bearer {test_key}"

    def post(self, path: str, body: dict[str, Any] | None = None, key: str | None = None) -> requests.Response:
        headers = {"Idempotency-Key": key or str(uuid4())}
        return self._http.post(self.api_url + path, json=body or {}, headers=headers, timeout=PATIENCE)

    def delete(self, path: str) -> None:
        headers = {"Idempotency-Key": str(uuid4())}
        self._http.delete(self.api_url + path, headers=headers, timeout=PATIENCE)

    def get(self, path: str, **params: Any) -> dict[str, Any]:
        answer = self._http.get(self.api_url + path, params=params, timeout=PATIENCE + 10)
        if answer.status_code != 200:
            raise Surprise(f"GET {path} answered {answer.status_code}: {answer.text[:200]}")
        found: dict[str, Any] = answer.json()
        return found

    def accepted(self, path: str, body: dict[str, Any] | None = None, key: str | None = None) -> dict[str, Any]:
        answer = self.post(path, body, key)
        if answer.status_code != 202:
            raise Surprise(f"POST {path} answered {answer.status_code}: {answer.text[:200]}")
        found: dict[str, Any] = answer.json()
        return found

    def finished(self, accepted: dict[str, Any]) -> dict[str, Any]:
        """The job's end, by long poll; its result holds the payment as it is then."""
        rounds = 3
        for _ in range(rounds):
            job = self.get(accepted["job"]["url"], wait=PATIENCE // rounds + 1)
            if job["status"] not in ("queued", "running"):
                return job
        raise Surprise(f"job {accepted['job']['id']} did not end in {PATIENCE} s")

    def pay(self, **body: Any) -> dict[str, Any]:
        payment: dict[str, Any] = self.finished(self.accepted("/v1/payments", body))["result"]["payment"]
        return payment

    def when(
        self, path: str, found: Callable[[dict[str, Any]], bool], meanwhile: Callable[[], None] | None = None
    ) -> dict[str, Any]:
        """What is at the path once it is as wanted, which webhooks bring; `meanwhile` is done twice a second."""
        waited, shown = threading.Event(), {}
        for turn in range(PATIENCE * 20):
            shown = self.get(path)
            if found(shown):
                return shown
            if meanwhile is not None and turn % 10 == 0:
                meanwhile()
            waited.wait(0.05)
        raise Surprise(f"GET {path} still shows {shown.get('status') or json.dumps(shown)[:200]}")

    def until(self, path: str, status: str, meanwhile: Callable[[], None] | None = None) -> dict[str, Any]:
        """The payment, refund or dispute at the path once it has the status."""
        return self.when(path, lambda shown: bool(shown["status"] == status), meanwhile)

    def refunded(self, refund_id: str) -> dict[str, Any]:
        return self.when(
            f"/v1/refunds/{refund_id}", lambda refund: refund["status"] not in ("processing", "requires_action")
        )

    def told(self, payment_id: str) -> list[dict[str, Any]]:
        """Every event about the payment, in order."""
        found = self.get("/v1/events", payment=payment_id, limit=100)["data"]
        return sorted(found, key=lambda event: int(event["sequence"]))

    def steps(self, payment_id: str, subject: str = "payment") -> list[str]:
        """Every status the payment, its refunds or its disputes went through, in order."""
        types = [event["type"].partition(".") for event in self.told(payment_id)]
        return [status for about, _, status in types if about == subject]


class Customer:
    """A person with a browser, at the providers' pages."""

    @staticmethod
    def submit(page: str, **fields: str) -> None:
        session = requests.Session()
        session.trust_env = False
        with session:
            answer = session.post(page, data=fields, allow_redirects=False, timeout=10)
        if answer.status_code != 303:
            raise Surprise(f"the page did not send the customer back: {answer.status_code}")


class Receiver:
    """The merchant's endpoint: verifies each event's signature and counts them by payment."""

    def __init__(self) -> None:
        self._events: dict[str, list[dict[str, Any]]] = {}
        self._forged = 0
        self._lock = threading.Lock()
        self.secret = ""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/events"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def take(self, headers: dict[str, str], body: bytes) -> None:
        try:
            Webhook(self.secret).verify(body.decode(), headers)
        except WebhookVerificationError:
            with self._lock:
                self._forged += 1
            return
        event = json.loads(body)
        payment = event["data"].get("payment") or {"id": event["data"]["refund"]["payment"]}
        with self._lock:
            known = self._events.setdefault(payment["id"], [])
            if event["id"] not in {one["id"] for one in known}:
                known.append(event)

    def types(self, payment_id: str) -> list[str]:
        with self._lock:
            found = sorted(self._events.get(payment_id, []), key=lambda event: event["sequence"])
        return [event["type"] for event in found]

    @property
    def forged(self) -> int:
        return self._forged

    def _handler(receiver) -> type[BaseHTTPRequestHandler]:  # noqa: N805  # the handler below has a self of its own
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                receiver.take({name.lower(): value for name, value in self.headers.items()}, body)
                self.send_response(204)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                """Deliveries are told in the table, not on the terminal."""

        return Handler
