"""A RabbitMQ of the tests' own: Debian's programs, an account without rights, loopback, data that goes with it."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import amqp

from cli.placement import ACCOUNTS
from cli.ports import free_port
from tests.support.waiting import wait_until

#: Beside the script in /usr/sbin, which insists on the account and the folders of Debian's service.
PROGRAMS = Path("/usr/lib/rabbitmq/bin")
NODE = "tollgate-test@localhost"


class RabbitMQ:
    """`kill` and `start` are a crash and a restart on the same data."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"amqp://guest:guest@127.0.0.1:{self.port}//"
        self._user = _account()
        self._folder = Path(tempfile.mkdtemp(prefix="tollgate-rabbitmq-"))
        self._own(self._folder)
        self._log = (self._folder / "output.log").open("ab")
        self._ports = {"epmd": free_port(), "distribution": free_port()}
        self._node: subprocess.Popen[bytes] | None = None
        epmd = ["epmd", "-port", str(self._ports["epmd"]), "-address", "127.0.0.1"]
        # Started here and in the foreground: the one that Erlang would start by itself outlives everything.
        self._epmd = subprocess.Popen(epmd, **self._process())
        self.start()

    def start(self) -> None:
        self._node = subprocess.Popen([PROGRAMS / "rabbitmq-server"], **self._process())
        wait_until(self._answers, "RabbitMQ to start", 60)

    def _process(self) -> dict[str, Any]:
        rights = {} if self._user is None else {"user": self._user.pw_uid, "group": self._user.pw_gid}
        return {"stdout": self._log, "stderr": self._log, "cwd": self._folder, "env": self._environment(), **rights,
                "start_new_session": True, **({"extra_groups": []} if rights else {})}  # fmt: skip

    def _environment(self) -> dict[str, str]:
        folder = self._folder
        return {
            "PATH": os.defpath + ":/usr/sbin:/sbin",
            "HOME": str(folder),
            "LC_ALL": "C.UTF-8",
            "ERL_EPMD_PORT": str(self._ports["epmd"]),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_AFLAGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "RABBITMQ_NODENAME": NODE,
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self._ports["distribution"]),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(folder / "logs"),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            # Debian's own files would give the node another name and place.
            "RABBITMQ_CONF_ENV_FILE": str(folder / "none"),
            "RABBITMQ_CONFIG_FILE": str(folder / "none"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "none"),
        }

    def _own(self, path: Path) -> None:
        if self._user is not None:
            os.chown(path, self._user.pw_uid, self._user.pw_gid)

    def _answers(self) -> bool:
        assert self._node is not None
        assert self._node.poll() is None, (self._folder / "output.log").read_text(errors="replace")[-2000:]
        try:
            with self.channel():
                return True
        except (OSError, amqp.AMQPError):
            return False

    @contextmanager
    def channel(self) -> Iterator[Any]:
        with amqp.Connection(f"127.0.0.1:{self.port}", connect_timeout=2, read_timeout=5) as connection:
            yield connection.channel()

    def consumers(self, queue: str) -> int:
        """Workers that take hints from it now; 0 also while nothing answers."""
        try:
            with self.channel() as channel:
                return int(channel.queue_declare(queue, passive=True).consumer_count)
        except (OSError, amqp.AMQPError):
            return 0

    def control(self, *arguments: str) -> str:
        """What rabbitmqctl says; it takes a second or two."""
        done = subprocess.run(
            [PROGRAMS / "rabbitmqctl", *arguments],
            **{**self._process(), "stdout": subprocess.PIPE},
            check=True,
            timeout=60,
        )
        return str(done.stdout, "utf-8")

    def signal(self, number: signal.Signals) -> None:
        """To the node and all it started."""
        if self._node is not None:
            os.killpg(self._node.pid, number)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        if self._node is not None:
            self._node.wait()
            self._node = None

    def close(self) -> None:
        self.kill()
        self._epmd.kill()
        self._epmd.wait()
        self._log.close()
        shutil.rmtree(self._folder, ignore_errors=True)


def _account() -> pwd.struct_passwd | None:
    """Whom it runs as when we are root."""
    if os.geteuid() != 0:
        return None
    known = {one.pw_name: one for one in pwd.getpwall()}
    return next(known[name] for name in ("rabbitmq", *ACCOUNTS) if name in known)
