"""Request limits: per named endpoint and per account, over the last second of real time."""

from __future__ import annotations

import time
from collections import defaultdict, deque

from .settings import Settings


class RateLimits:
    def __init__(self) -> None:
        self._taken: dict[tuple[str, str], deque[float]] = defaultdict(deque)

    def reason(self, settings: Settings, account: str, operation: str) -> str | None:
        """Which limit this request is one too many for, if any; a refused one uses nothing up."""
        limits = [("global-rate", (account, ""), settings.rate_limit_total),
                  ("endpoint-rate", (account, operation), settings.rate_limit)]  # fmt: skip
        now = time.monotonic()
        for reason, key, limit in limits:
            if limit and self._full(key, limit, now):
                return reason
        for _, key, limit in limits:
            if limit:
                self._taken[key].append(now)
        return None

    def _full(self, key: tuple[str, str], limit: int, now: float) -> bool:
        taken = self._taken[key]
        while taken and taken[0] <= now - 1:
            taken.popleft()
        return len(taken) >= limit
