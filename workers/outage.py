"""Postgres being away, logged when it begins and when it ends and not in between."""

from __future__ import annotations

import threading

import structlog

from core import metrics

log = structlog.get_logger(__name__)


class Outage:
    """Shared by the threads of one process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._down = False

    def note(self, error: Exception) -> None:
        with self._lock:
            begins, self._down = not self._down, True
        if begins:
            metrics.OUTAGES.inc()
            log.error("database_away", error_type=type(error).__name__)

    def over(self) -> None:
        with self._lock:
            ends, self._down = self._down, False
        if ends:
            log.warning("database_back")
