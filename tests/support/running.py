"""`tollgate up` in a process of its own, as a person starts it, and a small client of its API."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cli.placement import place
from tests.support.waiting import wait_until

TOLLGATE = Path(sys.executable).with_name("tollgate")
#: Every start is given this long: the machine may be busy with other tests.
START = 120.0


class Up:
    """Started by its construction; `ready` waits for the line of JSON."""

    def __init__(self, cwd: Path, *arguments: str, environ: Mapping[str, str] | None = None) -> None:
        self.cwd = cwd
        self.out, self.err = cwd / "stdout", cwd / "stderr"
        self.env = {"PATH": os.defpath, "TOLLGATE_DATA_DIR": str(cwd / "data"), **(environ or {})}
        with self.out.open("wb") as out, self.err.open("wb") as err:
            self.process = subprocess.Popen(
                [TOLLGATE, "up", "--json", *arguments],
                cwd=cwd,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )
        self.details: dict[str, Any] = {}

    def ready(self) -> dict[str, Any]:
        wait_until(
            lambda: self.out.read_text().endswith("\n") or self.process.poll() is not None, "the line of JSON", START
        )
        assert self.process.poll() is None, self.err.read_text()
        self.details = json.loads(self.out.read_text())
        return self.details

    def children(self) -> dict[str, int]:
        return {row["name"]: row["pid"] for row in json.loads((self.cwd / "data" / "children.json").read_text())}

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.err.read_text().splitlines() if line.startswith("{")]

    def command(self, *arguments: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [TOLLGATE, *arguments],
            cwd=self.cwd,
            env=self.env,
            input=text or "",
            capture_output=True,
            text=True,
            timeout=60,
        )

    def answer(self, *arguments: str, text: str | None = None) -> Any:
        """What a command that has to succeed says as JSON."""
        done = self.command(*arguments, "--json", text=text)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def call(self, method: str, path: str, body: Any = None, *, key: str = "", **headers: str) -> tuple[int, Any]:
        parts = urlsplit(self.details["api"])
        connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=60)
        sent = {"Authorization": f"Bearer {key or self.details['test_key']}", "Content-Type": "application/json"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            connection.request(method, path, None if body is None else json.dumps(body), sent)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def pay(self, key: str) -> dict[str, Any]:
        """A card payment, waited for; `key` is its idempotency key."""
        body = {"amount": 5000, "currency": "USD", "payment_method": {"type": "token", "token": "pm_card_visa"}}
        status, answer = self.call("POST", "/v1/payments", body, Idempotency_Key=key, Prefer="wait=30")
        assert status in (200, 202), answer
        payment: dict[str, Any] = answer["payment"]
        return payment

    def end(self, number: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(START)


@contextmanager
def one_worker(folder: Path) -> Iterator[Up]:
    """A ready service in `folder`, stopped afterwards and its servers' data taken away."""
    started = Up(folder, "--workers", "1")
    try:
        started.ready()
        yield started
    finally:
        started.end()
        place(folder / "data").remove()
