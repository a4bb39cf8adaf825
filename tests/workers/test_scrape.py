"""A worker's own `/metrics`: at its own address, for whoever may read it, and no reason for a worker to stop."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core import metrics
from core.settings import Settings
from tests.support.worker import WorkerProcess
from tests.support.world import World
from workers.scrape import Scrape

TOKEN = "0123456789abcdef-of-monitoring"


def free_address() -> str:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{found.getsockname()[1]}"


def made(**changes: Any) -> Scrape:
    values = {"DATABASE_URL": "postgresql://nobody:a@127.0.0.1/none", "metrics_listen": free_address(), **changes}
    return Scrape(Settings.model_validate(values))


@pytest.fixture
def scrape() -> Iterator[Scrape]:
    one = made(metrics_token=TOKEN)
    one.start()
    yield one
    one.stop()


def ask(port: int, path: str = "/metrics", **headers: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_whoever_has_the_token_reads_it(scrape: Scrape) -> None:
    status, text = ask(scrape.port, Authorization=f"Bearer {TOKEN}")
    assert status == 200
    assert "# TYPE tollgate_provider_calls_total counter" in text
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": TOKEN}):
        status, text = ask(scrape.port, **headers)
        assert status == 401
        assert TOKEN not in text
    assert ask(scrape.port, "/", Authorization=f"Bearer {TOKEN}")[0] == 404


def test_without_a_token_this_machine_alone() -> None:
    one = made()
    one.start()
    try:
        assert ask(one.port)[0] == 200
        assert ask(one.port, X_Forwarded_For="203.0.113.9")[0] == 401
    finally:
        one.stop()


def test_a_taken_address_stops_nothing(scrape: Scrape) -> None:
    second = made(metrics_listen=f"127.0.0.1:{scrape.port}")
    second.start()
    assert second.port == 0
    second.stop()


def test_a_client_that_sends_nothing_holds_nobody_up(scrape: Scrape) -> None:
    with socket.create_connection(("127.0.0.1", scrape.port)), socket.create_connection(("127.0.0.1", scrape.port)):
        assert ask(scrape.port, Authorization=f"Bearer {TOKEN}")[0] == 200


@pytest.mark.parametrize("wrong", ["9464", "host", ":9464", "127.0.0.1:0", "127.0.0.1:70000", "127.0.0.1:x"])
def test_what_is_no_address_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="a host and a port are expected"):
        made(metrics_listen=wrong)


def test_processes_of_a_machine_are_read_together(world: World, tmp_path: Path) -> None:
    """A worker counts into the folder that the api shows; what has died has nothing open any more."""
    listen = free_address()
    worker = WorkerProcess(world, tmp_path, "redis://127.0.0.1:1/0", metrics_listen=listen)
    try:
        text = ask(int(listen.rpartition(":")[2]))[1]
        assert 'tollgate_pool_connections{pool="tollgate-worker"} 20.0' in text
        assert 'tollgate_places{lane="payments"}' in text
    finally:
        worker.close()
    folder = tmp_path / "metrics"
    assert list(folder.glob("gauge_livesum_*.db"))
    assert list(folder.glob("counter_*.db"))
    metrics._forget_dead(folder)
    assert list(folder.glob("gauge_livesum_*.db")) == []
    assert list(folder.glob("counter_*.db"))
