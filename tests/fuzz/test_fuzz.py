"""The whole document, asked with what it allows and what it forbids: no 5xx, and no answer that it does not tell of.

`make fuzz`; SEED=… repeats a run, SECONDS=… gives it more time.
"""

from __future__ import annotations

import os
import secrets
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from flask import Response

from cli.embedded import Embedded
from tests.fuzz.harness import fuzz
from tests.support.databases import Urls
from tests.support.sandboxes import Sandbox
from tests.support.world import World

SECONDS = int(os.environ.get("FUZZ_SECONDS") or 200)
SEED = int(os.environ.get("FUZZ_SEED") or secrets.randbelow(10**6))
#: Of all operations; the others need what a run does not make, such as a dispute or a finding.
ANSWERED_WELL = 0.5


_ONE_ROUTE = ("--include-path", "/v1/providers", "--phases", "coverage", "--max-failures", "1")


@pytest.fixture(scope="module")
def world(embedded: Embedded, database: Urls, sandboxes: dict[str, Sandbox]) -> Iterator[World]:
    made = World(database, embedded.redis_url, sandboxes, admin_rate_limit="10000/second")
    furnish(made)
    yield made
    made.close()


def furnish(world: World) -> None:
    """One of as many kinds of thing as can be had."""
    world.post("/v1/webhook_endpoints", {"url": "http://127.0.0.1:9/hook", "events": ["*"]})
    person = {"email": "ada@example.com", "name": "Ada"}
    paid = world.pay(save_payment_method=True, customer=person)
    world.post(f"/v1/payments/{paid['id']}/refunds", {"amount": 5})
    world.pay(capture="manual")
    world.pay(payment_method={"type": "token", "token": "pm_card_createDispute"})
    world.pay(payment_method={"type": "redirect"}, customer=person)
    for kind in ("test", "live", "admin"):
        world.make_key(kind)
    world.settle()


@contextmanager
def at_work(world: World) -> Iterator[list[Exception]]:
    """A worker goes on meanwhile; what it could not bear is handed over."""
    faults: list[Exception] = []
    stopped = threading.Event()

    def work() -> None:
        while not stopped.wait(0.3):
            try:
                world.work(("payments", "webhooks"))
            except Exception as error:  # noqa: BLE001 - handed over, and told by the test
                faults.append(error)
                return

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    yield faults
    stopped.set()
    thread.join(60)


def test_the_gate_does_what_its_document_says(world: World, tmp_path: Path) -> None:
    sys.stdout.write(f"\nfuzz: SEED={SEED}, {SECONDS} s\n")
    with at_work(world) as faults:
        found = fuzz(world, tmp_path, SEED, SECONDS)
    assert found.passed, f"repeat with SEED={SEED}\n{found.text}"
    assert not faults, f"a worker met {faults[0]!r}; repeat with SEED={SEED}"
    paths = world.get("/openapi.json").json()["paths"]
    operations = {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}
    assert operations <= set(found.answers)
    well = {one for one in operations if any(status < 400 for status in found.answers[one])}
    requests = sum(map(len, found.answers.values()))
    sys.stdout.write(f"fuzz: {len(operations)} operations, {len(well)} with a success, {requests} kinds of answer\n")
    assert len(well) >= ANSWERED_WELL * len(operations), f"refused only: {sorted(operations - well)}"
    assert world.get("/v1/payments").status_code == 200


def test_a_fault_that_is_planted_is_found(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.providers.ok", lambda *_: 1 / 0)
    found = fuzz(world, tmp_path, 1, 60, *_ONE_ROUTE)
    assert not found.passed
    assert "Server error" in found.text


@pytest.mark.parametrize(
    ("planted", "told"),
    [
        (Response("{}", status=418, mimetype="application/json"), "Undocumented status code"),
        (Response("{}", status=200, mimetype="application/json"), "Response violates schema"),
        (Response("hello", status=200, mimetype="text/plain"), "Undocumented Content-Type"),
    ],
    ids=["status", "shape", "type"],
)
def test_an_answer_that_is_not_in_the_document_is_found(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, planted: Response, told: str
) -> None:
    monkeypatch.setattr("api.providers.ok", lambda *_: planted)
    found = fuzz(world, tmp_path, 1, 60, *_ONE_ROUTE)
    assert not found.passed
    assert told in found.text
