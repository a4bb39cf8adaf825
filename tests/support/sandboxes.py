"""The sandbox processes and their control doors."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import requests

from tests.support.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]


class Sandbox:
    """One provider's local double, as a process of its own."""

    def __init__(self, provider: str, directory: Path, module: str = "sandbox") -> None:
        self.provider = provider
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", module, provider, "--port", "0", "--data-dir", str(directory)]
        self._log = (directory / "log").open("wb")
        self.process = subprocess.Popen(command, cwd=ROOT, stderr=self._log, stdout=self._log)
        self.url = wait_until(self._listening, f"the {provider} sandbox")

    def _listening(self) -> str | None:
        import json

        file = self.directory / "listening.json"
        assert self.process.poll() is None, (self.directory / "log").read_text()
        try:
            found = json.loads(file.read_text())
            requests.get(f"{found['url']}/_sandbox/health", timeout=2).raise_for_status()
        except (OSError, ValueError, requests.RequestException):
            return None
        return str(found["url"])

    def get(self, door: str, **params: Any) -> Any:
        answer = requests.get(f"{self.url}/_sandbox/{door}", params=params, timeout=10)
        answer.raise_for_status()
        return answer.json()

    def post(self, door: str, **body: Any) -> Any:
        answer = requests.post(f"{self.url}/_sandbox/{door}", json=body, timeout=10)
        assert answer.ok, answer.text
        return answer.json()

    def clear_faults(self) -> None:
        requests.delete(f"{self.url}/_sandbox/faults", timeout=10).raise_for_status()

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._log.close()
