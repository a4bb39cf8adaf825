"""What no client sends by mistake, byte by byte: told in the API's form, or closed; never a 5xx, never carried out."""

from __future__ import annotations

import json
import socket
import ssl
from typing import Any

import pytest

from tests.slow_clients.proxy import Proxy
from tests.support.world import World

HOST = b"Host: localhost\r\n"
JSON = b"Content-Type: application/json\r\n"
BODY = b'{"amount":1}'

CASES: dict[str, bytes] = {
    "HTTP/1.0": b"GET /v1/payments HTTP/1.0\r\n\r\n",
    "HTTP/1.0 with a body": b"POST /v1/payments HTTP/1.0\r\n" + JSON + b"Content-Length: 12\r\n\r\n" + BODY,
    "HTTP/0.9": b"GET /v1/payments\r\n\r\n",
    "HTTP/3.7": b"GET /v1/payments HTTP/3.7\r\n" + HOST + b"\r\n",
    "no host": b"GET /v1/payments HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /v1/payments HTTP/1.1\r\n" + HOST + HOST + b"\r\n",
    "another host": b"GET /v1/payments HTTP/1.1\r\nHost: evil.example:1\r\n\r\n",
    "a chunked body": b"POST /v1/payments HTTP/1.1\r\n" + HOST + JSON
    + b"Transfer-Encoding: chunked\r\n\r\nc\r\n" + BODY + b"\r\n0\r\n\r\n",
    "chunks that are none": b"POST /v1/payments HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    "length and chunks": b"POST /v1/payments HTTP/1.1\r\n" + HOST
    + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "another encoding": b"POST /v1/payments HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: gzip\r\n\r\n",
    "two lengths": b"POST /v1/payments HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
    "a length below nought": b"POST /v1/payments HTTP/1.1\r\n" + HOST + b"Content-Length: -1\r\n\r\n",
    "a length in words": b"POST /v1/payments HTTP/1.1\r\n" + HOST + b"Content-Length: many\r\n\r\n",
    "a length beyond everything": b"POST /v1/payments HTTP/1.1\r\n" + HOST
    + b"Content-Length: 99999999999999999999\r\n\r\n",
    "two keys": b"GET /v1/payments HTTP/1.1\r\n" + HOST + b"Authorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n",
    "a huge header": b"GET /v1/payments HTTP/1.1\r\n" + HOST + b"X-A: " + b"a" * 200_000 + b"\r\n\r\n",
    "thousands of headers": b"GET /v1/payments HTTP/1.1\r\n" + HOST + b"X-A: a\r\n" * 5_000 + b"\r\n",
    "a huge address": b"GET /v1/payments?a=" + b"a" * 100_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
    "a header without a name": b"GET /v1/payments HTTP/1.1\r\n" + HOST + b": a\r\n\r\n",
    "a header with a line in it": b"GET /v1/payments HTTP/1.1\r\n" + HOST + b"X-A: a\r\n b\r\n\r\n",
    "a header with nothing in it": b"GET /v1/payments HTTP/1.1\r\n" + HOST + b"X-A: \x00\r\n\r\n",
    "an address with nothing in it": b"GET /v1/payments/%00 HTTP/1.1\r\n" + HOST + b"\r\n",
    "an address that climbs": b"GET /v1/../../etc/passwd HTTP/1.1\r\n" + HOST + b"\r\n",
    "a broken escape": b"GET /v1/%zz HTTP/1.1\r\n" + HOST + b"\r\n",
    "no UTF-8": b"GET /v1/payments/%ff%fe?a=%ff HTTP/1.1\r\n" + HOST + b"\r\n",
    "a whole address": b"GET http://evil.example/v1/payments HTTP/1.1\r\n" + HOST + b"\r\n",
    "TRACE": b"TRACE /v1/payments HTTP/1.1\r\n" + HOST + b"\r\n",
    "CONNECT": b"CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n",
    "OPTIONS": b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n",
    "an unknown method": b"BREW /v1/payments HTTP/1.1\r\n" + HOST + b"\r\n",
    "a method of digits": b"4242424242424242 /v1/payments HTTP/1.1\r\n" + HOST + b"\r\n",
    "an upgrade": b"GET /v1/payments HTTP/1.1\r\n" + HOST + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    "HTTP/2 unasked": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "an expectation": b"POST /v1/payments HTTP/1.1\r\n" + HOST
    + b"Expect: the-impossible\r\nContent-Length: 2\r\n\r\n{}",
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00",
}  # fmt: skip


def ask(port: int, context: ssl.SSLContext | None, sent: bytes) -> bytes:
    """All that comes back until it is closed, or until nothing comes for a moment."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as plain:
        whole = context.wrap_socket(plain, server_hostname="localhost") if context else plain
        try:
            whole.sendall(sent)
            found = b""
            while part := whole.recv(65536):
                found += part
                if b"\r\n\r\n" in found and _is_whole(found):
                    break
        except OSError:
            return b""
        else:
            return found
        finally:
            whole.close()


def _is_whole(found: bytes) -> bool:
    head, _, body = found.partition(b"\r\n\r\n")
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return bool(lengths) and len(body) >= int(lengths[0].partition(b":")[2])


def judge(answer: bytes, whole: bool) -> None:
    """`whole`: with a body of the API's form."""
    if not answer:
        return
    if answer.startswith(b"{"):  # to HTTP/0.9, which knows no head
        assert json.loads(answer)["status"] == 401
        return
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1."), answer[:200]
    status = int(head.split()[1])
    assert 400 <= status < 500, head
    if whole:
        told: dict[str, Any] = json.loads(body)
        assert told["status"] == status
        assert b"application/problem+json" in head
    assert b"evil" not in body
    assert b"4242424242424242" not in body


@pytest.mark.parametrize("case", CASES)
def test_through_the_proxy(proxy: Proxy, world: World, case: str) -> None:
    judge(ask(proxy.port, proxy.trusting(), CASES[case]), whole=True)


@pytest.mark.parametrize("case", CASES)
def test_straight_to_the_api(api_port: int, world: World, case: str) -> None:
    judge(ask(api_port, None, CASES[case]), whole=False)


def test_plain_words_to_the_port_of_tls(proxy: Proxy) -> None:
    judge(ask(proxy.port, None, b"GET / HTTP/1.1\r\n" + HOST + b"\r\n"), whole=True)


def test_what_the_proxy_says_itself_asks_for_tls_for_ever_too(proxy: Proxy, world: World) -> None:
    for case in ("HTTP/1.0", "a broken escape", "a chunked body"):
        told = ask(proxy.port, proxy.trusting(), CASES[case])
        assert b"strict-transport-security: max-age=31536000" in told.lower(), case
