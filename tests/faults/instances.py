"""More api servers beside a running service, as an orchestrator would start and stop them."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path

import requests

from cli import children
from cli.ports import free_port
from cli.processes import Child, Guard
from cli.service import Service
from tests.support.waiting import wait_until

#: Of a server's processes, each with a listening socket of its own.
LISTENERS = 2
_LISTEN = "0A"


class Instance:
    """One api server of the service, on a port of its own or on one that others listen on, too."""

    def __init__(self, service: Service, directory: Path, *, drain: float, port: int = 0) -> None:
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        directory.mkdir()
        env = {**service.environment(), "TOLLGATE_DRAIN": str(drain)}
        self._guard = Guard()
        spec = children.api(children.Context(directory, env), self.port, service.database_url)
        self._spec = replace(spec, ready=self._ready)
        self._expected = listeners(self.port) + LISTENERS
        self.start()

    def start(self) -> None:
        self.child = Child(self._spec, self._guard)
        self.child.start()
        self.child.wait_ready()

    def _ready(self) -> bool:
        return listeners(self.port) >= self._expected and requests.get(f"{self.url}/readyz", timeout=5).ok

    def tell_to_stop(self) -> None:
        self.child.signal(signal.SIGTERM)

    def wait_stopped(self, seconds: float) -> None:
        wait_until(lambda: not self.child.running, "the server to stop", seconds)
        assert self.child.exit_code == 0

    def close(self) -> None:
        self.child.kill()
        self._guard.close()


def listeners(port: int) -> int:
    """Sockets that listen on a port of IPv4 (proc(5): local address in hexadecimal, then the peer, then the state)."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(1 for row in rows if row[1].endswith(f":{port:04X}") and row[3] == _LISTEN)
