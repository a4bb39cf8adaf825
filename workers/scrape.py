"""A worker's own `/metrics`, where TOLLGATE_METRICS_LISTEN names an address. Payments never wait for it."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from http import HTTPStatus
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer
from wsgiref.types import StartResponse, WSGIEnvironment

import structlog
from prometheus_client import CONTENT_TYPE_LATEST

from core import metrics
from core.monitoring_access import FORWARDED, may_read
from core.setting_values import listening_at
from core.settings import Settings

log = structlog.get_logger(__name__)

#: Seconds for a client to send its request; one that stalls holds a thread no longer.
_PATIENCE = 5


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    # One is started when a port of a worker that has just ended is still known to the kernel.
    allow_reuse_address = True

    def server_bind(self) -> None:
        """Without asking a name server who we are, as the library's own would."""
        self.socket.bind(self.server_address)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.socket.getsockname()[1])
        self.setup_environ()


class _Handler(WSGIRequestHandler):
    timeout = _PATIENCE

    def address_string(self) -> str:
        return str(self.client_address[0])

    def log_message(self, format: str, *args: Any) -> None:
        """Scrapes are no news."""


class Scrape:
    """Made and started after any fork."""

    def __init__(self, settings: Settings) -> None:
        self._listen, self._token = settings.metrics_listen, settings.metrics_token
        self._server: _Server | None = None

    @property
    def port(self) -> int:
        """0 while nothing is served."""
        return 0 if self._server is None else int(self._server.server_port)

    def start(self) -> None:
        """An address that is taken is told, and stops nothing."""
        if self._listen is None:
            return
        try:
            self._server = _Server(listening_at(self._listen), _Handler)
        except OSError as error:
            log.error("metrics_not_served", host=self._listen, reason=error.strerror)
            return
        self._server.set_app(self._answer)
        threading.Thread(target=self._server.serve_forever, args=(0.2,), name="scrape", daemon=True).start()

    def stop(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()

    def _answer(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        status, body = self._decide(environ)
        kind = CONTENT_TYPE_LATEST if status is HTTPStatus.OK else "text/plain"
        start(f"{status.value} {status.phrase}", [("Content-Type", kind), ("Content-Length", str(len(body)))])
        return [body]

    def _decide(self, environ: WSGIEnvironment) -> tuple[HTTPStatus, bytes]:
        if environ["PATH_INFO"] != "/metrics" or environ["REQUEST_METHOD"] != "GET":
            return HTTPStatus.NOT_FOUND, b"there is /metrics here and nothing else\n"
        peer, shown = environ.get("REMOTE_ADDR", ""), environ.get("HTTP_AUTHORIZATION", "")
        forwarded = any(f"HTTP_{name.upper().replace('-', '_')}" in environ for name in FORWARDED)
        if not may_read(self._token, shown, peer, forwarded=forwarded):
            return HTTPStatus.UNAUTHORIZED, b"send TOLLGATE_METRICS_TOKEN as a bearer token\n"
        return HTTPStatus.OK, metrics.exposition()
