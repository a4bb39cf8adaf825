"""Python, the installed packages and the programs of the embedded servers."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from cli.checks.finding import Finding, Situation, failed, ok, skipped, warning
from cli.embedded_postgres import PROGRAMS
from cli.embedded_redis import server_program

OLDEST_PYTHON = (3, 11)


def check(situation: Situation) -> Iterator[Finding]:
    yield _python()
    yield _environment()
    yield _packages()
    yield _program("Postgres program", PROGRAMS / "bin" / "postgres", situation)
    yield _program("Redis program", server_program(), situation)


def _python() -> Finding:
    found = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] < OLDEST_PYTHON:
        return failed("Python", found, "install Python 3.11 or newer, remove .venv, run `make install`")
    return ok("Python", found)


def _environment() -> Finding:
    if sys.prefix == sys.base_prefix:
        return warning("Virtual environment", "none", "run .venv/bin/tollgate, which `make install` makes")
    return ok("Virtual environment", sys.prefix)


def _packages() -> Finding:
    wrong = []
    wanted = [Requirement(text) for text in metadata.requires("tollgate") or ()]
    for requirement in wanted:
        if requirement.marker is None or requirement.marker.evaluate():
            wrong += _mismatch(requirement)
    if wrong:
        return failed("Packages", "; ".join(wrong), "run `make install`")
    return ok("Packages", f"{len(wanted)} as required")


def _mismatch(requirement: Requirement) -> list[str]:
    try:
        found = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return [f"{requirement.name} is missing"]
    if not requirement.specifier.contains(found, prereleases=True):
        return [f"{requirement.name} is {found}, not {requirement.specifier}"]
    return []


def _program(subject: str, path: Path, situation: Situation) -> Finding:
    if situation.target is not None and not situation.target.embedded:
        return skipped(subject, "not used: the environment names servers")
    if not path.is_file():
        return failed(
            subject,
            f"{path.name} does not come with this platform's packages",
            "set DATABASE_URL and REDIS_URL to servers of your own",
        )
    try:
        done = subprocess.run([path, "--version"], capture_output=True, text=True, env={"PATH": os.defpath}, timeout=10)
    except (OSError, subprocess.TimeoutExpired) as error:
        return failed(subject, f"{path.name} does not run: {error}", "check whether the file system allows programs")
    if done.returncode != 0:
        return failed(subject, f"{path.name} does not run: {done.stderr.strip()}", "run `make clean install`")
    return ok(subject, done.stdout.strip())
