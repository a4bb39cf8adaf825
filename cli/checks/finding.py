"""What a check says, and what it is given to look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cli.target import Target

Verdict = Literal["ok", "warning", "failed", "skipped"]


@dataclass(frozen=True)
class Finding:
    """`detail` is a fact, `advice` what to do about it (empty if it is ok)."""

    subject: str
    verdict: Verdict
    detail: str
    advice: str = ""


@dataclass(frozen=True)
class Situation:
    """`target` is None if there is no database to look at; `why` says then why not."""

    data_dir: Path
    environ: Mapping[str, str]
    target: Target | None
    why: str = ""


def ok(subject: str, detail: str) -> Finding:
    return Finding(subject, "ok", detail)


def failed(subject: str, detail: str, advice: str) -> Finding:
    return Finding(subject, "failed", detail, advice)


def warning(subject: str, detail: str, advice: str) -> Finding:
    return Finding(subject, "warning", detail, advice)


def skipped(subject: str, detail: str) -> Finding:
    return Finding(subject, "skipped", detail)
