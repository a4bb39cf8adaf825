"""Asks for known vulnerabilities of every locked package: `make audit`.

Exit codes: 0 none is known, 1 some are, 3 it could not be asked about all of them, which is no good news.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
#: All parts together: every other lock is a part of it.
LOCK = "requirements-dev.lock"
#: Seconds for one package; where nobody answers, the whole ends within the second.
PATIENCE, IN_ALL = "15", 540

CLEAN, VULNERABLE, NOT_ASKED = 0, 1, 3


@dataclass(frozen=True)
class Verdict:
    code: int
    lines: Sequence[str]


def judge(report: Mapping[str, Any] | None, error: str = "") -> Verdict:
    """pip-audit calls a package it could not ask about "skipped", and the whole then free of vulnerabilities."""
    if report is None:
        return Verdict(NOT_ASKED, [f"the vulnerability service could not be asked: {error or 'it gave no answer'}"])
    packages = report["dependencies"]
    found = [line for one in packages for line in _vulnerable(one)]
    skipped = [str(one["name"]) for one in packages if "skip_reason" in one]
    if found:
        return Verdict(VULNERABLE, found)
    if skipped or not packages:
        named = ", ".join(skipped[:5]) + (", …" if len(skipped) > 5 else "")
        said = f"{len(skipped)} of {len(packages)} packages could not be asked about ({named})"
        return Verdict(NOT_ASKED, [f"{said}: the index in use answers no questions about vulnerabilities"])
    return Verdict(CLEAN, [f"{len(packages)} packages, no known vulnerability"])


def _vulnerable(package: Mapping[str, Any]) -> list[str]:
    name = f"{package['name']} {package.get('version', '')}".strip()
    known = package.get("vulns", [])
    return [f"{name}: {one['id']}, mended in {', '.join(one['fix_versions']) or 'no version yet'}" for one in known]


def ask(lock: Path) -> tuple[Mapping[str, Any] | None, str]:
    """(what pip-audit reports, else why it reports nothing)."""
    options = ["--require-hashes", "--disable-pip", "--format", "json", "--progress-spinner", "off"]
    argv = [sys.executable, "-m", "pip_audit", "-r", str(lock), *options, "--timeout", PATIENCE]
    try:
        ended = subprocess.run(argv, capture_output=True, text=True, timeout=IN_ALL, check=False)
    except subprocess.TimeoutExpired:
        return None, f"no answer within {IN_ALL} s"
    try:
        return json.loads(ended.stdout), ""
    except ValueError:
        return None, (ended.stderr.strip().splitlines() or [""])[-1][:300]


def main() -> int:
    verdict = judge(*ask(ROOT / LOCK))
    for line in verdict.lines:
        sys.stdout.write(f"audit: {line}\n")
    return verdict.code


if __name__ == "__main__":
    sys.exit(main())
