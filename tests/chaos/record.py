"""Keeps the figures of a full run in the documentation: commit, date, seed and cores, and nothing of the machine."""

from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.chaos.report import Report, written

ROOT = Path(__file__).resolve().parents[2]


def tested() -> tuple[str, bool]:
    """The commit, and whether something was changed since. Asked before a run: others may commit meanwhile."""
    return _git("rev-parse", "--short", "HEAD"), bool(_git("status", "--porcelain", "--untracked-files=no"))


def record(reports: list[Report], folder: Path, commit: str, changed: bool) -> Path:
    """Writes results-DATE-COMMIT-SEED.md and .json to `folder`; returns the first. Done again, it replaces them."""
    date = datetime.now(UTC).date().isoformat()
    file = folder / f"results-{date}-{commit}-{reports[0].seed}.md"
    written(reports, file.with_suffix(".json"))
    lines = [
        f"# Chaos on {date}",
        "",
        f"Commit {commit}{', with changes that were not committed' if changed else ''} · seed {reports[0].seed} · "
        f"{os.cpu_count()} cores. What it means and how to run it again: [README.md](README.md).",
        "",
    ]
    for report in reports:
        lines += _part(report)
    file.write_text("\n".join(lines), encoding="utf-8")
    return file


def _part(report: Report) -> list[str]:
    lines = [f"## {report.part}: {'FAILED' if report.failed else 'ok'}", ""]
    lines += ["| case | faults | jobs | recovered in | verdict | note |", "| --- | ---: | ---: | ---: | --- | --- |"]
    for row in report.rows:
        recovered = "" if row.recovered is None else f"{row.recovered:.1f} s"
        note = " ".join(row.note.split()).replace("|", "/")[:200]
        lines.append(f"| {row.name} | {row.faults} | {row.jobs} | {recovered} | {row.verdict} | {note} |")
    lines += ["", "| figure | |", "| --- | --- |"]
    lines += [f"| {name} | {_shown(one)} |" for name, one in report.figures().items() if name not in ("part", "seed")]
    return [*lines, ""]


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_shown(one)}" for name, one in value.items()) or "none"
    return str(value).replace("|", "/")


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
