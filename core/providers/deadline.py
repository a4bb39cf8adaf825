"""One total time for a provider call: a watcher shuts the call's socket down when it passes.

Read time-outs are per read, so a peer that drips a byte now and then never meets them; this does.
"""

from __future__ import annotations

import heapq
import itertools
import os
import socket
import threading
import time
from types import TracebackType
from typing import Any

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError, SSLError
from urllib3.util.connection import create_connection

#: Seconds. A time-out of 0 would mean "do not block" to a socket.
_LEAST = 0.05


class DeadlinePassed(Exception):
    """The total time of the call is over. `sent` False: not one byte of the request had left."""

    def __init__(self, seconds: float, sent: bool) -> None:
        super().__init__(f"no whole answer within {seconds:g} s")
        self.seconds, self.sent = seconds, sent


class HandshakeFailed(SSLError):
    """TCP stood, TLS did not come about: the request was never written."""


class Deadline:
    """Bounds everything this thread sends inside the `with` block to `seconds` in total.

    `expired` says that it struck; `sent` whether a request byte has left since `begin_exchange()`.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.expired = False
        self.sent = False
        self.done = False
        self._ends = 0.0
        self._connections: set[GuardedHTTPConnection] = set()
        self._outer: Deadline | None = None

    def __enter__(self) -> Deadline:
        self._ends = time.monotonic() + self.seconds
        self._outer = current()
        _local.deadline = self
        _state.watcher.add(self._ends, self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _local.deadline = self._outer
        with _state.ownership:
            self.done = True
            self._connections.clear()

    def remaining(self) -> float:
        """Seconds left, never below 0."""
        return max(0.0, self._ends - time.monotonic())

    def check(self) -> None:
        """Raises DeadlinePassed once the time is over."""
        if self.expired or self.remaining() <= 0:
            raise DeadlinePassed(self.seconds, self.sent)

    def begin_exchange(self) -> None:
        """Another request starts under the same deadline."""
        self.sent = False
        self.check()

    def take(self, connection: GuardedHTTPConnection) -> None:
        """This call uses the connection from now on, whoever used it before."""
        with _state.ownership:
            self.check()
            connection.guard = self
            self._connections.add(connection)

    def expire(self) -> None:
        with _state.ownership:
            if self.done:
                return
            self.expired = True
            for connection in self._connections:
                # A connection that went back to the pool may already serve another call.
                if connection.guard is self:
                    connection.abort()


class _Watcher:
    """A heap of ends and one daemon thread that waits for the nearest."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Deadline]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def add(self, ends: float, deadline: Deadline) -> None:
        with self._changed:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="deadline-watcher", daemon=True)
                self._thread.start()
            heapq.heappush(self._heap, (ends, next(self._order), deadline))
            if self._heap[0][2] is deadline:
                self._changed.notify()

    def _run(self) -> None:
        while True:
            self._wait_for_the_next().expire()

    def _wait_for_the_next(self) -> Deadline:
        with self._changed:
            while True:
                while self._heap and self._heap[0][2].done:
                    heapq.heappop(self._heap)
                delay = self._heap[0][0] - time.monotonic() if self._heap else None
                if delay is not None and delay <= 0:
                    return heapq.heappop(self._heap)[2]
                self._changed.wait(delay)


class _State:
    """What one process shares; made anew after a fork, which copies locks but not threads."""

    def __init__(self) -> None:
        self.ownership = threading.Lock()
        self.watcher = _Watcher()


_local = threading.local()
_state = _State()


def _after_fork() -> None:
    global _state
    _state = _State()


os.register_at_fork(after_in_child=_after_fork)


def current() -> Deadline | None:
    """The innermost deadline this thread works under."""
    found: Deadline | None = getattr(_local, "deadline", None)
    return found


class GuardedHTTPConnection(HTTPConnection):
    """A urllib3 connection that obeys the current Deadline and notes when the request starts to leave."""

    guard: Deadline | None = None
    #: Kept beside `sock`, which http.client forgets while a body without a length is still being read.
    _live: socket.socket | None = None

    def _new_conn(self) -> socket.socket:
        """Resolve and connect within the connect time-out as a whole, not per address."""
        guard = current()
        budget = self.timeout if isinstance(self.timeout, int | float) else 30.0
        if guard is not None:
            guard.check()
            budget = min(budget, guard.remaining())
        ends = time.monotonic() + budget
        try:
            addresses = resolve(self._dns_host, self.port, budget)
            found = _first_that_answers(addresses, ends, self.socket_options)
        except socket.gaierror as error:
            raise NameResolutionError(self.host, self, error) from error
        except TimeoutError as error:
            raise ConnectTimeoutError(self, f"no connection within {budget:.3g} s") from error
        except OSError as error:
            raise NewConnectionError(self, f"no connection: {error}") from error
        # What is left is for the handshake.
        found.settimeout(max(ends - time.monotonic(), _LEAST))
        return found

    def send(self, data: Any) -> None:
        if self.sock is None:
            self.connect()
        guard = current()
        if guard is not None:
            self._live = self.sock
            guard.take(self)
            # Set before the write: a write that fails half-way may have left in part.
            guard.sent = True
        super().send(data)

    def abort(self) -> None:
        """Called by the watcher; the thread that reads or writes wakes up with an error."""
        _shut_down(self._live)


class GuardedHTTPSConnection(GuardedHTTPConnection, HTTPSConnection):
    """The same over TLS. The handshake needs no watching: Python counts a time-out over it as a whole."""

    def connect(self) -> None:
        try:
            super().connect()
        except (NewConnectionError, ConnectTimeoutError, DeadlinePassed):
            raise
        except (OSError, SSLError) as error:
            raise HandshakeFailed(f"TLS handshake failed: {type(error).__name__}") from error


def _shut_down(sock: socket.socket | None) -> None:
    if sock is None:
        return
    try:
        # The base method: SSLSocket.shutdown would drop its TLS state under the reading thread.
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
    except OSError:
        return  # closed or never connected: nothing left to wake


def resolve(host: str, port: int | None, seconds: float) -> list[tuple[str, int]]:
    """Addresses of `host`; in a thread of its own, since getaddrinfo() knows no time-out.

    Raises socket.gaierror.
    """
    found: list[tuple[str, int]] = []
    failed: list[OSError] = []

    def ask() -> None:
        try:
            rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            found.extend((str(row[4][0]), int(row[4][1])) for row in rows)
        except UnicodeError:
            failed.append(socket.gaierror(socket.EAI_NONAME, "not a host name"))
        except OSError as error:
            failed.append(error)

    thread = threading.Thread(target=ask, name="resolver", daemon=True)
    thread.start()
    thread.join(seconds)
    if failed:
        raise failed[0]
    if not found:
        raise socket.gaierror(socket.EAI_AGAIN, "no answer from the resolver in time")
    return list(found)


def _first_that_answers(addresses: list[tuple[str, int]], ends: float, options: Any) -> socket.socket:
    """Connect to one of them; each gets its share of the time, so that one silent address cannot eat it."""
    last: OSError = OSError("no address")
    for left, address in zip(range(len(addresses), 0, -1), addresses, strict=True):
        share = max((ends - time.monotonic()) / left, _LEAST)
        try:
            return create_connection(address, timeout=share, socket_options=options)
        except OSError as error:
            last = error
    raise last
