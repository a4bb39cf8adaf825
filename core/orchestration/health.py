"""Health of each account and operation, from real outcomes: windows, breakers and pauses, kept in memory.

A call costs two short looks at this process's memory. What the processes tell each other goes through Redis by a thread
of its own (`health_sharing.py`), half a second late at most; without Redis each process goes by what it sees itself.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING
from uuid import UUID

import redis
import structlog

from core.domain.outcomes import NotExecuted, NotExecutedReason, Unknown
from core.orchestration import breaker, health_changes
from core.orchestration.breaker import Breaker, KeptBack, Permit, State
from core.orchestration.health_sharing import Heard, Sharing, Told, counts
from core.orchestration.health_windows import Tally, Windows
from core.persistence.database import Scope

if TYPE_CHECKING:
    from core.orchestration.context import Core
    from core.orchestration.provider_manager import OpenedAccount

log = structlog.get_logger(__name__)

#: Refusals that say nothing about whether the provider is well: our own doing, and what it asks us to wait for.
_NEITHER = frozenset(
    {
        NotExecutedReason.RATE_LIMITED,
        NotExecutedReason.LOCK_TIMEOUT,
        NotExecutedReason.MISCONFIGURED,
        NotExecutedReason.BREAKER_OPEN,
    }
)
#: Seconds an account and operation rest after a 429 that named no time: Stripe counts by the second.
PAUSE_AFTER_429 = 1.0
#: A pause longer than this is not kept in one piece: a provider that names a day is asked again within the hour.
LONGEST_PAUSE = 3600.0
#: Seconds of a pause that are waited out by the thread; for longer ones the work goes elsewhere or back to the queue.
_WAITED_OUT = 2.0
#: Seconds a probe holds its place at the longest: the deadline of a call, and some for the way.
_PROBE = 45.0
#: Seconds between two trips to Redis: what one process has seen, the others know so much later.
_EVERY = 0.5
#: Seconds until a dead Redis is asked again.
_REST = 5.0
#: Accounts that are remembered before those at rest are dropped, how long those have rested, and how often that is.
_REMEMBERED, _AT_REST, _DROP_EVERY = 5000, 600.0, 60.0


@dataclass(frozen=True, slots=True)
class Standing:
    """`success` is the share of calls within ten minutes that were answered, a decline included; None without a call.

    `p95_ms` is the bound under which 95 of 100 ended. `paused` in seconds: the provider asked to wait.
    """

    state: State
    success: float | None
    calls: int
    p95_ms: int | None
    since: datetime | None
    paused: float = 0.0


@dataclass(slots=True)
class _Entry:
    core: Core
    scope: Scope
    account_id: UUID
    operation: str
    breaker: Breaker = field(default_factory=Breaker)
    windows: Windows = field(default_factory=Windows)
    shared: dict[int, Tally] = field(default_factory=dict)
    untold: Tally = field(default_factory=Tally)
    paused_until: float = 0.0
    pause_untold: bool = False
    probing_until: float = 0.0
    steps: list[tuple[Breaker, Breaker]] = field(default_factory=list)
    pushed: bool = True
    asked: bool = False
    used_at: float = 0.0

    def merged(self) -> dict[int, Tally]:
        """What all processes have seen, as far as we know, and what we have not told yet."""
        found = {}
        for seconds, tally in self.shared.items():
            found[seconds] = Tally()
            found[seconds].add(tally)
            found[seconds].add(self.untold)
        return found


class Health:
    """One a process. Without an address of Redis it keeps to itself, and starts no thread before a breaker moves."""

    def __init__(self, redis_url: str | None = None, clock: Callable[[], float] = time.time) -> None:
        self._me = secrets.token_hex(8)
        self._sharing = None if redis_url is None else Sharing(redis_url, self._me)
        self._clock = clock
        self._ahead = 0.0  # of Redis' clock before ours, in seconds
        self._dropped_at = 0.0
        self._accounts: dict[UUID, dict[str, _Entry]] = {}
        self._lock = threading.Lock()
        self._wake, self._urgent = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self._rest_until = 0.0

    # On the road of a call

    def permit(self, core: Core, account: OpenedAccount, operation: str, payment: UUID) -> Permit | KeptBack:
        with self._lock:
            now = self._now()
            entry = self._entry(core, account.scope, account.account_id, operation, now)
            pause = entry.paused_until - now
            if pause > _WAITED_OUT:
                return KeptBack(pause, NotExecutedReason.RATE_LIMITED)
            self._step(entry, breaker.seen_at(entry.breaker, now))
            seconds = breaker.waits(entry.breaker, payment, now)
            if entry.breaker.state is not State.CLOSED:
                entry.asked = True
                self._wake.set()
            if seconds == 0.0:
                return Permit(max(0.0, pause))
            if seconds is None and entry.probing_until <= now:
                entry.probing_until = now + _PROBE
            else:
                return KeptBack(seconds or breaker.COME_BACK, NotExecutedReason.BREAKER_OPEN)
        if self._is_ours(entry):
            return Permit(max(0.0, pause), partial(self._give_back, entry))
        with self._lock:
            entry.probing_until = now + breaker.COME_BACK  # somebody else's probe is under way
        return KeptBack(breaker.COME_BACK, NotExecutedReason.BREAKER_OPEN)

    def observe(self, core: Core, account: OpenedAccount, operation: str, answer: object, ms: int) -> None:
        """Never waits, never raises for what Redis or Postgres do."""
        was_answered = _verdict(answer)
        with self._lock:
            now = self._now()
            entry = self._entry(core, account.scope, account.account_id, operation, now)
            if isinstance(answer, NotExecuted) and answer.reason is NotExecutedReason.RATE_LIMITED:
                named = PAUSE_AFTER_429 if answer.retry_after is None else answer.retry_after
                entry.paused_until = max(entry.paused_until, now + min(named, LONGEST_PAUSE))
                entry.pause_untold = True
                self._urgent.set()
            if was_answered is not None:
                entry.windows.count(was_answered, ms, now)
                entry.untold.count(was_answered, ms)
                self._learn(entry, was_answered, now)
            if self._sharing is not None or entry.steps:
                self._wake.set()
        self._ensure_thread()

    def _learn(self, entry: _Entry, was_answered: bool, now: float) -> None:
        if not was_answered:
            for seen in (entry.windows.sums(now), entry.merged()):
                self._step(entry, breaker.failed(entry.breaker, counts(seen), entry.operation, now))
            return
        self._step(entry, breaker.answered(entry.breaker, now))
        if entry.operation in breaker.QUESTIONS:
            for other in self._accounts[entry.account_id].values():
                if other.operation not in breaker.QUESTIONS:
                    self._step(other, breaker.heard(other.breaker))

    # Reading

    def standings(
        self, core: Core, scope: Scope, account_ids: Iterable[UUID], operation: str
    ) -> Mapping[UUID, Standing]:
        """From memory; an account that was never asked about before is known half a second later."""
        with self._lock:
            now, found = self._now(), {}
            for account_id in account_ids:
                entry = self._entry(core, scope, account_id, operation, now)
                if self._sharing is not None and not entry.asked:
                    entry.asked = True
                    self._wake.set()
                found[account_id] = self._standing(entry, now)
        if self._sharing is not None:
            self._ensure_thread()
        return found

    def report(self, core: Core, scope: Scope, account_id: UUID, operations: Iterable[str]) -> dict[str, Standing]:
        """Each operation that was called within the hour, as all processes know it: one trip to Redis, if there."""
        with self._lock:
            entries = [self._entry(core, scope, account_id, one, self._now()) for one in operations]
        self._exchange(entries)
        with self._lock:
            now = self._now()
            found = {entry.operation: self._standing(entry, now) for entry in entries}
        return {name: one for name, one in found.items() if one.calls or one.paused or one.state is not State.CLOSED}

    def _standing(self, entry: _Entry, now: float) -> Standing:
        state = breaker.seen_at(entry.breaker, now)
        tally = max((entry.windows.sums(now)[600], *_ten_minutes(entry)), key=lambda one: one.counts.calls)
        since = datetime.fromtimestamp(state.since, UTC) if state.since else None
        paused = max(0.0, entry.paused_until - now)
        return Standing(state.state, tally.success, tally.counts.calls, tally.p95_ms, since, paused)

    # Memory

    def _now(self) -> float:
        return self._clock() + self._ahead

    def _entry(self, core: Core, scope: Scope, account_id: UUID, operation: str, now: float) -> _Entry:
        if len(self._accounts) > _REMEMBERED and now - self._dropped_at > _DROP_EVERY:
            self._dropped_at = now
            self._accounts = {
                one: entries
                for one, entries in self._accounts.items()
                if any(now - entry.used_at < _AT_REST or entry.steps for entry in entries.values())
            }
        entries = self._accounts.setdefault(account_id, {})
        entry = entries.get(operation)
        if entry is None:
            entry = entries[operation] = _Entry(core, scope, account_id, operation)
        entry.used_at = now
        return entry

    def _step(self, entry: _Entry, to: Breaker) -> None:
        before = entry.breaker
        if to is before:
            return
        entry.breaker, entry.pushed = to, False
        if to.state is not before.state:
            entry.steps.append((before, to))
            self._urgent.set()
        if to.state is State.CLOSED:
            entry.windows.clear()
            entry.shared = {}
        self._wake.set()

    # The one probe of a half-open breaker

    def _is_ours(self, entry: _Entry) -> bool:
        if self._sharing is None or time.monotonic() < self._rest_until:
            return True
        try:
            return self._sharing.take_probe(entry.account_id, entry.operation, _PROBE)
        except redis.RedisError:
            self._rest_until = time.monotonic() + _REST
            return True

    def _give_back(self, entry: _Entry) -> None:
        with self._lock:
            entry.probing_until = 0.0
        if self._sharing is not None and time.monotonic() >= self._rest_until:
            try:
                self._sharing.give_probe_back(entry.account_id, entry.operation)
            except redis.RedisError:
                self._rest_until = time.monotonic() + _REST

    # The thread that tells the others

    def _ensure_thread(self) -> None:
        if self._thread is not None and self._thread.is_alive():
            return
        if not self._wake.is_set():
            return
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="health", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            self._wake.wait()
            self._urgent.wait(_EVERY)
            self._wake.clear()
            self._urgent.clear()
            try:
                self.tell()
            except Exception:  # the thread must outlive a mistake about one account
                log.exception("health_not_told")

    def tell(self) -> None:
        """Exchange with Redis what has been seen, and write down which breakers have moved."""
        with self._lock:
            entries = [one for entries in self._accounts.values() for one in entries.values() if _has_to_tell(one)]
        self._exchange(entries)
        for entry in entries:
            with self._lock:
                if not (entry.pushed or self._sharing is None or time.monotonic() < self._rest_until):
                    continue  # another process may have stepped first: the next trip tells
                steps, entry.steps = entry.steps, []
            if steps:
                health_changes.record(entry.core, entry.scope, entry.account_id, entry.operation, steps)

    def _exchange(self, entries: list[_Entry]) -> None:
        if self._sharing is None or not entries or time.monotonic() < self._rest_until:
            return
        with self._lock:
            told = [_told(entry, self._now()) for entry in entries]
        try:
            heard = self._sharing.exchange(told)
        except redis.RedisError as error:
            self._rest_until = time.monotonic() + _REST
            log.warning("health_not_shared", error_type=type(error).__name__)
            with self._lock:
                for entry, one in zip(entries, told, strict=True):
                    entry.untold.add(one.tally)
                    entry.pause_untold = entry.pause_untold or one.pause > 0
            return
        with self._lock:
            for entry, one, answer in zip(entries, told, heard, strict=True):
                self._take_over(entry, one, answer)

    def _take_over(self, entry: _Entry, told: Told, heard: Heard) -> None:
        self._ahead = heard.now - self._clock()
        entry.shared = {} if entry.breaker.state is State.CLOSED and entry.steps else heard.windows
        entry.paused_until = max(entry.paused_until, heard.paused_until)
        others = heard.by != self._me and heard.breaker.version >= entry.breaker.version
        if others and heard.breaker != entry.breaker:
            # Somebody stepped before us: theirs is the step that is written down.
            entry.breaker, entry.steps = heard.breaker, []
            if heard.breaker.state is State.CLOSED:
                entry.windows.clear()
        if told.tally.failed and breaker.tripped(counts(entry.merged())):
            # Too few failures to be noticed by one process may be too many for all of them.
            self._step(entry, breaker.failed(entry.breaker, counts(entry.merged()), entry.operation, self._now()))
            return
        entry.pushed = others or (told.breaker is not None and told.breaker.version == entry.breaker.version)


def _verdict(answer: object) -> bool | None:
    """True for whatever the provider answered; None for what says nothing about it."""
    if isinstance(answer, NotExecuted):
        return None if answer.reason in _NEITHER else answer.reason is not NotExecutedReason.CONNECTION
    if isinstance(answer, Unknown):
        # A question refused for its credentials, or a key that was used before, is an answer.
        return None if answer.refused_key or answer.key_taken else False
    return True


def _has_to_tell(entry: _Entry) -> bool:
    return bool(entry.untold.counts.calls or entry.pause_untold or entry.steps or entry.asked or not entry.pushed)


def _told(entry: _Entry, now: float) -> Told:
    """What is untold so far is told with it; of a pause, what is left of it. The caller holds the lock."""
    stepped = None if entry.pushed else entry.breaker
    anew = stepped is not None and stepped.state is State.CLOSED
    pause = max(0.0, entry.paused_until - now) if entry.pause_untold else 0.0
    told = Told(entry.account_id, entry.operation, entry.untold, pause, stepped, anew)
    entry.untold, entry.pause_untold, entry.asked = Tally(), False, False
    return told


def _ten_minutes(entry: _Entry) -> list[Tally]:
    return [tally for seconds, tally in entry.merged().items() if seconds == 600]


def observe(core: Core, account: OpenedAccount, operation: str, answer: object, ms: int) -> None:
    """Count a call that ended. Declines are answers; a refused connection and an unknown outcome are failures."""
    core.health.observe(core, account, operation, answer, ms)


def standing(
    core: Core, scope: Scope, account_ids: Iterable[UUID], operation: str = "start"
) -> Mapping[UUID, Standing]:
    """How the accounts' `operation` stands, as this process knows it. Asks nobody, and costs next to nothing."""
    return core.health.standings(core, scope, account_ids, operation)


#: What is asked of accounts, by the names that pacing and the log know it under.
OPERATIONS = (
    "start", "capture", "void", "refund", "look_up", "list_refunds", "upsert_customer", "forget_method",
    "read_dispute", "send_evidence", "accept_dispute", "list_changes", "list_charges", "list_statement",
)  # fmt: skip


def report(core: Core, scope: Scope, account_id: UUID) -> dict[str, Standing]:
    """Each operation of the account with calls within ten minutes, as all processes know it. Asks Redis once."""
    return core.health.report(core, scope, account_id, OPERATIONS)
