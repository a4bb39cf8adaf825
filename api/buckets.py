"""Token buckets, several asked at once: all of them give a token, or none does.

Each bucket is one number, the time at which it will be whole again (GCRA, the leaky bucket as a meter). It bounds what
comes at once and what comes in the long run together, and needs no window that has a seam.
"""

from __future__ import annotations

import hashlib
import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import redis

_MICROSECONDS = 1_000_000
#: Two times that differ by less are one: what is stored is rounded to microseconds.
_SLACK = 1.0
#: Above it, buckets that are whole again are let go of.
_MANY = 20_000


@dataclass(frozen=True, slots=True)
class Quota:
    """`burst` tokens when whole; one comes back every `interval` microseconds."""

    interval: float
    burst: int

    @property
    def depth(self) -> float:
        """Microseconds until an empty bucket is whole."""
        return self.interval * self.burst

    @property
    def window(self) -> int:
        """The same in whole seconds."""
        return max(1, math.ceil(self.depth / _MICROSECONDS))

    def left(self, ahead: float) -> int:
        """Tokens in a bucket that will be whole in `ahead` microseconds."""
        return max(0, self.burst - math.ceil((ahead - _SLACK) / self.interval))


@dataclass(frozen=True, slots=True)
class Taken:
    """`wait` is 0 when each gave its token, else the microseconds until each can. `ahead`: until each is whole."""

    wait: float
    ahead: Sequence[float]


def quota(count: int, period: float, burst: int | None = None) -> Quota:
    """`count` in `period` seconds, all of them at once if `burst` does not say otherwise."""
    return Quota(max(period * _MICROSECONDS / count, 1.0), burst or count)


#: KEYS[1] holds the buckets of ARGV as a hash, so that what is asked together lies together, in a cluster too. A time
#: that lies too far ahead was written by a clock that has been set back since, or under another quota.
_SCRIPT = """
local interval, depth = {%(intervals)s}, {%(depths)s}
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local found = redis.call('HMGET', KEYS[1], unpack(ARGV))
local wait, answer, kept = 0, {0}, {}
for i = 1, #ARGV do
  local before = math.min(math.max((found[i] or 0) - now, 0), depth[i])
  local after = before + interval[i]
  wait = math.max(wait, after - depth[i])
  answer[i + 1] = before
  kept[i * 2 - 1], kept[i * 2] = ARGV[i], string.format('%%.0f', now + after)
end
if wait > %(slack)s then
  answer[1] = math.ceil(wait)
else
  redis.call('HSET', KEYS[1], unpack(kept))
  redis.call('PEXPIRE', KEYS[1], %(life)d)
end
return answer
"""


class SharedBuckets:
    """Of one list of quotas, kept in Redis and by its clock, for all processes. One round trip for all of them."""

    def __init__(self, client: redis.Redis, quotas: Sequence[Quota]) -> None:
        self._run: Callable[..., list[int]] = client.execute_command
        self._quotas = quotas
        self._script = _SCRIPT % {
            "intervals": ",".join(repr(one.interval) for one in quotas),
            "depths": ",".join(repr(one.depth) for one in quotas),
            "slack": _SLACK,
            "life": math.ceil(max(one.depth for one in quotas) / 1000) + 1000,
        }
        self._sha = hashlib.sha1(self._script.encode(), usedforsecurity=False).hexdigest()

    def take(self, group: str, names: Sequence[str]) -> Taken:
        """One token each of the buckets of `group` with these names. Raises redis.RedisError."""
        try:
            wait, *before = self._run("EVALSHA", self._sha, 1, group, *names)
        except redis.exceptions.NoScriptError:  # once, and again by a server that was restarted
            wait, *before = self._run("EVAL", self._script, 1, group, *names)
        return _outcome(before, self._quotas, wait)


class OwnBuckets:
    """The same in this process alone."""

    def __init__(self, quotas: Sequence[Quota], clock: Callable[[], float] = time.monotonic) -> None:
        self._quotas = quotas
        self._clock = clock
        self._whole: dict[tuple[str, str], float] = {}
        self._lock = threading.Lock()
        self._next_tidying = _MANY

    def take(self, group: str, names: Sequence[str]) -> Taken:
        now = self._clock() * _MICROSECONDS
        keys = [(group, name) for name in names]
        with self._lock:
            before = [max(self._whole.get(key, 0.0) - now, 0.0) for key in keys]
            wait = max(ahead + one.interval - one.depth for ahead, one in zip(before, self._quotas, strict=True))
            if wait <= _SLACK:
                self._whole.update(
                    (key, now + ahead + one.interval)
                    for key, ahead, one in zip(keys, before, self._quotas, strict=True)
                )
                wait = 0.0
                if len(self._whole) > self._next_tidying:
                    self._tidy(now)
        return _outcome(before, self._quotas, wait)

    def _tidy(self, now: float) -> None:
        self._whole = {key: whole for key, whole in self._whole.items() if whole > now}
        self._next_tidying = len(self._whole) + _MANY


def _outcome(before: Sequence[float], quotas: Sequence[Quota], wait: float) -> Taken:
    if wait:
        return Taken(wait, before)
    return Taken(0, [ahead + one.interval for ahead, one in zip(before, quotas, strict=True)])
