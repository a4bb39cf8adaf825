"""A small HTTP balancer: asks every instance whether it is ready, and retries nothing but a refused connection."""

from __future__ import annotations

import http.client
import itertools
import select
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

#: Seconds between two questions to an instance.
ASKS_EVERY = 0.1


class Balancer:
    """Speaks to `ports` on loopback; with `keep_alive` over connections that it uses again."""

    def __init__(self, ports: Sequence[int], *, keep_alive: bool) -> None:
        self.ready = dict.fromkeys(ports, False)
        #: What went wrong after a connection stood: requests that the balancer may not send again.
        self.broken: list[str] = []
        self.refused = 0
        self._keep_alive = keep_alive
        self._idle: dict[int, list[http.client.HTTPConnection]] = {port: [] for port in ports}
        self._turn = itertools.count()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        balancer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                balancer._pass_on(self)

            def log_message(self, *_: Any) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._threads = [threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)]
        self._threads += [threading.Thread(target=self._ask, args=(port,), daemon=True) for port in ports]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        self._stop.set()
        self._server.shutdown()
        self._server.server_close()
        for thread in self._threads:
            thread.join(5)
        for idle in self._idle.values():
            for connection in idle:
                connection.close()

    def _ask(self, port: int) -> None:
        while not self._stop.wait(ASKS_EVERY):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
            try:
                connection.request("GET", "/readyz")
                ready = connection.getresponse().status == 200
            except (OSError, http.client.HTTPException):
                ready = False
            finally:
                connection.close()
            with self._lock:
                self.ready[port] = ready
                idle = self._idle[port]
                if not ready:
                    self._idle[port] = []
            if not ready:
                for one in idle:
                    one.close()

    def _connect(self) -> tuple[int, http.client.HTTPConnection]:
        """Raises ConnectionError when no instance takes a connection."""
        for _ in range(len(self.ready) * 2):
            with self._lock:
                ports = [port for port, ready in self.ready.items() if ready] or list(self.ready)
                port = ports[next(self._turn) % len(ports)]
                kept = self._kept(port)
            if kept is not None:
                return port, kept
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            try:
                connection.connect()
            except ConnectionRefusedError:
                self.refused += 1
            else:
                return port, connection
        raise ConnectionError("no instance takes a connection")

    def _kept(self, port: int) -> http.client.HTTPConnection | None:
        """One to use again. What an instance closed meanwhile, idle for long, is no use (RFC 9112, 9.5)."""
        while self._idle[port]:
            connection = self._idle[port].pop()
            if not select.select([connection.sock], [], [], 0)[0]:
                return connection
            connection.close()
        return None

    def _pass_on(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        headers = {name: value for name, value in handler.headers.items() if name.lower() not in ("host", "connection")}
        port, connection = self._connect()
        try:
            connection.request(handler.command, handler.path, body, headers)
            answer = connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            self.broken.append(repr(error))
            handler.send_error(502)
            return
        self._give_back(port, connection, usable=self._keep_alive and not answer.will_close)
        handler.send_response(answer.status)
        handler.send_header("Content-Type", answer.headers["Content-Type"])
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    def _give_back(self, port: int, connection: http.client.HTTPConnection, *, usable: bool) -> None:
        with self._lock:
            # Answered before the instance turned red, read after it: kept, it would be dead when the instance is back.
            if usable and self.ready[port]:
                self._idle[port].append(connection)
                return
        connection.close()
