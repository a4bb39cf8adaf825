"""A server that was told to stop: red, still serving, and nobody waits for a job any more."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from flask import Flask

from tests.api.support import Merchant, payment
from tests.support.waiting import wait_until

#: Longer than any of this takes, shorter than a test may.
LONG = 20


def test_red_and_serving(make_app: Callable[..., Flask], merchant: Merchant, tmp_path: Path) -> None:
    file = tmp_path / "draining"
    client = make_app(drain_file=file).test_client()
    green = client.get("/readyz")
    assert (green.status_code, green.headers.get("Connection")) == (200, None)
    file.touch()
    red = client.get("/readyz")
    assert (red.status_code, red.json["status"]) == (503, "draining")
    assert int(red.headers["Retry-After"]) >= 1
    assert red.json["dependencies"]["postgres"]["status"] == "ok"
    assert client.get("/healthz").status_code == 200
    taken = client.post("/v1/payments", json=payment(), headers=merchant.headers(Idempotency_Key="while-leaving"))
    assert (taken.status_code, taken.headers["Connection"]) == (202, "close")


def test_who_waits_is_answered_with_what_is_known(
    make_app: Callable[..., Flask], merchant: Merchant, tmp_path: Path
) -> None:
    file = tmp_path / "draining"
    app = make_app(drain_file=file)
    job = merchant.post("/v1/payments", payment()).json["job"]
    began, asked = threading.Event(), time.monotonic()

    @app.before_request
    def begin() -> None:
        began.set()

    with ThreadPoolExecutor(1) as pool:
        path = f"{job['url']}?wait={LONG}"
        waiting = pool.submit(lambda: app.test_client().get(path, headers=merchant.headers()))
        wait_until(began.is_set, "the request to arrive")
        file.touch()
        answer = waiting.result(LONG)
    assert (answer.status_code, answer.json["status"]) == (200, "queued")
    assert time.monotonic() - asked < LONG / 2
