"""A world whose database is copied, and put back as it was: what a restore from a backup does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from cli.embedded import Embedded
from core.orchestration import installation
from tests.support import databases
from tests.support.world import World


@dataclass
class Restorable:
    """A world whose database can be copied, and put back as it was copied."""

    world: World
    embedded: Embedded
    name: str

    def backup(self) -> str:
        """The name of a copy of the database as it is now."""
        self._disconnect()
        kept = f"backup_{uuid4().hex}"
        databases.create(self.embedded, kept, self.name)
        return kept

    def restore(self, kept: str) -> None:
        self._disconnect()
        databases.drop(self.embedded, self.name)
        databases.create(self.embedded, self.name, kept)
        databases.drop(self.embedded, kept)
        self.world._take_over_time()

    def _disconnect(self) -> None:
        for engine in self.world._engines:
            engine.dispose()
        with databases.superuser(self.embedded) as cursor:
            cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (self.name,))

    def restored_and_resumed(self, kept: str) -> None:
        self.restore(kept)
        assert installation.look(self.world.worker)
        installation.resume(self.world.admin, "ada", "restored from the backup of last night")
        assert not installation.look(self.world.worker)
        installation.keep_anchor(self.world.worker)

    def settle_slowly(self, rounds: int = 8) -> None:
        """Let every look-up come due until nothing is left to ask."""
        for _ in range(rounds):
            self.world.settle()
            waiting = self.world.rows(
                "SELECT 1 FROM jobs WHERE lane = 'payments' AND status = 'queued' AND run_after > app_now()"
            )
            if not waiting:
                return
            self.world.advance(601)


def succeeded(charges: list[Any]) -> list[Any]:
    return [one for one in charges if one["status"] == "succeeded"]
