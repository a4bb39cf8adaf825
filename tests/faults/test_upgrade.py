"""The newest migration and the program that brought it arrive under load, with the program before it still running."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg2
import pytest
import requests

from cli import children
from cli.ports import free_port
from cli.processes import Child, Guard
from core.invariants import check, compare_ledger
from core.persistence.database import Database, create_engine
from core.persistence.revisions import revisions
from tests.faults.balancer import Balancer
from tests.faults.older import OlderService, before_newest_migration, unpack
from tests.support.databases import plain
from tests.support.waiting import wait_until

BODY = {"amount": 1000, "currency": "USD", "payment_method": {"type": "token", "token": "pm_card_visa"}}
PACING = '{"pacing": {"per_operation": 100000, "total": 100000}}'
#: Stories at the same time: each is a payment through one server, then what follows through another.
PLACES = 4
#: Seconds between two stories of a place: programs start while they are told, and need a share of the machine.
PAUSE = 0.2
#: Stories of each kind and pair of servers that are waited for in every stage.
ENOUGH = 2


class Stories:
    """Held and captured, or charged and refunded: begun at one server of `begin`, ended at one of `end`."""

    def __init__(self, key: str, url: str) -> None:
        self.begin = self.end = [url]
        #: By kind, server of the beginning and server of the end.
        self.told: Counter[tuple[str, str, str]] = Counter()
        self.payments: dict[str, str] = {}
        self.wrong: list[str] = []
        self.retried = 0
        self._key, self._over, self._lock = key, threading.Event(), threading.Lock()

    def __enter__(self) -> Stories:
        self._pool = ThreadPoolExecutor(PLACES)
        self._running = [self._pool.submit(self._run, place) for place in range(PLACES)]
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._pool.shutdown(wait=True)

    def check(self) -> None:
        """Raises what ended a place."""
        for place in self._running:
            place.result(0)

    def runs_on(self) -> None:
        """Waits until each kind was told between each pair of servers again."""
        pairs = [(kind, begin, end) for kind in KINDS for begin in self.begin for end in self.end]
        before = Counter(self.told)

        def enough() -> bool:
            for place in self._running:
                if place.done():
                    place.result()
            return all(self.told[pair] >= before[pair] + ENOUGH for pair in pairs)

        wait_until(enough, "the stories to go on", 30)

    def _run(self, place: int) -> None:
        number = place
        while not self._over.wait(PAUSE):
            number += 1
            kind = KINDS[number % 2]
            begin, end = self.begin[number // 2 % len(self.begin)], self.end[number // 4 % len(self.end)]
            self._tell(kind, begin, end)

    def _tell(self, kind: str, begin: str, end: str) -> None:
        capture, after, then = PLOTS[kind]
        payment = self._post(begin, "/v1/payments", {**BODY, "capture": capture})["payment"]["id"]
        with self._lock:
            self.payments[payment] = kind
        wait_until(lambda: self._status(end, payment) == after, f"{payment} to be {after}", 30, every=0.1)
        self._post(end, f"/v1/payments/{payment}/{then}", {})
        with self._lock:
            self.told[kind, begin, end] += 1

    def _status(self, url: str, payment: str) -> Any:
        return self._ask("GET", url, f"/v1/payments/{payment}").json()["status"]

    def _post(self, url: str, path: str, body: Any) -> Any:
        key = str(uuid4())
        answers: list[requests.Response] = []

        def accepted() -> bool:
            answers.append(self._ask("POST", url, path, json=body, key=key))
            return answers[-1].status_code in (200, 202)

        wait_until(accepted, f"{path} to be taken", 30, every=0.1)
        return answers[-1].json()

    def _ask(self, method: str, url: str, path: str, key: str | None = None, **options: Any) -> requests.Response:
        """Of another server where this one takes no connection, or breaks it: the key is the same."""
        headers = {"Authorization": f"Bearer {self._key}", **({"Idempotency-Key": key} if key else {})}
        for server in [url, *self.begin, *self.end, *self.end]:
            with suppress(requests.ConnectionError):
                answer = requests.request(method, server + path, headers=headers, timeout=20, **options)
                if answer.status_code not in (200, 202, 409):
                    self.wrong.append(f"{method} {server}{path}: {answer.status_code} {answer.text[:300]}")
                return answer
            self.retried += 1
        raise AssertionError(f"no server takes a connection: {url}")


#: How it is begun, what it must come to, and what is done to it then.
PLOTS = {"captured": ("manual", "authorized", "capture"), "refunded": ("automatic", "succeeded", "refunds")}
KINDS = tuple(PLOTS)


class NewProgram:
    """Api, worker and beat of the tree under test, beside the older ones."""

    def __init__(self, older: OlderService, directory: Path, port: int) -> None:
        directory.mkdir()
        (directory / "logs").mkdir()
        context = children.Context(directory, older.environment)
        self._guard = Guard()
        specs = [
            replace(children.api(context, port, older.api_url), stop_timeout=20),
            children.worker(context, 2, older.worker_url),
            children.beat(context, older.worker_url),
        ]
        self._children = [Child(spec, self._guard) for spec in specs]

    def start(self) -> None:
        for child in self._children:
            child.start()
        for child in self._children:
            child.wait_ready()

    def close(self) -> None:
        with ThreadPoolExecutor(len(self._children)) as pool:
            list(pool.map(Child.stop, self._children))
        self._guard.close()


def query(older: OlderService, sql: str, *values: object, write: bool = False) -> Any:
    connection = psycopg2.connect(plain(older.owner_url))
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(sql, values)
            return None if write else cursor.fetchone()
    finally:
        connection.close()


def migrate(older: OlderService, directory: Path) -> None:
    addresses = {"MIGRATION_DATABASE_URL": older.owner_url}
    addresses |= {"DATABASE_URL": older.api_url, "WORKER_DATABASE_URL": older.worker_url}
    done = subprocess.run(
        [Path(sys.executable).with_name("tollgate"), "migrate", "--data-dir", str(directory)],
        env={"PATH": os.defpath, **addresses},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture
def ports() -> Sequence[int]:
    return [free_port(), free_port()]


@pytest.fixture
def hooks(ports: Sequence[int]) -> Iterator[Balancer]:
    made = Balancer(ports, keep_alive=False)
    yield made
    made.close()


@pytest.fixture
def older(ports: Sequence[int], hooks: Balancer, tmp_path: Path) -> Iterator[OlderService]:
    tree = unpack(before_newest_migration(), tmp_path / "older")
    made = OlderService(tree, tmp_path, ports[0], int(hooks.url.rpartition(":")[2]))
    for url in made.sandbox_urls.values():
        settings = {"rate_limit": 0, "rate_limit_total": 0}
        requests.post(f"{url}/_sandbox/settings", json=settings, timeout=10).raise_for_status()
    query(made, "UPDATE provider_accounts SET settings = %s", PACING, write=True)
    yield made
    made.close()


@pytest.fixture
def newer(older: OlderService, ports: Sequence[int], tmp_path: Path) -> Iterator[NewProgram]:
    made = NewProgram(older, tmp_path / "newer", ports[1])
    yield made
    made.close()


def revision(older: OlderService) -> str:
    return str(query(older, "SELECT version_num FROM alembic_version")[0])


def assert_ended_once(older: OlderService, payments: dict[str, str]) -> None:
    open_jobs = "SELECT count(*) FROM jobs WHERE status IN ('queued', 'running') AND lane IN ('payments', 'webhooks')"
    wait_until(lambda: query(older, open_jobs)[0] == 0, "every job to end", 30)
    ledger = requests.get(f"{older.sandbox_urls['stripe']}/_sandbox/ledger", timeout=30).json()
    found: dict[str, list[str]] = {payment: [] for payment in payments}
    for one in ledger["charges"]:
        back = "refunded" if one["amount_refunded"] == one["amount"] else "captured" if one["captured"] else "held"
        found[one["metadata"]["tollgate_payment"]].append(back)
    assert found == {payment: [kind] for payment, kind in payments.items()}
    engine = create_engine(older.worker_url, 2)
    try:
        database = Database(engine)
        # A provider may still have something to tell in this moment.
        wait_until(lambda: check(database, settled=True) == [], "the books to agree with nothing under way", 30)
        assert compare_ledger(database, "stripe", ledger, None, settled=True) == []
    finally:
        engine.dispose()


def test_an_upgrade_under_load(
    older: OlderService, newer: NewProgram, hooks: Balancer, ports: Sequence[int], tmp_path: Path
) -> None:
    new_url = f"http://127.0.0.1:{ports[1]}"
    assert revision(older) == revisions()[-2]
    with Stories(older.test_key, older.url) as stories:
        stories.runs_on()
        migrate(older, tmp_path)
        assert revision(older) == revisions()[-1]
        stories.runs_on()
        newer.start()
        stories.begin = stories.end = [older.url, new_url]
        stories.runs_on()
        stories.begin = stories.end = [new_url]
        for name in ("api", "worker-1", "beat"):
            older.stop(name)
        stories.runs_on()
    stories.check()
    assert stories.wrong == []
    assert hooks.broken == []
    assert {(kind, older.url, new_url) for kind in KINDS} <= set(stories.told), "begun at the older, ended at the newer"
    assert {(kind, new_url, older.url) for kind in KINDS} <= set(stories.told), "and the other way round"
    assert_ended_once(older, stories.payments)
