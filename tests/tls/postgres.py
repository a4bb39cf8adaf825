"""A Postgres of Debian's that speaks TLS and nothing else to the network; data that goes with it."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import psycopg2

from cli.ports import free_port
from tests.support.waiting import wait_until

#: Newest first.
PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name), reverse=True)


class Postgres:
    def __init__(self, certificate: Path, key: Path) -> None:
        self.port, self.password = free_port(), secrets.token_hex(16)
        self._folder = Path(tempfile.mkdtemp(prefix="tollgate-postgres-"))
        self._rights: dict[str, Any] = {}
        if os.geteuid() == 0:
            user = next(one for name in ("postgres", "nobody") for one in pwd.getpwall() if one.pw_name == name)
            self._rights = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        password = self._own("password", self.password.encode())
        data = self._folder / "data"
        self._run("initdb", "-D", str(data), "-U", "owner", "-A", "scram-sha-256", f"--pwfile={password}", "-E", "UTF8")
        files = self._own("server.crt", certificate.read_bytes()), self._own("server.key", key.read_bytes())
        (data / "pg_hba.conf").write_text("hostssl all all all scram-sha-256\n", encoding="utf-8")
        options = {
            "listen_addresses": "127.0.0.1", "port": self.port, "unix_socket_directories": "", "ssl": "on",
            "ssl_cert_file": files[0], "ssl_key_file": files[1], "fsync": "off",
        }  # fmt: skip
        command = [PROGRAMS[0] / "postgres", "-D", data]
        for name, value in options.items():
            command += ["-c", f"{name}={value}"]
        self._log = (self._folder / "log").open("ab")
        self._process = subprocess.Popen(command, stdout=self._log, stderr=self._log, cwd="/", **self._rights)
        wait_until(self._answers, "Postgres to answer", 30)

    def url(self, host: str = "localhost", **words: object) -> str:
        query = "&".join(f"{name}={value}" for name, value in words.items())
        return f"postgresql://owner:{self.password}@{host}:{self.port}/postgres?{query}"

    def _own(self, name: str, content: bytes) -> Path:
        path = self._folder / name
        path.touch(0o600)
        path.write_bytes(content)
        if self._rights:
            for one in (self._folder, path):
                os.chown(one, self._rights["user"], self._rights["group"])
        return path

    def _run(self, program: str, *arguments: str) -> None:
        command = [PROGRAMS[0] / program, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, cwd="/", check=False, **self._rights)
        assert done.returncode == 0, done.stderr

    def _answers(self) -> bool:
        assert self._process.poll() is None, (self._folder / "log").read_text(errors="replace")[-2000:]
        try:
            psycopg2.connect(self.url(sslmode="require")).close()
        except psycopg2.OperationalError:
            return False
        return True

    def close(self) -> None:
        self._process.send_signal(signal.SIGINT)
        self._process.wait(30)
        self._log.close()
        shutil.rmtree(self._folder, ignore_errors=True)
