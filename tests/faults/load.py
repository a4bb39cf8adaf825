"""A steady load of payments, open loop: a slow service does not slow its own load."""

from __future__ import annotations

import itertools
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any
from uuid import uuid4

import requests

BODY = {"amount": 1000, "currency": "USD", "payment_method": {"type": "token", "token": "pm_card_visa"}}


@dataclass
class Load:
    """Sends `rate` payments a second until it is left; what was accepted is in `payments`."""

    api_url: str
    key: str
    rate: float
    keep_alive: bool = False
    payments: list[str] = field(default_factory=list)
    answers: list[tuple[int, float]] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> Load:
        self._pool = ThreadPoolExecutor(32)
        self._local = threading.local()
        self._sessions: list[requests.Session] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(10)
        self._pool.shutdown(wait=True)
        for session in self._sessions:
            session.close()

    def _run(self) -> None:
        begun = time.monotonic()
        for number in itertools.count():
            if self._stop.wait(max(0.0, begun + number / self.rate - time.monotonic())):
                return
            self._pool.submit(self._send)

    def _send(self) -> None:
        started = time.monotonic()
        status, payment = send(self.api_url, self.key, self._session() if self.keep_alive else None)
        with self._lock:
            self.answers.append((status, time.monotonic() - started))
            if payment is not None:
                self.payments.append(payment)

    def _session(self) -> requests.Session:
        """One a thread."""
        if not hasattr(self._local, "session"):
            self._local.session = requests.Session()
            self._sessions.append(self._local.session)
        found: requests.Session = self._local.session
        return found


def send(api_url: str, key: str, session: requests.Session | None = None, **changes: Any) -> tuple[int, str | None]:
    """(status, 0 for none; the payment's id if it was accepted). Without a session over a new connection."""
    body = {**BODY, **changes}
    headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": str(uuid4())}
    try:
        answer = (session or requests).post(f"{api_url}/v1/payments", json=body, headers=headers, timeout=20)
    except requests.RequestException:
        return 0, None
    return answer.status_code, answer.json()["payment"]["id"] if answer.status_code == 202 else None
