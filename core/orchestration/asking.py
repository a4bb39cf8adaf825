"""The one door to a provider: a place among the calls in flight, the breaker's leave, a moment of pace, the call."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID

import structlog

from core import metrics, points
from core.domain.outcomes import Unknown
from core.orchestration import breaker, health, in_flight, pacing, provider_manager
from core.orchestration.context import Core
from core.orchestration.jobs import Job, LeaseLost
from core.orchestration.provider_manager import OpenedAccount
from core.providers import paging

log = structlog.get_logger()

Answer = TypeVar("Answer")

#: Goes on while the machine is suspended, where the system has such a clock: a worker that slept so has slept.
_AGING = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
#: Seconds that a further page of a list waits for its turn at the longest.
_PAGE_WAITS = 30.0


@dataclass(slots=True)
class Took:
    """How long the call itself took; None while there was none."""

    ms: int | None = None


def _itself(answer: object) -> object:
    return answer


@contextmanager
def turn(core: Core, account: OpenedAccount, operation: str, whose: UUID) -> Iterator[float]:
    """Gives 0 once the call may be made, with its place held until the end of the block; else the seconds after which
    to come back, a `breaker.KeptBack` where the breaker is open or the provider has asked to wait.

    `whose` call it is tells which share a half-open breaker puts it to. No transaction may be open here.
    """
    with in_flight.call(core, account) as kept_back:
        if kept_back:
            yield float(kept_back)
            return
        permit = breaker.permit(core, account, operation, whose)
        if isinstance(permit, float):
            yield permit
            return
        try:
            wait = max(permit.wait, provider_manager.pause(core, account.scope, account, operation))
            if wait > pacing.MAX_PAUSE:
                yield float(wait)
                return
            if wait > 0:
                time.sleep(wait)
            yield 0.0
        finally:
            permit.end()


def ask(
    core: Core,
    job: Job,
    account: OpenedAccount,
    operation: str,
    call: Callable[[], Answer],
    announced: float | None = None,
    took: Took | None = None,
) -> Answer | float:
    """What `call` returns; or seconds, when its turn is too far away to wait for (see `turn`).

    No transaction may be open here, and no lock is held while the provider is called. `announced` is the `moment`
    before the commit that allowed the call; now unless it is given. `took` is filled in. Raises LeaseLost.
    """
    announced = moment() if announced is None else announced
    with turn(core, account, operation, job.payment_id or job.id) as wait:
        if wait:
            return wait
        # A worker that slept through its lease must not send: another one may be at it.
        if moment() - announced > core.settings.lease:
            raise LeaseLost(str(job.id))
        points.reached("call.sending", job.kind)
        with paging.through(_paced_pages(core, account, operation)):
            answer = timed(core, account, operation, call, took)
        points.reached("call.answered", job.kind)
        return answer


def _paced_pages(core: Core, account: OpenedAccount, operation: str) -> paging.Door:
    """For a call that walks a list: its first page has the call's own turn, each further one waits for the next."""
    first = True

    def door(fetch: Callable[[], paging.Page[Answer]]) -> paging.Page[Answer]:
        nonlocal first
        wait = 0.0 if first else provider_manager.pause(core, account.scope, account, operation)
        first = False
        until = time.monotonic() + _PAGE_WAITS
        while wait > pacing.MAX_PAUSE and time.monotonic() < until:  # nothing is reserved for so far ahead
            time.sleep(pacing.MAX_PAUSE)
            wait = provider_manager.pause(core, account.scope, account, operation)
        time.sleep(min(wait, pacing.MAX_PAUSE))
        return fetch()

    return door


def moment() -> float:
    """Seconds that only their differences mean: how old an announcement is."""
    return time.clock_gettime(_AGING)


def timed(
    core: Core,
    account: OpenedAccount,
    operation: str,
    call: Callable[[], Answer],
    took: Took | None = None,
    outcome_of: Callable[[Answer], object] = _itself,
) -> Answer:
    """The answer of a call whose turn it is; its outcome, as `outcome_of` reads it, is counted and observed."""
    started = time.monotonic()
    answer = call()
    ms = round((time.monotonic() - started) * 1000)
    seen = outcome_of(answer)
    health.observe(core, account, operation, seen, ms)
    if took is not None:
        took.ms = ms
    provider, outcome = account.provider.name, type(seen).__name__
    metrics.CALLS.labels(provider, operation, outcome).inc()
    metrics.CALL_SECONDS.labels(provider, operation).observe(ms / 1000)
    log.info(
        "provider_call",
        provider=provider,
        operation=operation,
        outcome=outcome,
        duration_ms=ms,
    )
    return answer


def guarded(call: Callable[[], Answer]) -> Callable[[], Answer | Unknown]:
    """For a call that may change something: our client's own failure says nothing about what has arrived."""

    def guard() -> Answer | Unknown:
        try:
            return call()
        except Exception as error:
            log.exception("provider_client_failed")
            return Unknown({"exception": type(error).__name__})

    return guard
