"""Sends events to merchants: signed, over pooled connections, tried again on the provider's schedule."""

from __future__ import annotations

import asyncio
import heapq
import logging
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import aiohttp

from . import deliveries
from .ledger import Json, dumps

if TYPE_CHECKING:
    from .faults import Fault
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
        self._session: aiohttp.ClientSession | None = None
        self._early: list[int] | None = None
        self._overtaken: dict[str, int] = {}  # by account: the delivery its next event overtakes
        self._behind: dict[int, int] = {}  # by delivery: the one to send when it has been tried

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
        fault = world.faults.take_event(account.secret_key, type)
        if fault:
            self._line_up_badly(fault, account, event_id, type, due)
            return
        seq = deliveries.add(world.ledger, account, event_id, type, due)
        self._push(due, seq)
        if account.id in self._overtaken:
            self._behind[seq] = self._overtaken.pop(account.id)

    def _line_up_badly(self, fault: Fault, account: Account, event_id: str, type: str, due: float) -> None:
        ledger, later = self._world.ledger, due + fault.ms / 1000
        if fault.effect == "webhook_lose":
            deliveries.add(ledger, account, event_id, type, None, "lost")
            return
        waits = fault.effect in ("webhook_late", "webhook_reorder")
        seq = deliveries.add(ledger, account, event_id, type, later if waits else due)
        if fault.effect == "webhook_early" and self._early is not None and self._world.settings.webhooks:
            self._early.append(seq)
            return
        self._push(later if waits else due, seq)
        if fault.effect == "webhook_reorder":
            # Sent behind the account's next event; if none comes, it is merely late.
            self._overtaken[account.id] = seq
        elif fault.effect == "webhook_double":
            self._push(later, deliveries.add(ledger, account, event_id, type, later))
        elif fault.effect == "webhook_forge":
            self._push(due, deliveries.add(ledger, account, deliveries.FORGED + event_id, type, due))

    @contextmanager
    def collecting(self) -> Iterator[list[int]]:
        """Gathers the deliveries of what happens inside that must reach the merchant before its answer does."""
        early: list[int] = []
        self._early = early
        try:
            yield early
        finally:
            self._early = None

    async def deliver(self, early: list[int]) -> None:
        """Sends now, and waits for the merchant's answers."""
        session = self._session
        if session is not None:
            await asyncio.gather(*(self._send(session, seq) for seq in early))

    def resend(self, event_id: str | None) -> int:
        """Makes deliveries due now: those of one event, or all that were never delivered."""
        now = self._world.clock.now()
        due = deliveries.make_due(self._world.ledger, event_id, now)
        for seq in due:
            self._push(now, seq)
        return len(due)

    def log(self, account: Account | None, type: str | None, limit: int) -> Json:
        return deliveries.log(self._world.ledger, account, type, limit)

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
            self._session = session
            try:
                while True:
                    await self._wait()
                    self._start_due(session)
            finally:
                self._session = None
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
        event = ledger.get(row[0], "event", row[1].removeprefix(deliveries.FORGED)) if row else None
        if not account or not event:
            return
        body = dumps(self._provider.webhook_body(event)).encode()
        if forged := row[1].startswith(deliveries.FORGED):
            account, body = _forged(account, body)
        # Signed with real time even when the clock was moved: the receiver checks its age by its own clock.
        headers = {"Content-Type": "application/json", **self._provider.sign(account, body, int(time.time()))}
        status, delivered = await _post(session, row[2], body, headers)
        self._record(seq, row[3] + 1, status, delivered, () if forged else self._provider.retry_after(account))

    def _record(self, seq: int, attempts: int, status: str, delivered: bool, schedule: Sequence[float]) -> None:
        due = None
        if not delivered and attempts <= len(schedule):
            due = self._world.clock.now() + schedule[attempts - 1] * self._world.settings.webhook_retry_scale
        self._world.ledger.run(
            "UPDATE deliveries SET attempts = ?, last_status = ?, delivered = ?, due = ? WHERE seq = ?",
            (attempts, status, delivered, due, seq),
        )
        if due is not None:
            self._push(due, seq)
        if behind := self._behind.pop(seq, None):
            now = self._world.clock.now()
            self._world.ledger.run("UPDATE deliveries SET due = ? WHERE seq = ? AND due IS NOT NULL", (now, behind))
            self._push(now, behind)


async def _post(session: aiohttp.ClientSession, url: str, body: bytes, headers: dict[str, str]) -> tuple[str, bool]:
    try:
        async with session.post(url, data=body, headers=headers, allow_redirects=False) as answer:
            await answer.read()
            return str(answer.status), 200 <= answer.status < 300
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        return type(error).__name__, False


def _subscribed(patterns: list[str], type: str) -> bool:
    return "*" in patterns or type in patterns


def _forged(account: Account, body: bytes) -> tuple[Account, bytes]:
    """What somebody sends who knows the address but not the secret: ten times the money, signed with a guess."""
    guess = "guessed"
    altered = re.sub(rb'"(amount\w*)":("?)([1-9]\d*)', rb'"\1":\g<2>\g<3>0', body)
    return replace(account, secret_key=guess, webhook_secret=guess), altered
