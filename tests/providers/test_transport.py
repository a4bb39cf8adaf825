"""The wire below every provider: one deadline, one attempt, and what a broken call proves."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from core.providers import transport
from core.providers.base import CallLimits
from core.providers.deadline import Deadline, DeadlinePassed, HandshakeFailed
from core.providers.transport import Reply, TransportError, exchange, exchange_requests, never_sent
from tests.providers.wire import Script, answer, dripping, peer, read_request

DEADLINE = 0.4
LIMITS = CallLimits(connect=2.0, deadline=DEADLINE)
PATIENT = CallLimits(connect=2.0, deadline=10.0)

Ways = Callable[[str, CallLimits], Reply]


def by_urllib3(url: str, limits: CallLimits) -> Reply:
    return exchange("POST", url, {"X-Test": "1"}, "a=1", limits)


def by_requests(url: str, limits: CallLimits) -> Reply:
    return exchange_requests("POST", url, {"X-Test": "1"}, {"a": 1}, limits)


both = pytest.mark.parametrize("call", [by_urllib3, by_requests])


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    """A server certificate that nobody trusts."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file: Path = tmp_path_factory.mktemp("tls") / "server.pem"
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file.write_bytes(certificate.public_bytes(pem) + private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    context.trusted = file  # type: ignore[attr-defined]
    return context


@pytest.fixture
def trusted(tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch) -> Iterator[ssl.SSLContext]:
    """The same certificate, trusted for one test through the system's own setting."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tls.trusted))  # type: ignore[attr-defined]
    monkeypatch.setattr(transport, "_shared", transport._Shared())
    yield tls
    transport.pool().clear()


def serving(body: bytes = b"{}", status: str = "200 OK", extra: str = "") -> Script:
    def script(connection: socket.socket, over: threading.Event) -> None:
        while read_request(connection):
            answer(connection, body, status, extra)

    return script


def silent(connection: socket.socket, over: threading.Event) -> None:
    over.wait(30)


def hang_up(connection: socket.socket, over: threading.Event) -> None:
    read_request(connection)


def broken(call: Ways, url: str, limits: CallLimits = LIMITS) -> TransportError:
    with pytest.raises(TransportError) as raised:
        call(url, limits)
    return raised.value


@both
def test_a_whole_answer_of_any_status_comes_back(call: Ways) -> None:
    with peer(serving(b'{"error":1}', "402 Payment Required", "Request-Id: req_1\r\n")) as server:
        reply = call(server.url, PATIENT)
    assert (reply.status, reply.body, reply.headers["request-id"]) == (402, b'{"error":1}', "req_1")


@both
def test_connections_are_kept_and_shared(call: Ways) -> None:
    with peer(serving()) as server:
        for _ in range(5):
            call(server.url, PATIENT)
        assert server.accepted == 1


@both
@pytest.mark.parametrize(
    "sent",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n400\r\n",
        b"HTTP/1.1 200 OK\r\nX-Long: ",
        b"",
    ],
    ids=["body", "body without length", "chunk", "headers", "nothing"],
)
def test_the_deadline_ends_what_drips(call: Ways, sent: bytes) -> None:
    """Each byte comes in time; only the total does not."""
    with peer(dripping(sent)) as server:
        before = time.monotonic()
        error = broken(call, server.url)
        took = time.monotonic() - before
    assert DEADLINE * 0.9 < took < DEADLINE + 1
    assert (error.cause, error.sent, never_sent(error)) == ("DeadlinePassed", True, False)


@both
def test_the_deadline_ends_a_handshake(call: Ways) -> None:
    with peer(silent) as server:
        before = time.monotonic()
        error = broken(call, server.url.replace("http:", "https:"))
        took = time.monotonic() - before
    assert took < DEADLINE + 1
    assert (error.sent, never_sent(error)) == (False, True)


def test_the_deadline_ends_a_dripping_handshake() -> None:
    """The head of a long TLS record, then its body byte by byte: every read is in time."""

    def script(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(b"\x16\x03\x03\x40\x00")
        while not over.wait(0.05):
            connection.sendall(b"x")

    with peer(script) as server:
        before = time.monotonic()
        error = broken(by_urllib3, server.url.replace("http:", "https:"))
        took = time.monotonic() - before
    assert took < DEADLINE + 1
    assert (error.sent, never_sent(error)) == (False, True)


def test_the_deadline_ends_a_dripping_body_over_tls(trusted: ssl.SSLContext) -> None:
    with peer(dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"), trusted) as server:
        error = broken(by_urllib3, server.url)
    assert (error.cause, error.sent, error.http_status) == ("DeadlinePassed", True, 200)


def test_tls_works_with_what_the_system_trusts(trusted: ssl.SSLContext) -> None:
    with peer(serving(b"over tls"), trusted) as server:
        assert by_urllib3(server.url, PATIENT).body == b"over tls"
        assert by_requests(server.url, PATIENT).body == b"over tls"


@both
def test_a_certificate_that_nobody_trusts_was_never_sent_anything(call: Ways, tls: ssl.SSLContext) -> None:
    with peer(serving(), tls) as server:
        error = broken(call, server.url, PATIENT)
    assert not error.sent
    assert never_sent(error)


@both
def test_a_peer_that_is_no_tls_server_was_never_sent_anything(call: Ways) -> None:
    with peer(serving(b"plain")) as server:
        error = broken(call, server.url.replace("http:", "https:"), CallLimits(connect=0.3, deadline=5.0))
    assert (error.cause, never_sent(error)) == ("HandshakeFailed", True)


@both
@pytest.mark.parametrize("url", ["http://127.0.0.1:9/", "http://nobody.invalid/", "http://127.0.0.1:99999/", "http://"])
def test_what_never_left_is_proven(call: Ways, url: str) -> None:
    assert never_sent(broken(call, url, CallLimits(connect=2.0, deadline=5.0)))


@both
def test_a_connect_time_out_is_proven(call: Ways) -> None:
    """A listener with a full backlog swallows the SYN."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        waiting = [socket.socket() for _ in range(3)]
        try:
            for one in waiting:
                one.setblocking(False)
                one.connect_ex(full.getsockname())
            error = broken(call, f"http://127.0.0.1:{full.getsockname()[1]}/", CallLimits(connect=0.3, deadline=5.0))
        finally:
            for one in waiting:
                one.close()
    assert never_sent(error)


@both
def test_a_reset_on_a_kept_connection_is_ambiguous(call: Ways) -> None:
    def once(connection: socket.socket, over: threading.Event) -> None:
        read_request(connection)
        answer(connection, b"{}")
        read_request(connection)

    with peer(once) as server:
        call(server.url, PATIENT)
        error = broken(call, server.url, PATIENT)
        assert server.accepted == 1, "the second request must have gone over the first connection"
    assert error.sent
    assert not never_sent(error)


@both
@pytest.mark.parametrize("sent", [b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", b"garbage\r\n\r\n", b""])
def test_a_broken_answer_is_ambiguous(call: Ways, sent: bytes) -> None:
    def script(connection: socket.socket, over: threading.Event) -> None:
        read_request(connection)
        connection.sendall(sent)

    with peer(script) as server:
        error = broken(call, server.url, PATIENT)
    assert error.sent
    assert not never_sent(error)


@both
def test_a_body_without_end_is_cut_off(call: Ways, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "MAX_BODY", 100_000)
    with peer(serving(b"x" * 400_000)) as server:
        error = broken(call, server.url, PATIENT)
    assert (error.cause, error.sent, error.http_status) == ("ResponseTooLarge", True, 200)


@both
def test_redirects_are_answers(call: Ways) -> None:
    with peer(serving(b"", "302 Found", "Location: http://127.0.0.1:9/\r\n")) as server:
        assert call(server.url, PATIENT).status == 302


@both
def test_proxies_and_netrc_of_the_environment_are_not_used(
    call: Ways, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    seen: list[bytes] = []

    def script(connection: socket.socket, over: threading.Event) -> None:
        seen.append(read_request(connection))
        answer(connection, b"{}")

    with peer(script) as server:
        assert call(server.url, PATIENT).status == 200
    assert b"authorization" not in seen[0].lower()


@both
def test_nothing_is_sent_twice(call: Ways) -> None:
    with peer(hang_up) as server:
        broken(call, server.url, PATIENT)
        assert server.accepted == 1


def test_cookies_are_not_kept_between_accounts() -> None:
    seen: list[bytes] = []

    def script(connection: socket.socket, over: threading.Event) -> None:
        while request := read_request(connection):
            seen.append(request)
            answer(connection, b"{}", extra="Set-Cookie: who=first; Path=/\r\n")

    with peer(script) as server:
        by_requests(server.url, PATIENT)
        by_requests(server.url, PATIENT)
    assert b"cookie" not in seen[1].lower()


def test_one_deadline_covers_several_calls() -> None:
    with peer(serving()) as server, peer(silent) as quiet, Deadline(DEADLINE):
        by_urllib3(server.url, PATIENT)
        before = time.monotonic()
        assert broken(by_urllib3, quiet.url, PATIENT).sent
        assert time.monotonic() - before < DEADLINE + 1
        late = broken(by_urllib3, server.url, PATIENT)
    assert not late.sent
    assert never_sent(late)


def test_a_deadline_that_is_over_does_not_touch_the_next_call_on_its_connection() -> None:
    """The connection went back to the pool within a guard that strikes while another call uses it."""
    entered, go = threading.Event(), threading.Event()
    replies: list[Reply] = []

    def script(connection: socket.socket, over: threading.Event) -> None:
        read_request(connection)
        answer(connection, b"first")
        read_request(connection)
        entered.set()
        go.wait(10)
        answer(connection, b"second")

    with peer(script) as server:
        with Deadline(DEADLINE) as first:
            by_urllib3(server.url, PATIENT)
            other = threading.Thread(target=lambda: replies.append(by_urllib3(server.url, PATIENT)))
            other.start()
            assert entered.wait(5)
            while not first.expired:
                threading.Event().wait(0.01)
            go.set()
            other.join(5)
        assert server.accepted == 1
    assert [reply.body for reply in replies] == [b"second"]


NEVER: list[BaseException] = [
    urllib3.exceptions.NewConnectionError(None, "refused"),  # type: ignore[arg-type]
    urllib3.exceptions.NameResolutionError("host", None, socket.gaierror()),  # type: ignore[arg-type]
    urllib3.exceptions.ConnectTimeoutError("late"),
    urllib3.exceptions.ProxyError("proxy", OSError()),
    HandshakeFailed("no"),
    ssl.SSLCertVerificationError("who"),
    DeadlinePassed(1, sent=False),
    TransportError("X", False, None, {}),
]
PERHAPS: list[BaseException] = [
    urllib3.exceptions.ReadTimeoutError(None, "/", "late"),  # type: ignore[arg-type]
    urllib3.exceptions.ProtocolError("broken", ConnectionResetError()),
    urllib3.exceptions.SSLError("in the middle"),
    urllib3.exceptions.IncompleteRead(1, 2),
    ConnectionResetError(),
    BrokenPipeError(),
    TimeoutError(),
    requests.ConnectionError("?"),
    DeadlinePassed(1, sent=True),
    TransportError("X", True, 200, {}),
    ValueError(),
]


def _wrapped(error: BaseException) -> list[BaseException]:
    by_cause = RuntimeError("sdk")
    by_cause.__cause__ = error
    tried = urllib3.exceptions.MaxRetryError(None, "/", error)  # type: ignore[arg-type]
    return [error, by_cause, tried, requests.ConnectionError(tried)]


@pytest.mark.parametrize("error", NEVER, ids=lambda one: type(one).__name__)
def test_proof_is_found_however_it_is_wrapped(error: BaseException) -> None:
    assert all(never_sent(one) for one in _wrapped(error))


@pytest.mark.parametrize("error", PERHAPS, ids=lambda one: type(one).__name__)
def test_doubt_stays_doubt_however_it_is_wrapped(error: BaseException) -> None:
    assert not any(never_sent(one) for one in _wrapped(error))


def test_every_row_of_the_table_is_here() -> None:
    assert all(any(isinstance(one, row) for one in NEVER) for row in transport.NEVER_SENT)


def test_neither_text_nor_repr_tells_the_body_or_the_address() -> None:
    error = broken(by_urllib3, "http://user:secret@127.0.0.1:9/private?token=secret", PATIENT)
    assert "secret" not in f"{error} {error!r}"
    headers: Mapping[str, Any] = {}
    assert "secret" not in repr(Reply(200, headers, b"secret"))
