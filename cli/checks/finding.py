"""What a check says, and what it is given to look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cli.target import Target
from core.settings import Settings, load_settings

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
    """`target` is None if there is no database to look at; `why` says then why not.

    `api_servers` and `workers` are how many there are on all machines together; None: those known of here.
    """

    data_dir: Path
    environ: Mapping[str, str]
    target: Target | None
    why: str = ""
    api_servers: int | None = None
    workers: int | None = None

    def settings(self, database_url: str = "postgresql://embedded") -> Settings:
        """Those of a process with this address, as the environment and the installation give them.

        Raises WrongSettings.
        """
        given = {**self.environ, "DATABASE_URL": database_url}
        if self.target is not None:
            if not given.get("TOLLGATE_KEYS"):
                given["TOLLGATE_KEY_FILE"] = str(self.target.key_file)
            if self.target.redis_url:
                given["REDIS_URL"] = self.target.redis_url
        return load_settings(given)


def ok(subject: str, detail: str) -> Finding:
    return Finding(subject, "ok", detail)


def failed(subject: str, detail: str, advice: str) -> Finding:
    return Finding(subject, "failed", detail, advice)


def warning(subject: str, detail: str, advice: str) -> Finding:
    return Finding(subject, "warning", detail, advice)


def skipped(subject: str, detail: str) -> Finding:
    return Finding(subject, "skipped", detail)
