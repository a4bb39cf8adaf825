"""`tollgate doctor` asks our own public address, and knows us from anybody else."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from uuid import UUID

import pytest

from cli.checks import providers, webhooks
from cli.checks.finding import Finding, Situation
from cli.ports import free_port
from tests.support.world import World


def look(address: str | None) -> list[Finding]:
    environ = {} if address is None else {"TOLLGATE_PUBLIC_URL": address}
    return list(webhooks.check(Situation(Path("/nowhere"), environ, None)))


@contextmanager
def answering(status: int, body: bytes) -> Iterator[str]:
    class Other(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Other)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def test_an_address_that_leads_here_is_right_and_nothing_is_counted_as_forged(world: World) -> None:
    assert [one.verdict for one in look(world.url)] == ["ok"]
    assert world.rows("SELECT * FROM forged_webhooks") == []


def test_without_one_it_is_said() -> None:
    assert [one.verdict for one in look(None)] == ["skipped"]


def test_nobody_there_is_a_fault_with_what_to_look_at() -> None:
    (found,) = look(f"http://127.0.0.1:{free_port()}")
    assert found.verdict == "failed"
    assert "DNS" in found.advice


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (200, b"{}", "who answers there"),
        (404, b'{"code":"not_found"}', "who answers there"),  # ours would have sent the request's id back
        (404, b"<html>", "who answers there"),
        (502, b"bad gateway", "see API above"),
    ],
)
def test_somebody_else_is_not_taken_for_us(status: int, body: bytes, words: str) -> None:
    with answering(status, body) as address:
        (found,) = look(address)
    assert found.verdict == "failed"
    assert words in found.advice


def test_an_address_without_encryption_is_told_of() -> None:
    first = look("http://192.0.2.1.invalid")[0]
    assert (first.verdict, "https" in first.advice) == ("warning", True)


def test_live_payments_to_a_local_provider_are_a_mix_up() -> None:
    base = {"id": UUID("01900000-0000-7000-8000-000000000000"), "provider": "stripe", "status": "enabled"}

    def found(mode: str, address: str | None) -> list[str]:
        return [one.verdict for one in providers._modes([{**base, "mode": mode, "api_base": address}])]

    assert found("live", "http://127.0.0.1:9000") == found("live", "http://api.example") == ["failed"]
    assert found("live", None) == found("live", "https://api.example") == found("test", "http://127.0.0.1:9000") == []
