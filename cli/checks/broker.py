"""Redis: reached, never dropping what it holds, encrypted over a network."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from cli.checks.finding import Finding, Situation, failed, ok, skipped, warning

SLOWER = "Payments still end without it, a little later."


def check(situation: Situation) -> Iterator[Finding]:
    url = situation.target.redis_url if situation.target else situation.environ.get("REDIS_URL", "")
    if not url:
        yield skipped("Redis", situation.why or "REDIS_URL is not set")
        return
    try:
        yield from _look(url)
    except (redis.RedisError, ValueError, OSError) as error:
        yield failed("Redis", str(error), f"check that it runs and REDIS_URL is right. {SLOWER}")
    yield _encryption(url)


def _look(url: str) -> Iterator[Finding]:
    client = redis.Redis.from_url(url, socket_timeout=5, retry=Retry(NoBackoff(), 0), decode_responses=True)
    try:
        client.ping()
        yield ok("Redis", f"version {client.info('server')['redis_version']}")
        yield _policy(client)
    finally:
        client.close()


def _policy(client: redis.Redis) -> Finding:
    try:
        policy = client.info("memory").get("maxmemory_policy", "noeviction")
    except redis.ResponseError:
        return warning("Redis eviction", "it does not tell", "make sure that maxmemory-policy is noeviction")
    if policy != "noeviction":
        advice = "set maxmemory-policy to noeviction: a full broker must say so instead of dropping messages"
        return failed("Redis eviction", f"maxmemory-policy is {policy}", advice)
    return ok("Redis eviction", policy)


def _encryption(url: str) -> Finding:
    parts = urlsplit(url)
    if parts.hostname in ("127.0.0.1", "::1", "localhost") or parts.scheme in ("rediss", "unix"):
        return ok("Redis encryption", "on this machine" if parts.scheme != "rediss" else "rediss")
    return warning("Redis encryption", "none over the network", "use a rediss:// address")
