"""Sends are spaced before a provider says 429: one shared schedule per account in Redis, a private one without it."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from core.providers.base import Pacing

#: What NotExecuted's detail says when our own pacing kept the request back.
PACED = "paced"
#: Longest pause spent holding a thread; anything longer goes back to the queue.
MAX_PAUSE = 2.0
#: Sends that may go out together; the steady rate is lowered by it, so that no second holds more than the limit.
#: Of a low limit at most half goes at once.
_BURST = 3
#: Without Redis each process paces alone; the share keeps a usual pair of workers under the limit together.
_PRIVATE_SHARE = 0.5
#: Seconds of sends that a process takes off the shared schedule at once, where that is more than one: asking for each
#: would cost more than the rest of the pacing. It takes as many as it has sent in the last such time, since what is
#: not sent within it is lost. The steady rate is lowered by as much, so that still no second holds more than the limit.
_AHEAD = 0.05
#: Accounts and operations a process remembers what it took for.
_REMEMBERED = 5000
#: After Redis failed, seconds until it is asked again: a dead one must not cost every payment a time-out.
_REST = 5.0

# Generic cell rate: each key holds the time at which the schedule is free again, in Redis' own clock.
_SCRIPT = """
local t = redis.call('TIME')
local now = t[1] + t[2] / 1000000
local wait = 0
for i = 1, #KEYS do
  local free = tonumber(redis.call('GET', KEYS[i]) or '0')
  local early = tonumber(ARGV[2 * i + 1])
  wait = math.max(wait, math.max(free, now) - early - now)
end
if wait > tonumber(ARGV[1]) then return tostring(wait) end
for i = 1, #KEYS do
  local free = math.max(tonumber(redis.call('GET', KEYS[i]) or '0'), now)
  redis.call('SET', KEYS[i], string.format('%.6f', free + tonumber(ARGV[2 * i])), 'EX', 60)
end
return tostring(wait)
"""


@dataclass(frozen=True, slots=True)
class Slot:
    """One limit a send counts against: `interval` seconds a send, `early` seconds of burst."""

    key: str
    interval: float
    early: float


class Pacer(Protocol):
    def pause(self, slots: list[Slot]) -> float:
        """Seconds to wait before sending. Above MAX_PAUSE nothing was reserved: come back later."""


def slots_for(account: str, mode: str, operation: str, pacing: Pacing, settings: Mapping[str, Any]) -> list[Slot]:
    """The limits of one send; the account's own settings replace the published figures."""
    own = settings.get("pacing", {})
    published_total = pacing.total_test if mode == "test" else pacing.total_live
    rates = {
        f"tollgate:pace:{account}:{operation}": own.get("per_operation", pacing.per_operation),
        f"tollgate:pace:{account}": own.get("total", published_total),
    }
    return [_slot(key, float(rate)) for key, rate in rates.items() if rate]  # 0 and null: no limit


def _slot(key: str, rate: float) -> Slot:
    burst = max(1, min(_BURST, int(rate / 2)))
    steady = rate - burst if burst > 1 else rate
    if steady * _AHEAD >= 2:
        steady /= 1 + _AHEAD
    return Slot(key, 1.0 / steady, (burst - 1) / steady)


class PrivatePacer:
    """The same schedule within one process."""

    def __init__(self, share: float = 1.0) -> None:
        self._free: dict[str, float] = {}
        self._lock = threading.Lock()
        self._share = share

    def pause(self, slots: list[Slot]) -> float:
        with self._lock:
            now = time.monotonic()
            waits = [max(self._free.get(slot.key, 0.0), now) - slot.early - now for slot in slots]
            wait = max([0.0, *waits])
            if wait > MAX_PAUSE:
                return wait
            for slot in slots:
                free = max(self._free.get(slot.key, 0.0), now)
                self._free[slot.key] = free + slot.interval / self._share
            return wait


@dataclass(slots=True)
class _Ahead:
    """Sends taken off the shared schedule at once: how many, those not yet sent, and when the first may go."""

    taken: int
    left: int
    begins: float


class SharedPacer:
    """One schedule over all workers in Redis; while it is away each process keeps its own."""

    def __init__(self, redis_url: str) -> None:
        self._redis = redis.Redis.from_url(
            redis_url,
            socket_timeout=0.2,
            socket_connect_timeout=0.2,
            max_connections=200,
            retry=Retry(NoBackoff(), 0),
        )
        self._script = self._redis.register_script(_SCRIPT)
        self._private = PrivatePacer(_PRIVATE_SHARE)
        self._rest_until = 0.0
        self._lock = threading.Lock()
        self._ahead: dict[tuple[str, ...], _Ahead] = {}

    def pause(self, slots: list[Slot]) -> float:
        if not slots:
            return 0.0
        if time.monotonic() < self._rest_until:
            return self._private.pause(slots)
        keys = tuple(slot.key for slot in slots)
        reserved = self._take_ahead(keys)
        if reserved is not None:
            return reserved
        count = self._to_take(keys, max(1, min(int(_AHEAD / slot.interval) for slot in slots)))
        arguments: list[str] = [str(MAX_PAUSE)]
        for slot in slots:
            arguments += [f"{slot.interval * count:.6f}", f"{slot.early:.6f}"]
        taken_at = time.monotonic()
        try:
            answer = self._script(keys=keys, args=arguments)
        except redis.RedisError:
            self._rest_until = time.monotonic() + _REST
            return self._private.pause(slots)
        pause = max(0.0, float(cast(bytes, answer)))
        if pause <= MAX_PAUSE:
            with self._lock:
                if len(self._ahead) > _REMEMBERED:
                    self._ahead.clear()  # what was taken for them is lost, which is harmless
                self._ahead[keys] = _Ahead(count, count - 1, taken_at + pause)
        return pause

    def _take_ahead(self, keys: tuple[str, ...]) -> float | None:
        """The pause of a send that is reserved already; None when there is none."""
        with self._lock:
            found, now = self._ahead.get(keys), time.monotonic()
            if found is None or not found.left or now >= found.begins + _AHEAD:
                return None
            found.left -= 1
            return max(0.0, found.begins - now)

    def _to_take(self, keys: tuple[str, ...], most: int) -> int:
        """Twice as many as last time where those went quickly, else as many as went."""
        with self._lock:
            found = self._ahead.get(keys)
            if found is None:
                return 1
            quickly = not found.left and time.monotonic() < found.begins + _AHEAD
            return min(most, found.taken * 2 if quickly else max(1, found.taken - found.left))
