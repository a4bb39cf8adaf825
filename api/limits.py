"""How often a key, a merchant and a route may be asked: counted in Redis for all processes, here while it is away.

What providers tell is never counted: a refused event comes again hours later, if at all.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence

import redis
import structlog
from redis.backoff import NoBackoff
from redis.retry import Retry

from api.buckets import OwnBuckets, Quota, SharedBuckets, Taken, quota
from api.errors import RateLimited
from core.orchestration.api_keys import KeyHolder
from core.setting_values import parse_rate
from core.settings import Settings

log = structlog.get_logger()

#: A limit must never be what makes a request slow.
_SOCKET_TIMEOUT = 0.2
#: After a failure Redis is left alone this long, so that its absence costs one time-out and not one a request.
_REST = 5.0
_MICROSECONDS = 1_000_000

_WHOSE: Mapping[str, str] = {
    "key": "this key may make {count} requests in {window} s",
    "merchant": "this merchant's keys may make {count} requests in {window} s together",
    "route": "this merchant's keys may ask this address {count} times in {window} s together",
}


class _Rules:
    """What one kind of asker is held to, by the names of `_WHOSE`, and how it is told."""

    def __init__(self, client: redis.Redis, quotas: Mapping[str, Quota]) -> None:
        self.names = list(quotas)
        self.quotas = list(quotas.values())
        self.shared = SharedBuckets(client, self.quotas)
        self.own = OwnBuckets(self.quotas)
        self._policy = ", ".join(
            f'"{name}";q={one.burst};w={one.window}' for name, one in zip(self.names, self.quotas, strict=True)
        )

    def tell(self, taken: Taken) -> dict[str, str]:
        """draft-ietf-httpapi-ratelimit-headers: every policy, and where the one stands that ends first.

        Raises RateLimited.
        """
        left = list(map(Quota.left, self.quotas, taken.ahead))
        if taken.wait:
            waits = [ahead + one.interval - one.depth for one, ahead in zip(self.quotas, taken.ahead, strict=True)]
            place = max(range(len(waits)), key=waits.__getitem__)
        else:
            place = min(range(len(left)), key=left.__getitem__)
        headers = {
            "RateLimit-Policy": self._policy,
            "RateLimit": f'"{self.names[place]}";r={left[place]};t={_seconds(taken.ahead[place])}',
        }
        if taken.wait:
            seconds, one = _seconds(taken.wait), self.quotas[place]
            told = _WHOSE[self.names[place]].format(count=one.burst, window=one.window)
            raise RateLimited(f"{told}; try again in {seconds} s", seconds, headers)
        return headers


class RateLimits:
    """By `settings.rate_limit` and its neighbours."""

    def __init__(self, settings: Settings) -> None:
        self._client = _redis(settings.redis_url)
        rates = {
            "key": settings.rate_limit,
            "merchant": settings.merchant_rate_limit,
            "route": settings.route_rate_limit,
        }
        self._merchant = _Rules(self._client, {name: quota(*parse_rate(text)) for name, text in rates.items()})
        self._admin = _Rules(self._client, {"key": quota(*parse_rate(settings.admin_rate_limit))})
        self._away = False
        self._next_try = 0.0

    def spend(self, holder: KeyHolder, route: str) -> dict[str, str]:
        """One request of the key's holder to a route. Returns the headers that tell of it. Raises RateLimited."""
        if holder.scope is None:
            return self.spend_admin(holder.key_id)
        # Test traffic takes nothing from live traffic.
        group = f"tollgate:limit:{holder.scope.merchant_id}:{holder.scope.mode}"
        return self._spend(self._merchant, group, [f"key:{holder.key_id}", "all", f"route:{route}"])

    def spend_admin(self, name: str) -> dict[str, str]:
        """One request under an administrator's key or session. Returns the headers. Raises RateLimited."""
        return self._spend(self._admin, "tollgate:limit:admin", [name])

    def _spend(self, rules: _Rules, group: str, names: Sequence[str]) -> dict[str, str]:
        taken = self._ask_redis(rules, group, names)
        return rules.tell(rules.own.take(group, names) if taken is None else taken)

    def redis_answers(self) -> bool:
        """Asked now, for the readiness page."""
        try:
            return bool(self._client.ping())
        except redis.RedisError:
            return False

    def _ask_redis(self, rules: _Rules, group: str, names: Sequence[str]) -> Taken | None:
        """None while it is away."""
        if not self._may_ask_redis():
            return None
        try:
            taken = rules.shared.take(group, names)
        except Exception as error:
            self._away, self._next_try = True, time.monotonic() + _REST
            log.warning("rate limits are counted in this process", component="redis", exc_info=error)
            return None
        self._away = False
        return taken

    def _may_ask_redis(self) -> bool:
        """Always while Redis answers; while it is away, one request every few seconds finds out for all."""
        if not self._away:
            return True
        now = time.monotonic()
        if now < self._next_try:
            return False
        self._next_try = now + _REST
        return True


def _seconds(microseconds: float) -> int:
    return max(1, math.ceil(microseconds / _MICROSECONDS))


def _redis(url: str) -> redis.Redis:
    return redis.Redis.from_url(
        url,
        socket_timeout=_SOCKET_TIMEOUT,
        socket_connect_timeout=_SOCKET_TIMEOUT,
        retry=Retry(NoBackoff(), 0),
    )
