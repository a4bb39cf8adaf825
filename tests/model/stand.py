"""What all examples of a run stand on: one world with providers of its own, whose clocks only go forward."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cli.embedded import Embedded
from tests.model.clock import Monotonic, jumping
from tests.model.shop import PROVIDERS, Shop, quiet_deaths
from tests.support.databases import Urls
from tests.support.receiver import Receiver
from tests.support.sandboxes import Sandbox
from tests.support.world import World

#: A call that hangs costs this much of the run; the providers answer in a hundredth of it.
CHANGES: dict[str, Any] = {"provider_deadline": 0.4, "provider_connect_timeout": 0.4, "database_pool": 8}
#: Seconds their clocks may be ahead before others take their place; ten years is as far as they go.
TOO_FAR = 8 * 365 * 86400.0
#: "Later" happens when the example's time passes, never by itself while a rule runs.
SETTLE_MS = 3_600_000


class Stand:
    def __init__(self, embedded: Embedded, database: Urls, directory: Path, clock: Monotonic) -> None:
        self._embedded, self._database, self._directory, self._clock = embedded, database, directory, clock
        self._mail = Receiver()
        self._sandboxes: dict[str, Sandbox] = {}
        self._count = 0
        self.world = self._build()

    def open_shop(self) -> Shop:
        if self._sandboxes["stripe"].get("clock")["offset_seconds"] > TOO_FAR:
            self._tear_down()
            self.world = self._build()
        for sandbox in self._sandboxes.values():
            sandbox.clear_faults()
        return Shop(self.world, self._mail, self._clock)

    def _build(self) -> World:
        self._count += 1
        for name in PROVIDERS:
            sandbox = Sandbox(name, self._directory / f"{name}-{self._count}")
            sandbox.post("settings", rate_limit=0, rate_limit_total=0, settle_ms=SETTLE_MS, webhook_delay_ms=0)
            self._sandboxes[name] = sandbox
        return World(self._database, self._embedded.redis_url, self._sandboxes, **CHANGES)

    def _tear_down(self) -> None:
        self.world.close()
        for sandbox in self._sandboxes.values():
            sandbox.stop()

    def close(self) -> None:
        self._tear_down()
        self._mail.close()


@contextmanager
def standing(embedded: Embedded, database: Urls, directory: Path) -> Iterator[Stand]:
    with jumping() as clock, quiet_deaths():
        stand = Stand(embedded, database, directory, clock)
        try:
            yield stand
        finally:
            stand.close()
