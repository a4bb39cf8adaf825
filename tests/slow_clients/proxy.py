"""Debian's nginx with the configuration of the compose file as it stands; only its addresses are those of a test."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from pathlib import Path

import requests

from cli.ports import free_port
from tests.support.certificates import contexts
from tests.support.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]


class Proxy:
    """TLS on `port` of 127.0.0.1, in front of the api on `api_port`; `authority` is who signed its certificate."""

    def __init__(self, folder: Path, api_port: int) -> None:
        self.port, health = free_port(), free_port()
        self.url = f"https://localhost:{self.port}"
        _, self.context = contexts(folder, "localhost")
        self.authority = folder / "localhost.pem"
        text = (ROOT / "deploy" / "nginx.conf").read_text(encoding="utf-8")
        for found, replaced in {
            "/etc/nginx/certs/tls.crt": str(self.authority),
            "/etc/nginx/certs/tls.key": str(self.authority),
            "/tmp/nginx": f"{folder}/nginx",
            "listen 8443 ssl": f"listen 127.0.0.1:{self.port} ssl",
            "listen 127.0.0.1:8080": f"listen 127.0.0.1:{health}",
            "http://api:8000": f"http://127.0.0.1:{api_port}",
            "/dev/stdout": str(folder / "access.log"),
            "/dev/stderr": str(folder / "error.log"),
        }.items():
            assert found in text, found
            text = text.replace(found, replaced)
        file = folder / "nginx.conf"
        file.write_text(text, encoding="utf-8")
        folder.chmod(0o755)
        program = shutil.which("nginx", path="/usr/sbin:/usr/bin") or "nginx"
        command = [program, "-e", str(folder / "error.log"), "-p", str(folder), "-c", str(file), "-g", "daemon off;"]
        self._process = subprocess.Popen(command)
        wait_until(self._answers, "nginx to answer", 20)

    def _answers(self) -> bool:
        assert self._process.poll() is None
        try:
            return requests.get(f"{self.url}/healthz", verify=str(self.authority), timeout=5).status_code == 200
        except requests.ConnectionError:
            return False

    def trusting(self) -> ssl.SSLContext:
        """For a client that takes this certificate."""
        return self.context

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(20)
