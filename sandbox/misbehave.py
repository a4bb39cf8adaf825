"""Carries a fault out on the wire: hangs, cuts, drips, lies."""

from __future__ import annotations

import asyncio
import re
import socket
import struct

from aiohttp import web

from .faults import Fault
from .http import Reply
from .provider import Provider

# A client that has not given up after this long never will; the connection is then simply closed.
LONGEST_HANG = 120.0
HTML = b"<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"


async def hang(request: web.BaseRequest) -> None:
    """Waits until the client is gone, then drops the connection without a word."""
    for _ in range(int(LONGEST_HANG * 10)):
        if request.transport is None or request.transport.is_closing():
            break
        await asyncio.sleep(0.1)
    reset(request)


def reset(request: web.BaseRequest) -> None:
    """Closes the TCP connection with RST."""
    transport = request.transport
    if transport is None:
        return
    sock = transport.get_extra_info("socket")
    if sock is not None:
        # Lingering for zero seconds makes close() send RST instead of FIN.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def altered(fault: Fault, provider: Provider, reply: Reply) -> Reply:
    """The answer a fault puts in place of the true one; the true one if it leaves answers alone."""
    if fault.effect == "html":
        return Reply(fault.status or 200, HTML, {}, "text/html")
    if fault.effect == "nonsense":
        return Reply(fault.status or 200, b'{"ok": tru', reply.headers)
    if fault.effect == "wrong_amount":
        body = re.sub(rb'"(amount|amount_received|requested_amount)":([1-9]\d*)', rb'"\1":\g<2>0', reply.body)
        return Reply(reply.status, body, reply.headers)
    if fault.effect == "wrong_currency":
        return Reply(reply.status, re.sub(rb'"currency":"(\w{3})"', _other_currency, reply.body), reply.headers)
    if fault.effect.startswith("status_"):
        return provider.failure(fault.status or 500)
    return reply


def _other_currency(found: re.Match[bytes]) -> bytes:
    return b'"currency":"%s"' % {b"usd": b"eur", b"NGN": b"GHS"}.get(found[1], b"usd" if found[1].islower() else b"NGN")


async def send_badly(request: web.BaseRequest, fault: Fault, reply: Reply) -> web.StreamResponse:
    """Sends half the body and cuts, or drips it over `ms`."""
    response = web.StreamResponse(status=reply.status, headers={**reply.headers, "Content-Type": reply.content_type})
    response.content_length = len(reply.body)
    await response.prepare(request)
    if fault.effect == "cut_body":
        await response.write(reply.body[: len(reply.body) // 2])
        reset_softly(request)
        return response
    pieces = 20
    size = -(-len(reply.body) // pieces)
    for start in range(0, len(reply.body), size):
        await response.write(reply.body[start : start + size])
        await asyncio.sleep(fault.ms / 1000 / pieces)
    await response.write_eof()
    return response


def reset_softly(request: web.BaseRequest) -> None:
    """Closes after what was written has left, so that the client sees a body that stops early."""
    if request.transport is not None:
        request.transport.close()
