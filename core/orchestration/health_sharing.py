"""What the processes tell each other of accounts' health, through Redis: counts, breakers and pauses in one trip.

Nobody who sends waits for this: a thread of `health.py` makes the trips, and the time-outs are short.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from core.orchestration.breaker import Breaker, Counts, State
from core.orchestration.health_windows import BOUNDS, BUCKETS, Tally

#: Seconds for a trip; Redis on another machine answers in a few milliseconds.
_TIMEOUT = 0.2

# Fields of the windows: "<seconds of a bucket>:<its number>:<what>", by Redis' own clock. The state is written only
# over an older version, and what stands there afterwards is the answer: of two who step at once one learns that the
# other did. A breaker that closes begins its windows anew. After an hour without any call all of it is forgotten.
_EXCHANGE = """
local t = redis.call('TIME')
local now = t[1] + t[2] / 1000000
local windows, state = KEYS[1], KEYS[2]
local sizes, numbers = {10, 60}, {6, 10}
local i = 1
local changes = tonumber(ARGV[i])
for _ = 1, changes do
  for _, size in ipairs(sizes) do
    redis.call('HINCRBY', windows, size .. ':' .. math.floor(now / size) .. ':' .. ARGV[i + 1], ARGV[i + 2])
  end
  i = i + 2
end
local pause, version = tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2])
if version > tonumber(redis.call('HGET', state, 'version') or '0') then
  redis.call('HSET', state, 'version', ARGV[i + 2], 'state', ARGV[i + 3], 'since', ARGV[i + 4], 'until', ARGV[i + 5],
             'opens', ARGV[i + 6], 'good', ARGV[i + 7], 'by', ARGV[i + 8])
  if ARGV[i + 9] == 'anew' then redis.call('DEL', windows) end
end
if pause > 0 and now + pause > tonumber(redis.call('HGET', state, 'paused') or '0') then
  redis.call('HSET', state, 'paused', string.format('%.3f', now + pause))
end
local sums, old = {}, {}
local all = redis.call('HGETALL', windows)
for n = 1, #all, 2 do
  local size, bucket, what = string.match(all[n], '^(%d+):(%d+):(.+)$')
  size, bucket = tonumber(size), tonumber(bucket)
  local number = size == 10 and 6 or 10
  if bucket > math.floor(now / size) - number then
    local name = (size * number) .. ':' .. what
    sums[name] = (sums[name] or 0) + tonumber(all[n + 1])
  else
    old[#old + 1] = all[n]
  end
end
if #old > 0 then redis.call('HDEL', windows, unpack(old, 1, math.min(#old, 1000))) end
redis.call('EXPIRE', windows, 3600)
redis.call('EXPIRE', state, 3600)
local told = {string.format('%.3f', now)}
for _, name in ipairs({'version', 'state', 'since', 'until', 'opens', 'good', 'by', 'paused'}) do
  told[#told + 1] = redis.call('HGET', state, name) or ''
end
for name, sum in pairs(sums) do
  told[#told + 1] = name
  told[#told + 1] = tostring(sum)
end
return told
"""


@dataclass(frozen=True, slots=True)
class Told:
    """What one process has to say of one operation at one account: `pause` in seconds from now, `anew` on closing."""

    account_id: UUID
    operation: str
    tally: Tally = field(default_factory=Tally)
    pause: float = 0.0
    breaker: Breaker | None = None
    anew: bool = False


@dataclass(frozen=True, slots=True)
class Heard:
    """What stands in Redis afterwards, by the clock of Redis (`now`, in seconds). `by` names who wrote the breaker."""

    now: float
    breaker: Breaker
    by: str
    paused_until: float
    windows: dict[int, Tally]


class Sharing:
    """The trips of one process; `me` tells its own steps from others'."""

    def __init__(self, redis_url: str, me: str) -> None:
        self._redis = redis.Redis.from_url(
            redis_url,
            socket_timeout=_TIMEOUT,
            socket_connect_timeout=_TIMEOUT,
            decode_responses=True,
            retry=Retry(NoBackoff(), 0),
        )
        self._script = self._redis.register_script(_EXCHANGE)
        self._me = me

    def exchange(self, told: Sequence[Told]) -> list[Heard]:
        """One pipelined trip. Raises redis.RedisError."""
        with self._redis.pipeline(transaction=False) as trip:
            for one in told:
                name = f"tollgate:health:{{{one.account_id}:{one.operation}}}"
                self._script(keys=[name, f"{name}:state"], args=_arguments(one, self._me), client=trip)
            return [_heard(answer) for answer in trip.execute()]

    def take_probe(self, account_id: UUID, operation: str, seconds: float) -> bool:
        """Is the one probe of all processes ours for so long? Raises redis.RedisError."""
        name = _probe(account_id, operation)
        return bool(self._redis.set(name, self._me, nx=True, px=int(seconds * 1000)))

    def give_probe_back(self, account_id: UUID, operation: str) -> None:
        """Raises redis.RedisError."""
        self._redis.delete(_probe(account_id, operation))


def _probe(account_id: UUID, operation: str) -> str:
    return f"tollgate:health:{{{account_id}:{operation}}}:probe"


def _arguments(one: Told, me: str) -> list[str]:
    tally = one.tally
    counted = {"ok": tally.answered, "failed": tally.failed, "ms": tally.milliseconds}
    counted.update({f"t{place}": calls for place, calls in enumerate(tally.times)})
    changes = [part for name, count in counted.items() if count for part in (name, str(count))]
    breaker = one.breaker or Breaker()
    state = (breaker.version if one.breaker else 0, breaker.state.value, f"{breaker.since:.3f}", f"{breaker.until:.3f}")
    rest = (*state, breaker.opens, breaker.good, me, "anew" if one.anew else "")
    return [str(len(changes) // 2), *changes, f"{one.pause:.3f}", *(str(part) for part in rest)]


def _heard(answer: list[str]) -> Heard:
    now, version, state, since, until, opens, good, by, paused = answer[:9]
    breaker = Breaker()
    if version:
        breaker = Breaker(State(state), float(since), float(until), int(opens), int(good), int(version))
    windows = {seconds * number: Tally() for seconds, number in BUCKETS.items()}
    for name, count in zip(answer[9::2], answer[10::2], strict=True):
        window, _, what = name.partition(":")
        _put(windows[int(window)], what, int(float(count)))
    return Heard(float(now), breaker, by, float(paused or 0), windows)


def _put(tally: Tally, what: str, count: int) -> None:
    if what == "ok":
        tally.answered = count
    elif what == "failed":
        tally.failed = count
    elif what == "ms":
        tally.milliseconds = count
    elif what[1:].isdigit() and int(what[1:]) < len(BOUNDS):
        tally.times[int(what[1:])] = count


def counts(windows: dict[int, Tally]) -> dict[int, Counts]:
    return {seconds: tally.counts for seconds, tally in windows.items()}
