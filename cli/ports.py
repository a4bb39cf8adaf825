"""Free loopback ports that stay the same from one start to the next."""

from __future__ import annotations

import contextlib
import json
import secrets
import socket
from pathlib import Path

from cli.errors import Refused
from cli.files import write_private

HOST = "127.0.0.1"
#: Below the range from which systems take the source ports of connections (from 32768 on Linux, 49152
#: elsewhere): a client that keeps knocking at a stopped server there can connect to itself and take its port.
LOWEST, HIGHEST = 15000, 32000
TRIES = 200


class NoFreePort(Refused):
    """No port could be bound."""


def is_free(port: int) -> bool:
    return not obstacle(port)


def obstacle(port: int) -> str:
    """What keeps us from listening there, as the end of a sentence about the port; nothing if it is free."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # Servers set this too; without it a port counts as taken for a minute after its server has ended.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except PermissionError:
            return "needs rights that this user lacks; name one above 1023"
        except OSError:
            return "is taken by another program; name another one"
    return ""


def free_port() -> int:
    """A port nobody listens on now; two callers at once are unlikely to get the same.

    Raises:
        NoFreePort: none of many random ones was free.
    """
    for _ in range(TRIES):
        port = LOWEST + secrets.randbelow(HIGHEST - LOWEST)
        if is_free(port):
            return port
    raise NoFreePort(f"no free port between {LOWEST} and {HIGHEST} on {HOST}")


class Ports:
    """The ports of one installation, by name, kept in a file of its data directory."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._ports: dict[str, int] = {}
        with contextlib.suppress(FileNotFoundError, ValueError):
            self._ports = {name: int(port) for name, port in json.loads(file.read_text()).items()}

    def get(self, name: str, *, renew: bool = False) -> int:
        """The port of `name`: the one it had if that is free, else (or with `renew`) another one."""
        port = self._ports.get(name)
        if port is None or renew or not is_free(port):
            others = set(self._ports.values())
            port = next(candidate for candidate in iter(free_port, None) if candidate not in others)
            self.put(name, port)
        return port

    def last(self, name: str) -> int:
        """The port that `get` gave last; 0 before the first time."""
        return self._ports.get(name, 0)

    def put(self, name: str, port: int) -> None:
        self._ports[name] = port
        write_private(self._file, json.dumps(self._ports, indent=1) + "\n")
