"""HTTP to providers: one pool and one TLS context a process, no retries, no proxies, one total deadline."""

from __future__ import annotations

import os
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import certifi
import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.cookies import RequestsCookieJar
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError, ProxyError

from core.providers.base import CallLimits
from core.providers.deadline import (
    Deadline,
    DeadlinePassed,
    GuardedHTTPConnection,
    GuardedHTTPSConnection,
    HandshakeFailed,
    current,
)

#: The largest object either provider documents is far below 1 MB; a list page of 100 stays under it too.
MAX_BODY = 5_000_000
#: As many as calls may be in flight in one worker process (inner executor of 150, plus look-ups).
_CONNECTIONS_PER_HOST = 200
_CHUNK = 65_536

#: Exceptions that prove that no byte of the request left. NameResolutionError is a NewConnectionError.
#: A reset or RemoteDisconnected is not among them, not even on a kept-alive connection: the peer may
#: have read the request before it hung up.
NEVER_SENT: tuple[type[BaseException], ...] = (
    NewConnectionError,
    ConnectTimeoutError,
    HandshakeFailed,
    ProxyError,
    ssl.SSLCertVerificationError,
)


class ResponseTooLarge(Exception):
    """The body passed MAX_BODY; it was not read to its end."""


#: What a call may break off with; anything else is a mistake in our code and goes up.
_BROKEN_OFF = (
    HTTPError,
    OSError,
    ValueError,
    requests.RequestException,
    DeadlinePassed,
    ResponseTooLarge,
)


class TransportError(Exception):
    """There is no whole answer. `sent` False proves that the request never left.

    `cause` is the class name of what happened, `http_status` the status if headers had arrived.
    The text holds neither address nor headers.
    """

    def __init__(self, cause: str, sent: bool, http_status: int | None, headers: Mapping[str, str]) -> None:
        super().__init__(f"{cause} {'after' if sent else 'before'} the request was sent")
        self.cause, self.sent, self.http_status, self.headers = cause, sent, http_status, headers


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole HTTP answer; header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


class _HTTPPool(HTTPConnectionPool):
    ConnectionCls: Any = GuardedHTTPConnection


class _HTTPSPool(HTTPSConnectionPool):
    ConnectionCls: Any = GuardedHTTPSConnection


class _Shared:
    """What every account of a process uses together; made on first use, anew after a fork."""

    def __init__(self) -> None:
        self.lock = threading.RLock()  # making the session asks for the pool
        self.manager: urllib3.PoolManager | None = None
        self.session: requests.Session | None = None


_shared = _Shared()


def _after_fork() -> None:
    global _shared
    _shared = _Shared()


os.register_at_fork(after_in_child=_after_fork)


def _ssl_context() -> ssl.SSLContext:
    """The system's authorities (SSL_CERT_FILE included) and certifi's: slim images have only the latter."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


def _new_manager() -> urllib3.PoolManager:
    manager = urllib3.PoolManager(
        num_pools=32,
        maxsize=_CONNECTIONS_PER_HOST,
        block=False,
        retries=False,
        # Built once: loading the authorities anew for each connection costs 20 ms of CPU.
        ssl_context=_ssl_context(),
    )
    manager.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}
    return manager


def pool() -> urllib3.PoolManager:
    """The pool of this process, shared by all accounts."""
    shared = _shared
    with shared.lock:
        if shared.manager is None:
            shared.manager = _new_manager()
        return shared.manager


class _SharedPoolAdapter(HTTPAdapter):
    """`requests` over the same pool and TLS context."""

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **kwargs: Any) -> None:
        self.poolmanager = pool()

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Nothing to set: the shared context verifies, and a bundle named here would be loaded each time."""

    def close(self) -> None:
        """The pool outlives any one session."""


class _NoCookies(RequestsCookieJar):
    """Keeps none: accounts share the session."""

    def set_cookie(self, cookie: Any, *args: Any, **kwargs: Any) -> None:
        return


def session() -> requests.Session:
    """The `requests` session of this process: guarded, without cookies, blind to proxies and netrc."""
    shared = _shared
    with shared.lock:
        if shared.session is None:
            made = requests.Session()
            made.trust_env = False
            made.cookies = _NoCookies()
            adapter = _SharedPoolAdapter()
            made.mount("http://", adapter)
            made.mount("https://", adapter)
            shared.session = made
        return shared.session


def exchange(method: str, url: str, headers: Mapping[str, str], body: Any, limits: CallLimits) -> Reply:
    """One request over urllib3, one whole answer of any status. Raises TransportError, nothing else.

    Runs under the thread's current Deadline, or under one of its own of `limits.deadline` seconds.
    """

    def send(remaining: float, seen: _Seen) -> Reply:
        response = pool().request(
            method,
            url,
            headers=dict(headers),
            body=body,
            retries=False,
            redirect=False,
            preload_content=False,
            timeout=urllib3.Timeout(connect=limits.connect, read=remaining),
        )
        return _read_whole(response, seen)

    return _guarded(send, limits)


def exchange_requests(method: str, url: str, headers: Mapping[str, str], json: Any, limits: CallLimits) -> Reply:
    """The same over the shared `requests` session, with a JSON body (None: no body)."""

    def send(remaining: float, seen: _Seen) -> Reply:
        response = session().request(
            method,
            url,
            headers=dict(headers),
            json=json,
            stream=True,
            allow_redirects=False,
            timeout=(limits.connect, remaining),
        )
        return _read_whole(response.raw, seen)

    return _guarded(send, limits)


class _Seen:
    """What had arrived when a call broke off."""

    status: int | None = None
    headers: Mapping[str, str] = {}


_Send = Callable[[float, _Seen], Reply]


def _guarded(send: _Send, limits: CallLimits) -> Reply:
    outer = current()
    if outer is None:
        with Deadline(limits.deadline) as own:
            return _run(send, own)
    return _run(send, outer)


def _run(send: _Send, deadline: Deadline) -> Reply:
    seen = _Seen()
    try:
        deadline.begin_exchange()
        reply = send(deadline.remaining(), seen)
        if deadline.expired:
            # A body without a length ends wherever the socket was shut down: it only looks whole.
            raise DeadlinePassed(deadline.seconds, deadline.sent)
    except _BROKEN_OFF as error:
        cause = DeadlinePassed.__name__ if deadline.expired else _innermost(error)
        raise TransportError(cause, deadline.sent, seen.status, seen.headers) from error
    return reply


def _read_whole(response: Any, seen: _Seen) -> Reply:
    seen.status = status = int(response.status)
    seen.headers = headers = {str(name).lower(): str(value) for name, value in response.headers.items()}
    parts: list[bytes] = []
    size = 0
    try:
        while part := response.read(_CHUNK, decode_content=True):
            parts.append(part)
            size += len(part)
            if size > MAX_BODY:
                raise ResponseTooLarge(f"more than {MAX_BODY} bytes")
    except BaseException:
        # Closed, not returned to the pool: what follows on this connection belongs to a broken answer.
        response.close()
        raise
    response.release_conn()
    return Reply(status, headers, b"".join(parts))


def _chain(error: BaseException) -> list[BaseException]:
    """The exception and everything it was made from: __cause__, urllib3's `reason`, requests' args."""
    found: list[BaseException] = []
    waiting: list[Any] = [error]
    while waiting:
        one = waiting.pop(0)
        if isinstance(one, BaseException) and not any(one is known for known in found):
            found.append(one)
            waiting += [one.__cause__, getattr(one, "reason", None), *one.args]
    return found


def _innermost(error: BaseException) -> str:
    """The most telling class name: urllib3's own rather than the wrapper `requests` puts around it."""
    for one in _chain(error):
        if not isinstance(one, requests.RequestException | urllib3.exceptions.MaxRetryError):
            return type(one).__name__
    return type(error).__name__


def never_sent(error: BaseException) -> bool:
    """True only where the exception proves that no byte of the request left; in doubt False."""
    for one in _chain(error):
        if isinstance(one, TransportError | DeadlinePassed):
            return not one.sent
        if isinstance(one, NEVER_SENT):
            return True
    return False
