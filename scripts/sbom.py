"""Writes what a deployed process is made of to dist/sbom.json: `make sbom`. The same locks give the same bytes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
#: What an image holds, with the hashes that it is installed by.
LOCK, TARGET = ROOT / "requirements.lock", ROOT / "dist" / "sbom.json"


def write(target: Path) -> None:
    """CycloneDX 1.6 as JSON, validated. Raises CalledProcessError."""
    target.parent.mkdir(parents=True, exist_ok=True)
    options = [
        "--pyproject",
        "pyproject.toml",
        "--output-reproducible",
        "--validate",
        "--of",
        "JSON",
        "-o",
        str(target),
    ]
    argv = [sys.executable, "-m", "cyclonedx_py", "requirements", *options, str(LOCK)]
    subprocess.run(argv, cwd=ROOT, check=True)


if __name__ == "__main__":
    write(TARGET)
    sys.stdout.write(f"sbom: {TARGET.relative_to(ROOT)}\n")
