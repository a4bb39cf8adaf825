"""The one door to a provider: a place among the calls in flight, a moment of the account's pace, then the call."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import structlog

from core import points
from core.domain.outcomes import Unknown
from core.orchestration import in_flight, pacing, provider_manager
from core.orchestration.context import Core
from core.orchestration.jobs import Job, LeaseLost
from core.orchestration.provider_manager import OpenedAccount

log = structlog.get_logger()

Answer = TypeVar("Answer")


def ask(
    core: Core,
    job: Job,
    account: OpenedAccount,
    operation: str,
    call: Callable[[], Answer],
    announced: float | None = None,
) -> Answer | float:
    """What `call` returns; or seconds, when its turn is too far away to wait for.

    No transaction may be open here. `announced` is the monotonic clock's time, in seconds, at which the call was
    committed to; now unless it is given. Raises LeaseLost.
    """
    announced = time.monotonic() if announced is None else announced
    with in_flight.call(core, account) as kept_back:
        if kept_back:
            return float(kept_back)
        wait = provider_manager.pause(core, job.scope, account, operation)
        if wait > pacing.MAX_PAUSE:
            return float(wait)
        if wait > 0:
            time.sleep(wait)
        # A worker that slept through its lease must not send: another one may be at it.
        if time.monotonic() - announced > core.settings.lease:
            raise LeaseLost(str(job.id))
        points.reached("call.sending", job.kind)
        answer = _timed(account, operation, call)
        points.reached("call.answered", job.kind)
        return answer


def _timed(account: OpenedAccount, operation: str, call: Callable[[], Answer]) -> Answer:
    started = time.monotonic()
    answer = call()
    log.info(
        "provider_call",
        provider=account.provider.name,
        operation=operation,
        outcome=type(answer).__name__,
        duration_ms=round((time.monotonic() - started) * 1000),
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
