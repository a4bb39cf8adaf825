"""One connection through the fault proxy: two ways, what waits on them, and what they are made to lose."""

from __future__ import annotations

import enum
import selectors
import socket
import time
from collections import deque
from dataclasses import dataclass, field

#: One read. A way that holds more than `FULL` takes nothing in until its receiver has caught up.
CHUNK, FULL = 64 * 1024, 512 * 1024


class Mode(enum.Enum):
    OPEN = "passes both ways"
    SWALLOW = "the server's answer is thrown away, then the client is reset"
    SILENT = "the client hears nothing any more, and is not told so"


@dataclass
class Rule:
    name: str
    match: bytes
    times: int


@dataclass(eq=False)
class Way:
    source: socket.socket
    sink: socket.socket
    #: (when it may go on, what), the oldest first.
    waiting: deque[tuple[float, bytes]] = field(default_factory=deque)
    held: int = 0
    ended: bool = False
    shut: bool = False

    def put(self, data: bytes, seconds: float) -> None:
        self.waiting.append((time.monotonic() + seconds if seconds else 0.0, data))
        self.held += len(data)

    def send(self, now: float) -> None:
        """What is due, as far as the receiver takes it; the end after the last of it. Raises OSError."""
        while self.waiting and self.waiting[0][0] <= now:
            moment, data = self.waiting.popleft()
            try:
                sent = self.sink.send(data)
            except BlockingIOError:
                sent = 0
            self.held -= sent
            if sent < len(data):
                self.waiting.appendleft((moment, data[sent:]))
                return
        if self.ended and not self.waiting and not self.shut:
            self.shut = True
            self.sink.shutdown(socket.SHUT_WR)

    def wants_to_send(self, now: float) -> bool:
        return bool(self.waiting) and self.waiting[0][0] <= now


class Link:
    """A client's connection and the one made for it to the server."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client, self.server = client, server
        self.up, self.down = Way(client, server), Way(server, client)
        self.mode = Mode.OPEN
        self.connected = False
        #: When a swallowed answer counts as whole.
        self.answered_at: float | None = None
        self._tails: dict[int, bytes] = {}

    def meets(self, rule: Rule, data: bytes) -> bool:
        """Does the rule's text end in this chunk? It may have begun in an earlier one."""
        tail = self._tails.get(id(rule), b"")
        whole = tail + data
        keep = len(rule.match) - 1
        self._tails[id(rule)] = whole[-keep:] if keep else b""
        return rule.match in whole

    def due(self) -> float | None:
        """The next moment at which time alone has something to do here."""
        moments = [way.waiting[0][0] for way in (self.up, self.down) if way.waiting and way.waiting[0][0]]
        if self.answered_at is not None:
            moments.append(self.answered_at)
        return min(moments, default=None)

    def interests(self, frozen: bool) -> list[tuple[socket.socket, int]]:
        """What each socket waits for."""
        if frozen:
            return [(self.client, 0), (self.server, 0)]
        now = time.monotonic()
        client = server = 0
        if not self.up.ended and self.up.held < FULL:
            client |= selectors.EVENT_READ
        if not self.connected:
            server |= selectors.EVENT_WRITE
        elif not self.down.ended and self.down.held < FULL:
            server |= selectors.EVENT_READ
        if self.down.wants_to_send(now):
            client |= selectors.EVENT_WRITE
        if self.connected and self.up.wants_to_send(now):
            server |= selectors.EVENT_WRITE
        return [(self.client, client), (self.server, server)]
