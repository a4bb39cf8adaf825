"""The fault proxy of the chaos runs: each fault against a server that keeps what it was told."""

from __future__ import annotations

import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.chaos.proxy import Proxy
from tests.support.waiting import wait_until

WAIT = 5.0


class Notary:
    """Answers each line with `did LINE`, and remembers what it did."""

    def __init__(self) -> None:
        self.did: list[bytes] = []
        self.ended = 0
        notary = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                try:
                    for line in self.rfile:
                        notary.did.append(line.strip())
                        self.wfile.write(b"did " + line)
                except ConnectionError:
                    pass
                notary.ended += 1

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


@pytest.fixture
def notary() -> Iterator[Notary]:
    made = Notary()
    yield made
    made.close()


@pytest.fixture
def proxy(notary: Notary) -> Iterator[Proxy]:
    made = Proxy(notary.port)
    yield made
    made.close()


@contextmanager
def client(proxy: Proxy) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=WAIT) as made:
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield made


def ask(one: socket.socket, text: bytes) -> bytes:
    one.sendall(text + b"\n")
    return read(one)


def read(one: socket.socket) -> bytes:
    got = b""
    while not got.endswith(b"\n"):
        chunk = one.recv(65536)
        if not chunk:
            break
        got += chunk
    return got.strip()


def is_silent(one: socket.socket, seconds: float = 0.3) -> bool:
    one.settimeout(seconds)
    try:
        return one.recv(1) is None
    except TimeoutError:
        return True
    finally:
        one.settimeout(WAIT)


def test_passes_everything_both_ways(proxy: Proxy, notary: Notary) -> None:
    with client(proxy) as one, client(proxy) as other:
        assert ask(one, b"a") == b"did a"
        big = b"x" * 3_000_000
        sender = threading.Thread(target=other.sendall, args=(big + b"\n",))
        sender.start()
        assert read(other) == b"did " + big
        sender.join(WAIT)
        assert proxy.connections == 2
    wait_until(lambda: proxy.connections == 0 and notary.ended == 2, "both ends to be passed on")
    assert proxy.fired == {}


def test_cut_resets_what_is_open_and_takes_new_ones(proxy: Proxy) -> None:
    with client(proxy) as one:
        assert ask(one, b"a") == b"did a"
        proxy.cut()
        with pytest.raises(ConnectionResetError):
            one.recv(1)
    with client(proxy) as again:
        assert ask(again, b"b") == b"did b"
    assert proxy.fired == {"cut": 1}


def test_refuse_takes_no_new_ones_until_healed(proxy: Proxy) -> None:
    with client(proxy) as one:
        assert ask(one, b"a") == b"did a"
        proxy.refuse()
        with pytest.raises(ConnectionResetError):
            one.recv(1)
    for _ in range(3):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", proxy.port), timeout=WAIT)
    proxy.heal()
    with client(proxy) as again:
        assert ask(again, b"b") == b"did b"


def test_frozen_connections_stay_open_on_both_sides(proxy: Proxy, notary: Notary) -> None:
    with client(proxy) as one:
        assert ask(one, b"a") == b"did a"
        proxy.freeze()
        one.sendall(b"b\n")
        with client(proxy) as late:
            late.sendall(b"c\n")
            assert is_silent(one)
            assert is_silent(late)
        assert notary.did == [b"a"]
        proxy.thaw()
        assert read(one) == b"did b"
    wait_until(lambda: sorted(notary.did) == [b"a", b"b", b"c"], "what was sent meanwhile to arrive")


def test_a_client_that_died_behind_a_frozen_proxy_is_half_open(proxy: Proxy, notary: Notary) -> None:
    with client(proxy) as one:
        assert ask(one, b"a") == b"did a"
        proxy.freeze()
    with client(proxy) as other:
        assert is_silent(other)
        assert notary.ended == 0
        proxy.thaw()
        wait_until(lambda: notary.ended == 1, "the server to hear of the end")


def test_delay_holds_each_chunk_back_both_ways(proxy: Proxy) -> None:
    with client(proxy) as one:
        ask(one, b"a")
        proxy.delay(0.15)
        begun = time.monotonic()
        assert ask(one, b"b") == b"did b"
        assert time.monotonic() - begun >= 0.3
        proxy.delay(0)
        assert ask(one, b"c") == b"did c"


@pytest.mark.parametrize("pieces", [[b"please COMMIT now"], [b"please COM", b"MIT now"], [b"C", b"OMMI", b"T"]])
def test_drop_reply_lets_the_server_act_and_resets_the_client(
    proxy: Proxy, notary: Notary, pieces: list[bytes]
) -> None:
    with client(proxy) as one:
        ask(one, b"a")
        proxy.drop_reply(b"COMMIT")
        for piece in pieces[:-1]:
            one.sendall(piece)
            assert is_silent(one, 0.05), "each piece travels by itself"
        one.sendall(pieces[-1] + b"\n")
        with pytest.raises(ConnectionResetError):
            one.recv(1)
    assert notary.did == [b"a", b"".join(pieces)]
    with client(proxy) as again:
        assert ask(again, b"COMMIT") == b"did COMMIT"
    assert proxy.fired == {"drop_reply": 1}


def test_drop_request_never_reaches_the_server(proxy: Proxy, notary: Notary) -> None:
    proxy.drop_request(b"POST", times=2)
    for _ in range(2):
        with client(proxy) as one:
            ask(one, b"GET")
            one.sendall(b"POST\n")
            with pytest.raises(ConnectionResetError):
                one.recv(1)
    with client(proxy) as one:
        assert ask(one, b"POST") == b"did POST"
    assert notary.did == [b"GET", b"GET", b"POST"]
    assert proxy.fired == {"drop_request": 2}


def test_blackhole_acts_and_stays_silent(proxy: Proxy, notary: Notary) -> None:
    proxy.blackhole(b"POST")
    with client(proxy) as one:
        one.sendall(b"POST\n")
        wait_until(lambda: notary.did == [b"POST"], "the server to act")
        one.sendall(b"and more\n")
        assert is_silent(one)
        assert notary.did == [b"POST"]
    wait_until(lambda: proxy.connections == 0 and notary.ended == 1, "the server to hear of the end")


def test_a_server_that_is_not_there_resets(proxy: Proxy, notary: Notary) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    proxy.retarget(port)

    with pytest.raises(ConnectionResetError), client(proxy) as one:
        one.recv(1)
    proxy.retarget(notary.port)
    with client(proxy) as one:
        assert ask(one, b"a") == b"did a"


@pytest.mark.parametrize("fault", [Proxy.cut, Proxy.refuse, Proxy.freeze])
def test_heal_ends_every_fault(proxy: Proxy, notary: Notary, fault: Callable[[Proxy], None]) -> None:
    proxy.delay(5)
    proxy.drop_request(b"a")
    fault(proxy)
    proxy.heal()
    with client(proxy) as one:
        begun = time.monotonic()
        assert ask(one, b"a") == b"did a"
        assert time.monotonic() - begun < 4
