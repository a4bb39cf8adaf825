"""Faults of the wire: what was surely never sent, and what nobody can tell."""

from __future__ import annotations

import socket
import struct
import time
from typing import Any

import pytest

from core.domain.outcomes import (
    NotExecuted,
    NotExecutedReason,
    Unknown,
)
from core.providers.base import CallLimits
from core.providers.paystack import PaystackProvider
from tests.providers.paystack_driver import (
    account,
    look_up_request,
    refund_request,
    start_request,
)
from tests.providers.wire import Script, answer, dripping, peer, read_request


def closed_address() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_a_house_nobody_opens_was_never_reached() -> None:
    provider = PaystackProvider(account(closed_address()), CallLimits(connect=1.0, deadline=2.0))
    for outcome in (provider.start(start_request()), provider.refund(refund_request())):
        assert isinstance(outcome, NotExecuted)
        assert outcome.reason is NotExecutedReason.CONNECTION


def test_a_look_up_of_a_silent_house_tells_nothing() -> None:
    provider = PaystackProvider(account(closed_address()), CallLimits(connect=1.0, deadline=2.0))
    outcome = provider.look_up(look_up_request(start_request()))
    assert isinstance(outcome, Unknown)
    assert outcome.evidence["reason"] == "connection"


def _reset(connection: socket.socket, over: Any) -> None:
    read_request(connection)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _silence(connection: socket.socket, over: Any) -> None:
    read_request(connection)
    over.wait(10)


def _cut(connection: socket.socket, over: Any) -> None:
    read_request(connection)
    connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"status": true, "data": {')


def _hang_up(connection: socket.socket, over: Any) -> None:
    read_request(connection)


def _garbage(connection: socket.socket, over: Any) -> None:
    read_request(connection)
    connection.sendall(b"220 mail.example ESMTP\r\n\r\n")


def _huge(connection: socket.socket, over: Any) -> None:
    read_request(connection)
    answer(connection, b" " * 6_000_000)


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"


@pytest.mark.parametrize(
    "script",
    [_reset, _silence, _cut, _hang_up, _garbage, _huge, dripping(b""), dripping(HEAD)],
    ids=["reset", "silence", "cut", "hang up", "no HTTP", "too large", "dripped head", "dripped body"],
)
def test_a_lost_answer_is_unknown_within_the_deadline(script: Script) -> None:
    with peer(script) as running:
        provider = PaystackProvider(account(running.url), CallLimits(connect=1.0, deadline=0.6))
        began = time.monotonic()
        outcome = provider.start(start_request())
        assert time.monotonic() - began < 2.0
    assert isinstance(outcome, Unknown)
    assert outcome.evidence["seen"] == "no whole answer"
    assert running.accepted == 1


def test_all_questions_of_a_look_up_share_one_deadline() -> None:
    page = b'{"status": true, "data": [{"merchant_note": null}], "meta": {}}'

    def slow(connection: socket.socket, over: Any) -> None:
        while read_request(connection):
            over.wait(0.15)
            answer(connection, page)

    with peer(slow) as running:
        provider = PaystackProvider(account(running.url), CallLimits(connect=1.0, deadline=0.6))
        began = time.monotonic()
        outcome = provider.look_up(look_up_request(refund_request()))
        assert time.monotonic() - began < 2.0
    assert isinstance(outcome, Unknown)
