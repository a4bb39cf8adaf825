"""Redis and, where it is another, the broker: reached, and never dropping what they hold."""

from __future__ import annotations

from collections.abc import Iterator

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from cli.checks.finding import Finding, Situation, failed, ok, skipped, warning
from core.environment import WrongSettings
from core.settings import Settings
from core.startup.servers import eviction_policy, reason

SLOWER = "Payments still end without it, a little later."


def check(situation: Situation) -> Iterator[Finding]:
    known = situation.target.redis_url if situation.target else situation.environ.get("REDIS_URL", "")
    broker = situation.environ.get("BROKER_URL", "")
    if not known:
        yield skipped("Redis", situation.why or "REDIS_URL is not set")
    if not known and not broker:
        return
    try:
        settings = situation.settings()
    except WrongSettings:  # told by the check of the settings
        if known:
            yield from _redis(known)
        return
    if known:
        yield from _redis(settings.redis_url)
    if broker and settings.broker_url != settings.redis_url:
        yield _broker(settings)


def _redis(url: str) -> Iterator[Finding]:
    try:
        yield from _look(url)
    except (redis.RedisError, ValueError, OSError) as error:
        yield failed("Redis", reason(error), f"check that it runs and REDIS_URL is right. {SLOWER}")


def _look(url: str) -> Iterator[Finding]:
    client = redis.Redis.from_url(url, socket_timeout=5, retry=Retry(NoBackoff(), 0), decode_responses=True)
    with client:
        client.ping()
        yield ok("Redis", f"version {client.info('server')['redis_version']}")
    policy = eviction_policy(url)
    if policy is None:
        yield warning("Redis eviction", "it does not tell", "make sure that maxmemory-policy is noeviction")
    elif policy != "noeviction":
        advice = "set maxmemory-policy to noeviction: a full broker must say so instead of dropping messages"
        yield failed("Redis eviction", f"maxmemory-policy is {policy}", advice)
    else:
        yield ok("Redis eviction", policy)


def _broker(settings: Settings) -> Finding:
    from workers.configuration import make_app  # imported when it is needed: Celery takes a while

    connection = make_app(settings).connection_for_write()
    try:
        connection.connect()
    except Exception as error:  # noqa: BLE001 - whatever the broker's client raises
        return failed("Broker", reason(error), f"check that it runs and BROKER_URL is right. {SLOWER}")
    else:
        return ok("Broker", f"{connection.transport.driver_type} answers")
    finally:
        connection.release()
