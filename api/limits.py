"""Rate limits per key: counted in Redis for all processes, in this process alone while Redis is away."""

from __future__ import annotations

import math
import time

import redis
import structlog
from limits import RateLimitItem, parse
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import RateLimiter, SlidingWindowCounterRateLimiter
from redis.backoff import NoBackoff
from redis.retry import Retry

from api.errors import RateLimited
from core.settings import Settings

log = structlog.get_logger()

#: A limit must never be what makes a request slow.
_SOCKET_TIMEOUT = 0.2
#: After a failure Redis is left alone this long, so that its absence costs one time-out and not one a request.
_REST = 5.0
#: Two strategies under one key break each other, so the strategy is part of it.
_STRATEGY = "swc"


class RateLimits:
    """`settings.rate_limit` and `settings.admin_rate_limit` in the notation of the limits package."""

    def __init__(self, settings: Settings) -> None:
        self._merchant = parse(settings.rate_limit)
        self._admin = parse(settings.admin_rate_limit)
        self._here: RateLimiter = SlidingWindowCounterRateLimiter(MemoryStorage())
        storage = _redis(settings.redis_url)
        self._redis_answers = storage.check
        self._shared: RateLimiter = SlidingWindowCounterRateLimiter(storage)
        self._away = False
        self._next_try = 0.0

    def spend(self, key_id: str, admin: bool = False) -> None:
        """Raises RateLimited once the key has asked too often."""
        item = self._admin if admin else self._merchant
        if not self._hit(item, key_id):
            window = item.get_expiry()
            headers = {
                "RateLimit-Policy": f'"key";q={item.amount};w={window}',
                "RateLimit": f'"key";r=0;t={window}',
            }
            raise RateLimited(
                f"this key may make {item.amount} requests in {window} s; try again in a moment",
                max(1, math.ceil(window)),
                headers,
            )

    def redis_answers(self) -> bool:
        """Asked now, for the readiness page."""
        try:
            return self._redis_answers()
        except redis.RedisError:
            return False

    def _hit(self, item: RateLimitItem, key_id: str) -> bool:
        if self._may_ask_redis():
            try:
                allowed = self._shared.hit(item, _STRATEGY, key_id)
            except Exception as error:
                self._away, self._next_try = True, time.monotonic() + _REST
                log.warning("rate limits are counted in this process", component="redis", exc_info=error)
            else:
                self._away = False
                return allowed
        return self._here.hit(item, _STRATEGY, key_id)

    def _may_ask_redis(self) -> bool:
        """Always while Redis answers; while it is away, one request every few seconds finds out for all."""
        if not self._away:
            return True
        now = time.monotonic()
        if now < self._next_try:
            return False
        self._next_try = now + _REST
        return True


def _redis(url: str) -> RedisStorage:
    pool = redis.ConnectionPool.from_url(
        url,
        socket_timeout=_SOCKET_TIMEOUT,
        socket_connect_timeout=_SOCKET_TIMEOUT,
        retry=Retry(NoBackoff(), 0),
    )
    return RedisStorage(url, connection_pool=pool)
