"""One POST to an address a merchant named: checked where it connects, bounded, without detours."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from core.orchestration import egress
from core.orchestration.egress import Answer, Target
from tests.support.certificates import contexts
from tests.support.receiver import Receiver, Reply

HEADERS = {"Content-Type": "application/json"}


def post(target: Target, *, allow_private: bool = True, seconds: float = 5.0) -> Answer:
    return egress.post(target, HEADERS, b'{"a":1}', seconds, allow_private)


def at(receiver: Receiver, host: str = "127.0.0.1", scheme: str = "http") -> Target:
    return Target(scheme, host, receiver.port, "/hook?shop=7")


def resolving(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """The resolver gives these answers one after the other; returns the names it was asked for."""
    asked: list[str] = []

    def look_up(host: str, port: int, seconds: float) -> list[str]:
        asked.append(host)
        return answers[min(len(asked), len(answers)) - 1]

    monkeypatch.setattr(egress, "look_up_host", look_up)
    return asked


def test_a_post_arrives_whole(receiver: Receiver) -> None:
    answer = post(at(receiver))
    assert (answer.status, answer.error, answer.refused) == (200, None, False)
    got = receiver.got[0]
    assert (got.path, got.body) == ("/hook?shop=7", b'{"a":1}')
    assert got.headers["content-type"] == "application/json"
    assert got.headers["host"] == f"127.0.0.1:{receiver.port}"


def test_loopback_is_refused_without_the_development_setting(receiver: Receiver) -> None:
    answer = post(at(receiver), allow_private=False)
    assert answer.refused
    assert answer.status is None
    assert answer.error is not None
    assert "private or loopback" in answer.error
    assert receiver.got == []


def test_a_name_that_points_inside_is_refused(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    resolving(monkeypatch, ["127.0.0.1"])
    assert post(at(receiver, "shop.example"), allow_private=False).refused
    assert receiver.got == []


def test_one_inside_address_among_public_ones_refuses_the_host(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolving(monkeypatch, ["127.0.0.1", "169.254.169.254"])
    assert post(at(receiver, "shop.example")).refused
    assert receiver.got == []


def test_a_name_is_looked_up_once_and_the_checked_address_is_used(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: the second answer would be another address, but nobody asks again."""
    asked = resolving(monkeypatch, ["127.0.0.1"], ["169.254.169.254"])
    looked_up: list[str] = []
    real = socket.getaddrinfo

    def getaddrinfo(host: str, *rest: object, **named: object) -> object:
        looked_up.append(host)
        return real(host, *rest, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    assert post(at(receiver, "shop.example")).status == 200
    assert asked == ["shop.example"]
    assert set(looked_up) <= {"127.0.0.1"}
    assert receiver.got[0].headers["host"] == f"shop.example:{receiver.port}"


def test_the_next_address_is_tried_when_one_does_not_answer(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolving(monkeypatch, ["127.0.0.2", "127.0.0.1"])
    assert post(at(receiver, "shop.example")).status == 200


def test_the_certificate_must_be_the_hosts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server, client = contexts(tmp_path, "shop.example")
    monkeypatch.setattr(egress, "_tls", lambda: client)
    resolving(monkeypatch, ["127.0.0.1"])
    secure = Receiver(server)
    try:
        assert post(at(secure, "shop.example", "https")).status == 200
        assert secure.got[0].headers["host"] == f"shop.example:{secure.port}"
        other = post(at(secure, "other.example", "https"))
        assert other.status is None
        assert other.error is not None
        assert "certificate" in other.error
        assert len(secure.got) == 1
        assert post(at(secure, "shop.example", "https")).status == 200
    finally:
        secure.close()


def test_an_unknown_authority_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server, _ = contexts(tmp_path, "shop.example")
    resolving(monkeypatch, ["127.0.0.1"])
    secure = Receiver(server)
    try:
        answer = post(at(secure, "shop.example", "https"))
    finally:
        secure.close()
    assert answer.status is None
    assert secure.got == []


def test_redirects_are_not_followed(receiver: Receiver) -> None:
    receiver.reply = Reply(302, {"Location": f"http://127.0.0.1:{receiver.port}/elsewhere"})
    assert post(at(receiver)).status == 302
    assert [got.path for got in receiver.got] == ["/hook?shop=7"]


def test_proxies_of_the_environment_are_not_used(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert post(at(receiver)).status == 200


def test_an_answer_that_does_not_come_ends_at_the_deadline(receiver: Receiver) -> None:
    receiver.reply = Reply(delay=30)
    answer = post(at(receiver), seconds=0.3)
    assert answer.status is None
    assert answer.error == "no answer within 0.3 s"
    assert answer.duration < 2


def test_a_dripping_body_does_not_hold_the_lane(receiver: Receiver) -> None:
    receiver.reply = Reply(200, body=b"x" * 3000, drip=0.05)
    answer = post(at(receiver), seconds=0.5)
    assert answer.status == 200
    assert answer.duration < 2


def test_a_large_body_is_not_waited_for(receiver: Receiver) -> None:
    receiver.reply = Reply(200, body=b"x" * 2 * egress.MAX_ANSWER, owed=5_000_000_000)
    answer = post(at(receiver))
    assert answer.status == 200
    assert answer.duration < 2


def test_what_went_wrong_is_said_without_addresses() -> None:
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    refused = post(Target("http", "127.0.0.1", listening.getsockname()[1], "/"))
    listening.close()
    assert refused.error == "the connection was refused"
    unknown = post(Target("http", "no-such-host.invalid", 80, "/"), seconds=5)
    assert unknown.error == "the host name could not be resolved"


def test_what_is_not_http_is_a_failure() -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    listening.settimeout(5)

    def answer_garbage() -> None:
        connection, _ = listening.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"220 mail.example ESMTP\r\n")

    thread = threading.Thread(target=answer_garbage)
    thread.start()
    answer = post(Target("http", "127.0.0.1", listening.getsockname()[1], "/"))
    thread.join(5)
    listening.close()
    assert answer.status is None
    assert answer.error in ("the connection ended before an answer", "the answer was not HTTP")
