"""The circuit breaker of one operation at one account: pure steps from state to state, with the time handed in.

Nothing here waits, locks or calls; `health.py` keeps the breakers, and no lock is held while a provider is called.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING
from uuid import UUID

from core.domain.outcomes import NotExecutedReason

if TYPE_CHECKING:
    from core.orchestration.context import Core
    from core.orchestration.provider_manager import OpenedAccount


class State(StrEnum):
    CLOSED = "closed"  # calls go
    OPEN = "open"  # none goes until its time is over
    HALF_OPEN = "half_open"  # one probe at a time; once one went well, a small share as well


@dataclass(frozen=True, slots=True)
class Counts:
    """Calls that ended within a window, by whether the provider answered."""

    answered: int = 0
    failed: int = 0

    @property
    def calls(self) -> int:
        return self.answered + self.failed


@dataclass(frozen=True, slots=True)
class Trip:
    """What opens a breaker: at least `calls` within a window, of which a `share` or more failed."""

    calls: int
    share: float


#: Seconds of a window -> what in it opens the breaker.
TRIPS: Mapping[int, Trip] = {
    # Under load half of everything failing shows within seconds; fewer than 20 calls may be bad luck.
    60: Trip(20, 0.5),
    # An account with a call a minute has only this: ten of them, and hardly one answered.
    600: Trip(10, 0.9),
}

#: Seconds an open breaker waits for its first probe: a restart at the provider takes about as long.
FIRST_WAIT = 5.0
#: Each probe that fails doubles the wait, up to this: recovery is noticed within a minute.
LONGEST_WAIT = 60.0
#: Questions move no money, and what they find out ends doubt: they are let through again this soon, every time.
QUESTION_WAIT = 2.0
#: Seconds after which those behind a half-open breaker come back.
COME_BACK = 1.0
#: Calls answered since it is half open -> share of payments let through; a provider that has just come back is not
#: met by everything that waited for it.
RECOVERY: Mapping[int, float] = {1: 0.1, 3: 0.25, 6: 0.5}
#: Calls answered in a row that close it.
ENOUGH = 10
#: A breaker with little to do closes after so many seconds of answers without a failure.
LONG_ENOUGH = 20.0
#: What only asks; everything else may change something at the provider.
QUESTIONS = frozenset(
    {"look_up", "list_refunds", "read_dispute", "list_changes", "list_charges", "list_statement", "identify"}
)


@dataclass(frozen=True, slots=True)
class Breaker:
    """`since` and `until` in seconds of the clock that is handed in. `opens` in a row; `good` answers since half open.

    `version` counts every step, so that of two processes that step at the same time one wins.
    """

    state: State = State.CLOSED
    since: float = 0.0
    until: float = 0.0
    opens: int = 0
    good: int = 0
    version: int = 0


def seen_at(breaker: Breaker, now: float) -> Breaker:
    """The breaker as time alone has left it."""
    if breaker.state is State.OPEN and now >= breaker.until:
        return _step(breaker, State.HALF_OPEN, now, good=0)
    if breaker.state is State.HALF_OPEN and breaker.good and now - breaker.since >= LONG_ENOUGH:
        return _step(breaker, State.CLOSED, now, opens=0, good=0)
    return breaker


def answered(breaker: Breaker, now: float) -> Breaker:
    """After a call that the provider answered, whatever it said."""
    if breaker.state is not State.HALF_OPEN:
        return breaker  # what was sent before it opened says nothing about now
    if breaker.good + 1 >= ENOUGH:
        return _step(breaker, State.CLOSED, now, opens=0, good=0)
    return replace(breaker, good=breaker.good + 1, version=breaker.version + 1)


def failed(breaker: Breaker, windows: Mapping[int, Counts], operation: str, now: float) -> Breaker:
    """After a call without an answer; `windows` hold it already, by their length in seconds."""
    if breaker.state is State.OPEN or (breaker.state is State.CLOSED and not tripped(windows)):
        return breaker
    opens = breaker.opens + 1
    return _step(breaker, State.OPEN, now, opens=opens, good=0, until=now + _wait(operation, opens))


def tripped(windows: Mapping[int, Counts]) -> bool:
    return any(
        windows[seconds].calls >= trip.calls and windows[seconds].failed >= trip.share * windows[seconds].calls
        for seconds, trip in TRIPS.items()
        if seconds in windows
    )


def heard(breaker: Breaker) -> Breaker:
    """After a question to the same account was answered: it lives, so a probe need not wait longer than the first."""
    soonest = breaker.since + FIRST_WAIT
    if breaker.state is not State.OPEN or breaker.until <= soonest:
        return breaker
    return replace(breaker, until=soonest, version=breaker.version + 1)


def waits(breaker: Breaker, payment: UUID, now: float) -> float | None:
    """Seconds until the call of a payment may try; 0 lets it go, None lets it go as the only probe.

    Which payments are the share is told by their ids: one that is let through stays let through.
    """
    if breaker.state is State.CLOSED:
        return 0.0
    if breaker.state is State.OPEN:
        return max(breaker.until - now, 0.1)
    share = max((part for good, part in RECOVERY.items() if breaker.good >= good), default=0.0)
    # The end of an id is random; its beginning is the time.
    return 0.0 if payment.int % 1000 < share * 1000 else None


def _wait(operation: str, opens: int) -> float:
    return QUESTION_WAIT if operation in QUESTIONS else min(FIRST_WAIT * 2.0 ** min(opens - 1, 10), LONGEST_WAIT)


def _step(breaker: Breaker, state: State, now: float, **changes: float) -> Breaker:
    return replace(breaker, state=state, since=now, version=breaker.version + 1, **changes)  # type: ignore[arg-type]


class KeptBack(float):
    """Seconds until a call that was not made may be tried; `reason` says on whose behalf it was kept back."""

    reason: NotExecutedReason

    def __new__(cls, seconds: float, reason: NotExecutedReason) -> KeptBack:
        made = super().__new__(cls, seconds)
        made.reason = reason
        return made


@dataclass(slots=True)
class Permit:
    """Leave to make one call, after `wait` seconds. `end` gives an unused probe back; it may be called twice."""

    wait: float = 0.0
    give_back: Callable[[], None] | None = None

    def end(self) -> None:
        if self.give_back is not None:
            self.give_back()
            self.give_back = None


def permit(core: Core, account: OpenedAccount, operation: str, payment: UUID) -> Permit | KeptBack:
    """May the call be made? Asks this process's memory; Redis only for the one probe of a half-open breaker."""
    return core.health.permit(core, account, operation, payment)
