"""How often somebody may try to log in: counted in Redis before each try, by what the try has in common with others.

Who guesses is slowed down where they are (this name from this network address, this address), and only a little under
a name as a whole. A browser that has logged in before is counted by itself alone, and somebody at a network address
that the person has logged in from is not counted under the name: strangers can lock nobody out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any, cast

import redis
import structlog
from redis.backoff import NoBackoff
from redis.retry import Retry

from core.domain.errors import LoginClosed, TooManyTries
from core.orchestration.context import Core

log = structlog.get_logger()

#: A person who waits for the page waits for this, too.
_SOCKET_TIMEOUT = 0.5
#: Seconds after the last try until all is forgotten.
_MEMORY = 4500
_QUARTER_HOUR = 900.0


@dataclass(frozen=True, slots=True)
class Limit:
    """`free` tries, then a pause of `pause` seconds that doubles with each further one up to `longest`."""

    free: int
    pause: float
    longest: float


#: What a try is counted by -> its limit. A name as a whole is slowed down to a try a minute and never further; codes,
#: of which there are a million, further, since whoever tries one knows the password.
LIMITS = {
    "device": Limit(5, 2.0, _QUARTER_HOUR),
    "pair": Limit(5, 2.0, _QUARTER_HOUR),
    "address": Limit(30, 2.0, _QUARTER_HOUR),
    "name": Limit(20, 1.0, 60.0),
    "code_device": Limit(5, 2.0, _QUARTER_HOUR),
    "code_pair": Limit(5, 5.0, _QUARTER_HOUR),
    "code_name": Limit(10, 5.0, _QUARTER_HOUR),
    "confirm": Limit(5, 2.0, _QUARTER_HOUR),
}

# Looks at all counters before it counts in any: a try that is refused pushes nothing further away. `told` is there once
# for each pause, so that a flood of refusals is one audit record.
_RESERVE = """
local now, wait, first = tonumber(ARGV[1]), 0, 0
for i = 1, #KEYS do
  local left = tonumber(redis.call('HGET', KEYS[i], 'until') or '0') - now
  if left > 0 and redis.call('HSETNX', KEYS[i], 'told', 1) == 1 then first = 1 end
  wait = math.max(wait, left)
end
if wait > 0 then return {tostring(wait), first} end
for i = 1, #KEYS do
  local free, pause, longest = tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i]), tonumber(ARGV[3 * i + 1])
  local n = redis.call('HINCRBY', KEYS[i], 'n', 1)
  redis.call('HDEL', KEYS[i], 'told')
  if n > free then
    redis.call('HSET', KEYS[i], 'until', now + math.min(longest, pause * 2 ^ math.min(n - free - 1, 30)))
  end
  redis.call('EXPIRE', KEYS[i], ARGV[#ARGV])
end
return {'0', 0}
"""


@dataclass(frozen=True, slots=True)
class Counter:
    """One thing that tries have in common; `what` is hashed, since names and addresses are people's."""

    kind: str
    what: str

    @property
    def key(self) -> str:
        return f"tollgate:login:{self.kind}:{hashlib.sha256(self.what.encode()).hexdigest()[:32]}"


@dataclass(frozen=True, slots=True)
class Try:
    """Where somebody tries. `device` is the token of a browser that is known for this name."""

    name: str
    address: str
    device: str | None
    known_address: bool

    def counters(self, prefix: str = "") -> list[Counter]:
        """`prefix` is `code_` for the second step."""
        if self.device is not None:
            return [Counter(f"{prefix}device", self.device)]
        network = network_of(self.address)
        found = [Counter(f"{prefix}pair", f"{self.name}|{network}"), Counter("address", network)]
        return found if self.known_address else [*found, Counter(f"{prefix}name", self.name)]


def network_of(address: str) -> str:
    """A home has a whole /64 of IPv6, from which anybody could take a new address for each try."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    return str(ip_network((parsed, 64), strict=False)) if isinstance(parsed, IPv6Address) else str(parsed)


class Throttle:
    """One a process; all count in the same Redis. Without it nobody logs in."""

    def __init__(self, core: Core) -> None:
        self._clock = core.clock
        self._redis = redis.Redis.from_url(
            core.settings.redis_url,
            socket_timeout=_SOCKET_TIMEOUT,
            socket_connect_timeout=_SOCKET_TIMEOUT,
            retry=Retry(NoBackoff(), 0),
        )
        self._script = self._redis.register_script(_RESERVE)

    def reserve(self, counters: Sequence[Counter]) -> None:
        """Count a try before it is made. Raises TooManyTries, LoginClosed."""
        arguments: list[Any] = [self._clock().timestamp()]
        for one in counters:
            limit = LIMITS[one.kind]
            arguments += [limit.free, limit.pause, limit.longest]
        try:
            answer = self._script(keys=[one.key for one in counters], args=[*arguments, _MEMORY])
        except redis.RedisError as error:
            raise self._closed(error) from None
        wait, first = cast("tuple[bytes, int]", answer)
        if float(wait) > 0:
            raise TooManyTries(float(wait), first=bool(first))

    def forgive(self, counters: Sequence[Counter]) -> None:
        """Who has come in was not guessing. Raises LoginClosed."""
        try:
            with self._redis.pipeline(transaction=False) as pipe:
                for one in counters:
                    if one.kind in ("address", "name", "code_name"):  # others may be guessing there
                        pipe.hincrby(one.key, "n", -1)
                        pipe.hdel(one.key, "until")
                        pipe.expire(one.key, _MEMORY)
                    else:
                        pipe.delete(one.key)
                pipe.execute()
        except redis.RedisError as error:
            raise self._closed(error) from None

    def _closed(self, error: Exception) -> LoginClosed:
        log.warning("login is closed", component="redis", exc_info=error)
        return LoginClosed(
            "logging in is closed: tries cannot be counted while Redis is away. Who is logged in stays so"
        )
