"""Health as shown."""

from __future__ import annotations

from typing import Literal

from api.schemas.base import Shown


class Alive(Shown):
    status: Literal["ok"]


class Dependency(Shown):
    status: Literal["ok", "down"]
    reason: str | None


class Installation(Shown):
    """Paused after a restore: it reads and keeps what providers tell, and begins nothing."""

    status: Literal["ok", "paused", "unknown"]
    reason: str | None


class Dependencies(Shown):
    postgres: Dependency
    redis: Dependency
    installation: Installation


class Readiness(Shown):
    """Each dependency with its reason."""

    status: Literal["ok", "degraded", "draining", "unavailable"]
    dependencies: Dependencies
