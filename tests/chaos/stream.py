"""A stream of card payments at a steady rate, with what each request was answered and when."""

from __future__ import annotations

import itertools
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from statistics import quantiles
from types import TracebackType
from uuid import uuid4

import requests

from tests.chaos.stage import TOKEN, Accepted, Stage

#: Requests under way at the same time: one that is answered late delays no other.
PLACES = 48


@dataclass(frozen=True)
class Answer:
    """`status` 0: none. `at` is the clock's time of asking, in epoch seconds; `seconds` until the answer."""

    at: float
    status: int
    seconds: float
    retry_after: str | None


@dataclass
class Stream:
    """Sends `rate` payments a second until it is left, open loop. No request is repeated."""

    stage: Stage
    rate: float
    answers: list[Answer] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> Stream:
        self._pool = ThreadPoolExecutor(PLACES)
        self._thread = threading.Thread(target=self._run, name="stream", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(10)
        self._pool.shutdown(wait=True, cancel_futures=True)

    def during(self, begun: float, ended: float) -> list[Answer]:
        with self._lock:
            return [one for one in self.answers if begun <= one.at < ended]

    def _run(self) -> None:
        begun = time.monotonic()
        for number in itertools.count():
            if self._stop.wait(max(0.0, begun + number / self.rate - time.monotonic())):
                return
            self._pool.submit(self._send)

    def _send(self) -> None:
        answer = ask(self.stage, str(uuid4()))
        with self._lock:
            self.answers.append(answer)


def ask(stage: Stage, key: str) -> Answer:
    """One request for a payment under an Idempotency-Key; what is accepted is noted on the stage."""
    at, begun = time.time(), time.monotonic()
    try:
        got = stage.request("POST", "/v1/payments", TOKEN, idempotency=key)
    except requests.RequestException:
        return Answer(at, 0, time.monotonic() - begun, None)
    seconds = time.monotonic() - begun
    if got.status_code == 202:
        stage.note(Accepted(got.json()["payment"]["id"], got.json()["job"]["id"], key, TOKEN))
    return Answer(at, got.status_code, seconds, got.headers.get("Retry-After"))


def middle_and_p95(answers: list[Answer]) -> tuple[float, float]:
    """Seconds."""
    cuts = quantiles([one.seconds for one in answers], n=20)
    return cuts[9], cuts[18]
