"""Things that happen later by the sandbox's clock: settling, expiring, failing after all."""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from .world import Desk

if TYPE_CHECKING:
    from .world import World

log = logging.getLogger("sandbox.timers")

Action = Callable[[Desk, str], None]


class Timers:
    """Due actions, kept in the ledger and in a heap; a moved clock makes them due at once."""

    def __init__(self, actions: Mapping[str, Action]) -> None:
        self._actions = actions
        self._heap: list[tuple[float, int, str, str, str]] = []
        self._wake = asyncio.Event()
        # While an action runs, the time it was due: what it arranges for later counts from there, so that
        # one long step of the clock brings a whole chain (pending, processing, processed) to its end.
        self.moment: float | None = None

    def load(self, world: World) -> None:
        self._world = world
        rows = world.ledger.run("SELECT due, seq, account, action, target FROM timers").fetchall()
        self._heap = [tuple(row) for row in rows]
        heapq.heapify(self._heap)

    def add(self, account: str, action: str, target: str, due: float) -> None:
        row = self._world.ledger.run(
            "INSERT INTO timers (due, account, action, target) VALUES (?, ?, ?, ?)", (due, account, action, target)
        )
        heapq.heappush(self._heap, (due, row.lastrowid or 0, account, action, target))
        self.poke()

    def poke(self) -> None:
        self._wake.set()

    def run_due(self, at_most: int) -> int:
        """Does what is due, oldest first; each action and its removal are one commit."""
        world, done = self._world, 0
        while self._heap and self._heap[0][0] <= world.clock.now() and done < at_most:
            self.moment, seq, account_id, action, target = heapq.heappop(self._heap)
            try:
                self._do(seq, account_id, action, target)
            except Exception:  # one broken action must not stop the sandbox's time
                log.exception("%s of %s broke", action, target)
            finally:
                self.moment = None
            done += 1
        return done

    def _do(self, seq: int, account_id: str, action: str, target: str) -> None:
        ledger = self._world.ledger
        with ledger.transaction():
            # A timer whose transaction was rolled back is still in the heap but not in the table.
            kept = ledger.run("DELETE FROM timers WHERE seq = ?", (seq,)).rowcount
            account = self._world.accounts.by_id(account_id)
            if kept and account:
                self._actions[action](Desk(self._world, account), target)

    async def run(self) -> None:
        while True:
            self._wake.clear()
            # A few at a time, so that a thousand due together do not hold up requests.
            while self.run_due(at_most=8):
                await asyncio.sleep(0)
            wait = self._heap[0][0] - self._world.clock.now() if self._heap else 3600.0
            try:
                await asyncio.wait_for(self._wake.wait(), max(wait, 0.001))
            except TimeoutError:
                continue
