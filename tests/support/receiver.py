"""A merchant's webhook receiver on loopback: keeps what it gets, answers what it is told."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Reply:
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b"ok"
    #: Seconds before the status line.
    delay: float = 0.0
    #: Seconds between the bytes of the body.
    drip: float = 0.0
    #: Promise this many bytes more than are sent, and keep the connection open.
    owed: int = 0


@dataclass(frozen=True)
class Got:
    path: str
    headers: Mapping[str, str]
    body: bytes


class Receiver:
    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.reply = Reply()
        self.got: list[Got] = []
        #: Called while the sender waits for its answer.
        self.meanwhile: Callable[[], None] = lambda: None
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                size = int(self.headers["Content-Length"])
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.got.append(Got(self.path, headers, self.rfile.read(size)))
                receiver.meanwhile()
                receiver._answer(self)

            def do_GET(self) -> None:
                receiver.got.append(Got(self.path, {}, b""))
                receiver._answer(self)

            def log_message(self, *_: Any) -> None:
                return

        self._stop = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}/hook?shop=7"

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        reply = self.reply
        try:
            self._stop.wait(reply.delay)
            handler.send_response(reply.status)
            for name, value in reply.headers.items():
                handler.send_header(name, value)
            handler.send_header("Content-Length", str(len(reply.body) + reply.owed))
            handler.end_headers()
            for byte in reply.body if reply.drip else ():
                handler.wfile.write(bytes([byte]))
                handler.wfile.flush()
                self._stop.wait(reply.drip)
            if not reply.drip:
                handler.wfile.write(reply.body)
                handler.wfile.flush()
            if reply.owed:
                self._stop.wait(30)
        except OSError:
            return  # the sender hung up, which some tests are about

    def close(self) -> None:
        self._stop.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)
