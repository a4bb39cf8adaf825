"""Waiting for a condition with a deadline."""

from __future__ import annotations

from collections.abc import Callable

import psutil

from tests.support import waiting


def wait_until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    """Returns once the condition holds; fails when its time is up."""
    waiting.wait_until(condition, "the condition to come true", seconds)


def alive(pid: int) -> bool:
    """Whether a process runs; one that ended and was not collected yet does not."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
