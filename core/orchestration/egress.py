"""The only door by which we speak HTTP to addresses that merchants name: checked, bounded, without detours."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import certifi
import urllib3
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NewConnectionError,
    ProtocolError,
    ReadTimeoutError,
)

from core.orchestration.addresses import refusal
from core.providers.deadline import (
    Deadline,
    DeadlinePassed,
    GuardedHTTPConnection,
    GuardedHTTPSConnection,
    HandshakeFailed,
    resolve,
)

#: Nothing in an answer's body matters; this much is read so that the receiver can finish writing.
MAX_ANSWER = 4096
#: To one address; a host may have several, and the whole has its own deadline.
CONNECT_TIMEOUT = 5.0
#: More addresses than this are not tried in one attempt.
_MOST_ADDRESSES = 3


class Refused(Exception):
    """The address may not be spoken to; the text says why."""


@dataclass(frozen=True, slots=True)
class Target:
    """A checked URL's parts. `path` begins with a slash and holds the query."""

    scheme: str
    host: str
    port: int
    path: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one attempt. `error` is in our words; `retry_after` in seconds, as the receiver asked."""

    status: int | None
    error: str | None
    refused: bool
    retry_after: str | None
    duration: float


class _HTTPPool(HTTPConnectionPool):
    ConnectionCls: Any = GuardedHTTPConnection


class _HTTPSPool(HTTPSConnectionPool):
    ConnectionCls: Any = GuardedHTTPSConnection


@cache
def _tls() -> ssl.SSLContext:
    """Made once: loading the authorities costs 20 ms of CPU."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


def look_up_host(host: str, port: int, seconds: float) -> list[str]:
    """The host's addresses, each once. Raises socket.gaierror."""
    return list(dict.fromkeys(address for address, _ in resolve(host, port, seconds)))


def post(target: Target, headers: Mapping[str, str], body: bytes, seconds: float, allow_private: bool) -> Answer:
    """One POST within `seconds` in all. Never raises for what the other side does.

    The host is resolved once and the connection goes to the very address that was checked, so a name that
    changes its mind between check and use gains nothing. No redirects, no proxies, no retries.
    """
    started = time.monotonic()
    status: int | None = None
    retry_after: str | None = None
    error: str | None = None
    refused = False
    try:
        with Deadline(seconds) as deadline:
            addresses = _checked_addresses(target, deadline, allow_private)
            response = _send(addresses, target, headers, body, deadline)
            status, retry_after = int(response.status), response.headers.get("Retry-After")
            _finish(response)
    except Refused as stop:
        error, refused = str(stop), True
    except (DeadlinePassed, HTTPError, OSError, ValueError) as failure:
        error = _words(failure, deadline)
    return Answer(status, error, refused, retry_after, time.monotonic() - started)


def _checked_addresses(target: Target, deadline: Deadline, allow_private: bool) -> list[str]:
    addresses = look_up_host(target.host, target.port, deadline.remaining())
    for address in addresses:
        # One bad address refuses the host: a name that points inside and outside is either broken or a trick.
        reason = refusal(address, allow_private)
        if reason is not None:
            raise Refused(f"the host resolves to an address that deliveries may not go to ({reason})")
    return addresses[:_MOST_ADDRESSES]


def _send(
    addresses: list[str], target: Target, headers: Mapping[str, str], body: bytes, deadline: Deadline
) -> urllib3.BaseHTTPResponse:
    for position, address in enumerate(addresses):
        left = len(addresses) - position
        connect = max(0.05, min(CONNECT_TIMEOUT, deadline.remaining() / left))
        try:
            return _pool(address, target).urlopen(
                "POST",
                target.path,
                body=body,
                headers={**headers, "Host": _host_header(target)},
                retries=False,
                redirect=False,
                preload_content=False,
                timeout=urllib3.Timeout(connect=connect, read=max(0.05, deadline.remaining())),
            )
        except (NewConnectionError, ConnectTimeoutError):
            # Nothing was sent, so the host's next address may have it.
            if left == 1 or deadline.expired:
                raise
    raise socket.gaierror(socket.EAI_NONAME, "no address")


def _pool(address: str, target: Target) -> HTTPConnectionPool:
    # A bracketed literal is what urllib3 takes for IPv6; it resolves to itself.
    host = f"[{address}]" if ":" in address else address
    if target.scheme == "http":
        return _HTTPPool(host, target.port, maxsize=1)
    # The certificate is checked against the name the merchant gave, not the address.
    return _HTTPSPool(
        host,
        target.port,
        maxsize=1,
        ssl_context=_tls(),
        server_hostname=target.host,
    )


def _host_header(target: Target) -> str:
    host = f"[{target.host}]" if ":" in target.host else target.host
    default = 443 if target.scheme == "https" else 80
    return host if target.port == default else f"{host}:{target.port}"


def _finish(response: urllib3.BaseHTTPResponse) -> None:
    """Read a little and hang up. The status has arrived: whatever happens here changes nothing."""
    try:
        response.read(MAX_ANSWER, decode_content=False)
    except (DeadlinePassed, HTTPError, OSError, ValueError):
        return
    finally:
        response.close()


def _words(error: Exception, deadline: Deadline) -> str:
    """What to tell the merchant; never the exception's own text, which holds addresses."""
    if deadline.expired or isinstance(error, DeadlinePassed | ReadTimeoutError):
        return f"no answer within {deadline.seconds:g} s"
    if isinstance(error, HandshakeFailed | ssl.SSLError | urllib3.exceptions.SSLError):
        return "the TLS handshake failed; is the certificate valid for this host?"
    if isinstance(error, socket.gaierror):
        return "the host name could not be resolved"
    if isinstance(error, NewConnectionError):  # which urllib3 makes a kind of the next
        return "the connection was refused"
    if isinstance(error, ConnectTimeoutError):
        return "no connection in time"
    if isinstance(error, ProtocolError):
        return "the connection ended before an answer"
    return "the answer was not HTTP"
