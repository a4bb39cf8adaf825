"""What docs/operations.md has one type to back up and restore, and how it is typed: as the server's superuser."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from sqlalchemy.engine import make_url

from cli.embedded_postgres import PROGRAMS

OPERATIONS = Path(__file__).resolve().parents[2] / "docs" / "operations.md"


def told(marker: str) -> list[str]:
    """The lines between the marks."""
    text = OPERATIONS.read_text(encoding="utf-8")
    block = re.search(rf"<!-- {marker} -->\n(.*?)<!-- /{marker} -->", text, flags=re.S)
    assert block is not None
    return [line.strip() for line in block[1].splitlines() if line.strip()]


def type_all(marker: str, superuser_url: str, directory: Path) -> None:
    """Raises AssertionError with what a line said that failed."""
    url = make_url(superuser_url)
    own = {"PGHOST": url.host, "PGPORT": url.port, "PGUSER": url.username, "PGPASSWORD": url.password}
    env = {"PATH": f"{PROGRAMS / 'bin'}:{os.defpath}", **{name: str(value) for name, value in own.items()}}
    for line in told(marker):
        ended = subprocess.run(["sh", "-c", line], cwd=directory, env=env, capture_output=True, text=True)
        assert ended.returncode == 0, f"{line}\n{ended.stdout}{ended.stderr}"
