"""Whether a process may start: it stays away from what is unsafe, and starts without what it can do without."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from typing import Literal

import structlog

from core.environment import WrongSettings
from core.persistence.key_sources import KeySource, KeyUnavailable, open_source
from core.settings import Settings, load_settings
from core.startup import addresses, servers
from core.startup.remark import Remark, known

log = structlog.get_logger(__name__)

Role = Literal["api", "worker", "beat"]

#: While Postgres is away it is asked again this often, in seconds.
AGAIN = 5.0
_FALSE = ("", "0", "false", "no")


class UnsafeStart(Exception):
    """The text says for each reason what is found and what to do, and holds no secret."""


def settings_or_exit() -> Settings:
    """The settings of this process. Where they are wrong it ends with a sentence and exit code 1."""
    try:
        return load_settings()
    except WrongSettings as error:
        raise SystemExit(f"tollgate: {error}") from None


def check_or_exit(settings: Settings, role: Role, *, forks: bool = False) -> None:
    """`check_start` for a process of its own: refused, it ends with a sentence and exit code 1."""
    try:
        check_start(settings, role, forks=forks)
    except UnsafeStart as error:
        raise SystemExit(f"tollgate: {error}") from None


def remarks(settings: Settings, role: Role) -> list[Remark]:
    """All there is to say about a start as `role`, for a person who asks. That Postgres is away is one of them."""
    found = list(_settled(settings, role))
    if role != "beat":
        try:
            found += servers.postgres(settings.database_url, role, _source(settings))
        except servers.Away as error:
            found.append(_away(error))
    return found


def check_start(settings: Settings, role: Role, *, forks: bool = False) -> None:
    """Look at settings, Redis and Postgres; what is no reason to stay away is logged.

    Postgres may be away: the process starts and is asked to end as soon as the server is back and unfit; one that
    `forks` leaves that to its children, since a thread does not go through a fork. Takes at most some seconds.
    Raises UnsafeStart.
    """
    _judge(_settled(settings, role), role)
    if role == "beat":
        return
    try:
        _judge(servers.postgres(settings.database_url, role, _source(settings)), role)
    except servers.Away as error:
        log.warning("start_remark", component=role, reason=_away(error).text)
        if forks:
            return
        threading.Thread(target=_ask_later, args=(settings, role), name="start-check", daemon=True).start()


def _away(error: servers.Away) -> Remark:
    return known(f"DATABASE_URL: Postgres is away ({error}); it is asked again until it answers")


def _settled(settings: Settings, role: Role) -> Iterator[Remark]:
    """All that can be said without Postgres."""
    if role != "beat":
        yield from _keys(settings)
    yield from addresses.look(settings)
    if role == "api" and os.environ.get("FLASK_DEBUG", "").lower() not in _FALSE:
        yield Remark("FLASK_DEBUG is on: errors would show what they should not; unset it")
    if settings.log_level == "DEBUG":
        yield known("TOLLGATE_LOG_LEVEL is DEBUG: libraries write much more, and slow everything down")
    if settings.allow_private_webhook_targets and not settings.sandbox:
        yield known("TOLLGATE_ALLOW_PRIVATE_WEBHOOK_TARGETS is on: merchants' endpoints may lie in your own network")
    # One address under both names is asked once.
    for url, name in {settings.broker_url: "BROKER_URL", settings.redis_url: "REDIS_URL"}.items():
        if url.startswith(("redis://", "rediss://")):
            yield from servers.eviction(name, url)


def _keys(settings: Settings) -> Iterator[Remark]:
    if settings.key_file is None and settings.keys is None:
        yield Remark("TOLLGATE_KEY_FILE is not set: `tollgate keys make-file PATH` makes the file of the sealing keys")
        return
    try:
        open_source(settings.key_file, settings.keys)
    except KeyUnavailable as error:
        yield Remark(f"{'TOLLGATE_KEY_FILE' if settings.key_file else 'TOLLGATE_KEYS'}: {error}")


def _source(settings: Settings) -> KeySource | None:
    """None where they cannot be had, which is told already."""
    try:
        return open_source(settings.key_file, settings.keys)
    except KeyUnavailable:
        return None


def _judge(remarks: Iterator[Remark], role: Role) -> None:
    found = list(remarks)
    for remark in found:
        if not remark.refuses:
            log.warning("start_remark", component=role, reason=remark.text)
    refusals = [remark.text for remark in found if remark.refuses]
    if refusals:
        raise UnsafeStart("this start is not safe:\n  " + "\n  ".join(refusals))


def _ask_later(settings: Settings, role: Literal["api", "worker"]) -> None:
    pause = threading.Event()
    while not pause.wait(AGAIN):
        try:
            _judge(servers.postgres(settings.database_url, role, _source(settings)), role)
        except servers.Away:
            continue
        except UnsafeStart as error:
            log.error("unsafe_start", component=role, reason=str(error))
            # Whoever watches over the process starts it again, and that start is refused with the same words.
            os.kill(os.getpid(), signal.SIGTERM)
        return
