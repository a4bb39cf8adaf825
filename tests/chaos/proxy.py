"""A TCP proxy on loopback that cuts, freezes, delays, and loses an answer after the server has acted."""

from __future__ import annotations

import contextlib
import errno
import selectors
import socket
import struct
import threading
import time
from collections import Counter, deque
from collections.abc import Callable

from tests.chaos.links import CHUNK, Link, Mode, Rule

HOST = "127.0.0.1"
#: A linger of no seconds: the peer gets a reset, as from a machine that died.
RESET = struct.pack("ii", 1, 0)
#: An answer counts as whole when the server has said nothing more for this long. A commit's is one packet.
ANSWERED_AFTER = 0.02
#: What a command to the proxy's thread may take; more means that the thread has died.
COMMAND_SECONDS = 10.0


class Proxy:
    """Stands before `target`, a port of this machine. Thread-safe; one thread of its own serves all connections.

    `fired` counts the faults that happened, by name: an order that met nothing is not counted.
    """

    def __init__(self, target: int) -> None:
        self.fired: Counter[str] = Counter()
        self._target = target
        self._selector = selectors.DefaultSelector()
        self._links: set[Link] = set()
        #: Those at which time alone has something to do.
        self._timed: set[Link] = set()
        self._rules: list[Rule] = []
        self._seconds = 0.0
        self._frozen = False
        self._orders: deque[Callable[[], None]] = deque()
        # Bound and never listening: it keeps the port ours while nobody listens on it.
        self._holder = _bound(0)
        self.port: int = self._holder.getsockname()[1]
        self._listener: socket.socket | None = None
        self._bell, self._ear = socket.socketpair()
        self._ear.setblocking(False)
        self._selector.register(self._ear, selectors.EVENT_READ, None)
        self._listen()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=f"proxy-{target}", daemon=True)
        self._thread.start()

    @property
    def connections(self) -> int:
        return len(self._links)

    def retarget(self, port: int) -> None:
        """New connections go there; those that are open stay where they are."""
        self._target = port

    # Faults

    def cut(self) -> None:
        """Resets every open connection; new ones are taken."""
        self._do(self._reset_all, "cut")

    def refuse(self) -> None:
        """Resets every open connection and refuses new ones until `heal`."""

        def order() -> None:
            if self._listener is not None:
                self._selector.unregister(self._listener)
                self._listener.close()
                self._listener = None
            self._reset_all()

        self._do(order, "refuse")

    def freeze(self) -> None:
        """Nothing passes any more, not even the end of a connection: each side believes that the other is there."""

        def order() -> None:
            self._frozen = True
            for link in self._links:
                self._watch(link)

        self._do(order, "freeze")

    def thaw(self) -> None:
        def order() -> None:
            self._frozen = False
            for link in tuple(self._links):
                self._push(link)

        self._do(order)

    def delay(self, seconds: float) -> None:
        """Each chunk that arrives from now on waits so long, both ways; 0 ends it."""

        def order() -> None:
            self._seconds = seconds

        self._do(order, "delay" if seconds else None)

    def drop_reply(self, match: bytes, times: int = 1) -> None:
        """The server acts on what holds `match`, its answer is lost, and the client's connection is reset."""
        self._order(Rule("drop_reply", match, times))

    def drop_request(self, match: bytes, times: int = 1) -> None:
        """The client's connection is reset before what holds `match` has passed."""
        self._order(Rule("drop_request", match, times))

    def blackhole(self, match: bytes, times: int = 1) -> None:
        """The server acts on what holds `match`; the client's connection stays open and is silent for ever."""
        self._order(Rule("blackhole", match, times))

    def heal(self) -> None:
        """Normal again: listening, thawed, quick, no orders left. What was cut stays cut."""

        def order() -> None:
            self._rules.clear()
            self._seconds = 0.0
            self._frozen = False
            if self._listener is None:
                self._listen()
            for link in tuple(self._links):
                self._push(link)

        self._do(order)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._ring()
            self._thread.join(COMMAND_SECONDS)
            for one in (self._holder, self._bell, self._ear):
                one.close()

    # From any thread to the proxy's own

    def _order(self, rule: Rule) -> None:
        self._do(lambda: self._rules.append(rule))

    def _do(self, order: Callable[[], None], name: str | None = None) -> None:
        """Returns when it is done."""
        done = threading.Event()

        def act() -> None:
            order()
            if name is not None:
                self.fired[name] += 1
            done.set()

        self._orders.append(act)
        self._ring()
        if not done.wait(COMMAND_SECONDS):
            raise RuntimeError(f"the proxy before port {self._target} does not answer")

    def _ring(self) -> None:
        with contextlib.suppress(OSError):
            self._bell.send(b"!")

    # The loop

    def _run(self) -> None:
        while not self._closed:
            for key, events in self._selector.select(self._pause()):
                if key.fileobj is self._ear:
                    with contextlib.suppress(BlockingIOError):
                        self._ear.recv(4096)
                elif key.fileobj is self._listener:
                    self._accept()
                elif key.data in self._links:
                    self._serve(key.data, key.fileobj, events)
            while self._orders:
                self._orders.popleft()()
            self._tick()
        self._reset_all()
        if self._listener is not None:
            self._listener.close()
        self._selector.close()

    def _pause(self) -> float | None:
        """Until something is due that no socket tells of."""
        if self._frozen:
            return None
        due = [moment for link in self._timed if (moment := link.due()) is not None]
        return max(0.0, min(due) - time.monotonic()) if due else None

    def _tick(self) -> None:
        if self._frozen or not self._timed:
            return
        now = time.monotonic()
        for link in [one for one in self._timed if (one.due() or now + 1) <= now]:
            if link.answered_at is not None and link.answered_at <= now:
                self._reset(link)
            else:
                self._push(link)

    def _listen(self) -> None:
        self._listener = _bound(self.port)
        self._listener.listen(512)
        self._listener.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ, None)

    def _accept(self) -> None:
        if self._listener is None:
            return
        with contextlib.suppress(OSError):
            client, _ = self._listener.accept()
            server = socket.socket()
            link = Link(client, server)
            self._links.add(link)
            for one in (client, server):
                one.setblocking(False)
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if server.connect_ex((HOST, self._target)) in (0, errno.EINPROGRESS):
                self._watch(link)
            else:
                self._reset(link)

    def _serve(self, link: Link, ready: object, events: int) -> None:
        try:
            if events & selectors.EVENT_WRITE and ready is link.server and not link.connected:
                link.connected = link.server.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
                if not link.connected:
                    self._reset(link)
                    return
            if events & selectors.EVENT_READ and not self._take(link, ready is link.client):
                return
            self._push(link)
        except OSError:
            self._reset(link)

    def _take(self, link: Link, from_client: bool) -> bool:
        """Reads a chunk and decides what becomes of it; false if the link is gone."""
        way = link.up if from_client else link.down
        try:
            data = way.source.recv(CHUNK)
        except BlockingIOError:
            return True
        if not data:
            return self._end_of(link, from_client)
        if not from_client and link.mode is not Mode.OPEN:
            if link.mode is Mode.SWALLOW:
                link.answered_at = time.monotonic() + ANSWERED_AFTER
            return True
        if from_client and link.mode is Mode.SILENT:
            return True
        if from_client and self._rules:
            rule = self._meets(link, data)
            if rule is not None and not self._apply(link, rule):
                return False
        way.put(data, self._seconds)
        return True

    def _end_of(self, link: Link, from_client: bool) -> bool:
        """One side has said all. An end that belongs to a lost answer is not passed on."""
        way = link.up if from_client else link.down
        way.ended = True
        if not from_client and link.mode is Mode.SILENT:
            way.shut = True
            return True
        if from_client and link.mode is not Mode.OPEN:
            self._reset(link)
            return False
        if not from_client and link.mode is Mode.SWALLOW:
            self._reset(link)
            return False
        return True

    def _meets(self, link: Link, data: bytes) -> Rule | None:
        for rule in self._rules:
            if link.meets(rule, data):
                return rule
        return None

    def _apply(self, link: Link, rule: Rule) -> bool:
        """False if the link is gone."""
        rule.times -= 1
        self._rules = [one for one in self._rules if one.times > 0]
        self.fired[rule.name] += 1
        if rule.name == "drop_request":
            self._reset(link)
            return False
        link.mode = Mode.SWALLOW if rule.name == "drop_reply" else Mode.SILENT
        return True

    def _push(self, link: Link) -> None:
        """Sends on what is due, and asks to be told of what it now waits for."""
        if link not in self._links:
            return
        try:
            now = time.monotonic()
            if link.connected and not self._frozen:
                link.up.send(now)
            if not self._frozen:
                link.down.send(now)
        except OSError:
            self._reset(link)
            return
        if link.up.shut and link.down.shut:
            self._forget(link)
            return
        self._watch(link)

    def _watch(self, link: Link) -> None:
        (self._timed.discard if link.due() is None else self._timed.add)(link)
        for one, wanted in link.interests(self._frozen):
            known = self._selector.get_map().get(one)
            if known is None:
                if wanted:
                    self._selector.register(one, wanted, link)
            elif not wanted:
                self._selector.unregister(one)
            elif known.events != wanted:
                self._selector.modify(one, wanted, link)

    def _reset_all(self) -> None:
        for link in tuple(self._links):
            self._reset(link)

    def _reset(self, link: Link) -> None:
        for one in (link.client, link.server):
            with contextlib.suppress(OSError):
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self._forget(link)

    def _forget(self, link: Link) -> None:
        self._links.discard(link)
        self._timed.discard(link)
        for one in (link.client, link.server):
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(one)
            one.close()


def _bound(port: int) -> socket.socket:
    """Two sockets of ours may have one port, so that the port stays ours while nobody listens."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    made.bind((HOST, port))
    return made
