"""Health as shown."""

from __future__ import annotations

from typing import Literal

from api.schemas.base import Shown


class Alive(Shown):
    status: Literal["ok"]


class Dependency(Shown):
    status: Literal["ok", "down"]
    reason: str | None


class Dependencies(Shown):
    postgres: Dependency
    redis: Dependency


class Readiness(Shown):
    """Each dependency with its reason."""

    status: Literal["ok", "degraded", "draining", "unavailable"]
    dependencies: Dependencies
