"""Sends events to merchants: signed, over pooled connections, tried again on the provider's schedule."""

from __future__ import annotations

import asyncio
import heapq
import logging
import time
from typing import TYPE_CHECKING, Any

import aiohttp

from .ledger import Json, dumps

if TYPE_CHECKING:
    from .provider import Provider
    from .world import Account, World

log = logging.getLogger("sandbox.webhooks")

# Enough to keep a merchant busy, few enough that requests get their turn on the same core.
PARALLEL_SENDS = 24


class WebhookSender:
    """The deliveries still to be made, kept in the ledger and in a heap by due time."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self._heap: list[tuple[float, int]] = []
        self._wake = asyncio.Event()
        self._sending: set[asyncio.Task[None]] = set()

    def load(self, world: World) -> None:
        self._world = world
        self._heap = [
            (due, seq) for due, seq in world.ledger.run("SELECT due, seq FROM deliveries WHERE due IS NOT NULL")
        ]
        heapq.heapify(self._heap)

    def line_up(self, account: Account, event_id: str, type: str) -> None:
        """Called inside the transaction that stores the event."""
        if not account.webhook_url or not _subscribed(account.webhook_events, type):
            return
        world = self._world
        due = world.clock.now() + world.settings.webhook_delay_ms / 1000
        row = world.ledger.run(
            "INSERT INTO deliveries (account, event, type, url, due) VALUES (?, ?, ?, ?, ?)",
            (account.id, event_id, type, account.webhook_url, due),
        )
        self._push(due, row.lastrowid or 0)

    def resend(self, event_id: str | None) -> int:
        """Makes deliveries due now: those of one event, or all that were never delivered."""
        now = self._world.clock.now()
        where, values = ("event = ?", (event_id,)) if event_id else ("delivered = 0", ())
        rows = self._world.ledger.run(
            f"UPDATE deliveries SET due = ?, delivered = 0 WHERE {where} RETURNING seq",  # noqa: S608  (conditions are ours)
            (now, *values),
        ).fetchall()
        for (seq,) in rows:
            self._push(now, seq)
        return len(rows)

    def log(self, account: Account | None, type: str | None, limit: int) -> Json:
        """Newest first, with counts over all deliveries of the account (or of everybody)."""
        run = self._world.ledger.run
        asked = (account.id if account else "%", type or "%")
        pending, delivered, total = run(
            "SELECT coalesce(sum(due IS NOT NULL), 0), coalesce(sum(delivered), 0), count(*)"
            " FROM deliveries WHERE account LIKE ?",
            asked[:1],
        ).fetchone()
        rows = run(
            "SELECT event, type, url, account, attempts, last_status, delivered, due"
            " FROM deliveries WHERE account LIKE ? AND type LIKE ? ORDER BY seq DESC LIMIT ?",
            (*asked, limit),
        )
        return {
            "pending": pending,
            "delivered": delivered,
            "given_up": total - pending - delivered,
            "deliveries": [_shown(row) for row in rows],
        }

    def poke(self) -> None:
        self._wake.set()

    def _push(self, due: float, seq: int) -> None:
        heapq.heappush(self._heap, (due, seq))
        self._wake.set()

    async def run(self) -> None:
        connector = aiohttp.TCPConnector(limit=PARALLEL_SENDS, keepalive_timeout=20)
        timeout = aiohttp.ClientTimeout(total=self._provider.webhook_timeout)
        # The environment's proxies are not for a loopback address.
        async with aiohttp.ClientSession(connector=connector, timeout=timeout, trust_env=False) as session:
            try:
                while True:
                    await self._wait()
                    self._start_due(session)
            finally:
                for task in self._sending:
                    task.cancel()

    async def _wait(self) -> None:
        self._wake.clear()
        world = self._world
        if len(self._sending) >= PARALLEL_SENDS or not self._heap or not world.settings.webhooks:
            await self._wake.wait()
        elif (wait := self._heap[0][0] - world.clock.now()) > 0:
            try:
                await asyncio.wait_for(self._wake.wait(), wait)
            except TimeoutError:
                return

    def _start_due(self, session: aiohttp.ClientSession) -> None:
        world = self._world
        now = world.clock.now()
        while (
            world.settings.webhooks and len(self._sending) < PARALLEL_SENDS and self._heap and self._heap[0][0] <= now
        ):
            _, seq = heapq.heappop(self._heap)
            task = asyncio.create_task(self._send(session, seq))
            self._sending.add(task)
            task.add_done_callback(self._sent)

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._sending.discard(task)
        self._wake.set()
        if not task.cancelled() and task.exception():
            log.error("webhook delivery broke", exc_info=task.exception())

    async def _send(self, session: aiohttp.ClientSession, seq: int) -> None:
        ledger = self._world.ledger
        row = ledger.run(
            "SELECT account, event, url, attempts FROM deliveries WHERE seq = ? AND due IS NOT NULL", (seq,)
        ).fetchone()
        account = self._world.accounts.by_id(row[0]) if row else None
        event = ledger.get(row[0], "event", row[1]) if row else None
        if not account or not event:
            return
        body = dumps(self._provider.webhook_body(event)).encode()
        # Signed with real time even when the clock was moved: the receiver checks its age by its own clock.
        headers = {"Content-Type": "application/json", **self._provider.sign(account, body, int(time.time()))}
        status, delivered = await _post(session, row[2], body, headers)
        self._record(seq, row[3] + 1, status, delivered)

    def _record(self, seq: int, attempts: int, status: str, delivered: bool) -> None:
        schedule = self._provider.retry_after
        due = None
        if not delivered and attempts <= len(schedule):
            due = self._world.clock.now() + schedule[attempts - 1] * self._world.settings.webhook_retry_scale
        self._world.ledger.run(
            "UPDATE deliveries SET attempts = ?, last_status = ?, delivered = ?, due = ? WHERE seq = ?",
            (attempts, status, delivered, due, seq),
        )
        if due is not None:
            self._push(due, seq)


async def _post(session: aiohttp.ClientSession, url: str, body: bytes, headers: dict[str, str]) -> tuple[str, bool]:
    try:
        async with session.post(url, data=body, headers=headers, allow_redirects=False) as answer:
            await answer.read()
            return str(answer.status), 200 <= answer.status < 300
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        return type(error).__name__, False


def _subscribed(patterns: list[str], type: str) -> bool:
    return "*" in patterns or type in patterns


def _shown(row: tuple[Any, ...]) -> Json:
    names = ("id", "type", "url", "account", "attempts", "last_status", "delivered", "due")
    shown = dict(zip(names, row, strict=True))
    shown["delivered"] = bool(shown["delivered"])
    return shown
