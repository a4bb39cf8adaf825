"""What is under way to each outside party is bounded, so that one that freezes cannot hold the places of the others."""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import UUID

import structlog

from core.domain.identifiers import public_id
from core.orchestration.context import Core
from core.orchestration.jobs import Job
from core.orchestration.provider_manager import OpenedAccount

log = structlog.get_logger(__name__)

#: One party may hold twice what is free, its group five times: the first gets two thirds of the places and never
#: more, its whole group five sixths; of N frozen parties each holds 2 in 2 N + 1, so there is always a place left.
#: The rule is Choudhury and Hahne's dynamic threshold for shared buffers (IEEE/ACM Transactions on Networking 6, 1998).
PARTY_SHARE, GROUP_SHARE = 2, 5
#: A party that gave a place back within so many seconds is only busy: then a place is waited for, so long at most.
#: Putting work back costs more than all the rest of it, and under load would eat what the load needs.
FLOWS, PATIENCE = 1.0, 1.0
#: Who finds no place comes back no sooner than this, and later the longer the party has been full.
SOONEST = 0.25
#: Of the time a party has been full, this much is waited before the next try.
OF_FULL = 0.25
#: Nobody is sent away for longer, which is a call's usual deadline: a party that thaws is noticed within this.
LATEST = 30.0
#: Those who come back are spread, at most so many a second a party; each costs a claim and two commits. A party
#: whose places are given back faster than this is only busy, and its work comes back as fast as it frees them.
RETURNS = 20.0
#: Seconds over which the giving back is counted.
_WINDOW = 10.0
#: Seconds between two warnings about the same party.
_WARN_EVERY = 30.0
#: Parties that are remembered before those without anything under way are dropped.
_REMEMBERED = 1000


@dataclass(slots=True)
class _Party:
    held: int = 0
    full_since: float = 0.0
    next_return: float = 0.0
    warned_at: float = float("-inf")
    ended: deque[float] = field(default_factory=lambda: deque(maxlen=1000))
    waiting: int = 0
    given_back: threading.Condition | None = None


class Places:
    """The places of one lane in this process, shared out to parties (an account, an endpoint) and their groups."""

    def __init__(self, kind: str, field: str) -> None:
        """`kind` of the parties' public ids, and the `field` of the log that names them."""
        self._kind, self._field = kind, field
        self._lock = threading.Lock()
        self._parties: dict[UUID, _Party] = {}
        self._groups: dict[str, int] = {}
        self._taken = 0

    @contextmanager
    def place(self, party: UUID, group: str, *, places: int, most: int) -> Iterator[float]:
        """Gives 0 with a place held until the end of the block, else the seconds after which to come back.

        `places` are those of the lane, `most` what one party may hold of them whatever is free.
        """
        pause = self._take(party, group, places, most)
        try:
            yield pause
        finally:
            if not pause:
                self._give_back(party, group)

    def held(self, party: UUID) -> int:
        with self._lock:
            found = self._parties.get(party)
            return 0 if found is None else found.held

    def _take(self, party: UUID, group: str, places: int, most: int) -> float:
        now = time.monotonic()

        def has_room() -> bool:
            free = max(0, places - self._taken)
            grouped = self._groups.get(group, 0)
            return found.held < min(most, PARTY_SHARE * free) and grouped < GROUP_SHARE * free

        with self._lock:
            found = self._party(party, now)
            flows = bool(found.ended) and found.ended[-1] > now - FLOWS
            if has_room() or (flows and self._wait_for(found, has_room)):
                found.held += 1
                self._groups[group] = self._groups.get(group, 0) + 1
                self._taken += 1
                return 0.0
            pause = _pause(found, now)
            warn = now - found.warned_at > _WARN_EVERY
            if warn:
                found.warned_at = now
            held = found.held
        if warn:
            log.warning("no_place", count=held, delay=round(pause, 2), **{self._field: public_id(self._kind, party)})
        return pause

    def _wait_for(self, party: _Party, has_room: Callable[[], bool]) -> bool:
        """Who waits keeps its thread, so that no more is claimed than will soon find a place.

        Only what its own party gives back wakes it; room that another makes is seen when its patience ends.
        """
        if party.given_back is None:
            party.given_back = threading.Condition(self._lock)
        party.waiting += 1
        try:
            return party.given_back.wait_for(has_room, PATIENCE)
        finally:
            party.waiting -= 1

    def _give_back(self, party: UUID, group: str) -> None:
        now = time.monotonic()
        with self._lock:
            found = self._parties[party]
            found.held -= 1
            found.ended.append(now)
            self._taken -= 1
            if found.given_back is not None:
                found.given_back.notify()
            self._groups[group] -= 1
            if not self._groups[group]:
                del self._groups[group]

    def _party(self, party: UUID, now: float) -> _Party:
        if len(self._parties) > _REMEMBERED:
            self._parties = {
                key: one
                for key, one in self._parties.items()
                if one.held or one.waiting or one.next_return > now or key == party
            }
        return self._parties.setdefault(party, _Party())


def _pause(party: _Party, now: float) -> float:
    """In turn behind those sent away before, so that thousands do not come back at once again and again."""
    if party.next_return < now:  # all of them have been back since
        party.full_since = now
    while party.ended and party.ended[0] < now - _WINDOW:
        party.ended.popleft()
    ending = len(party.ended) / _WINDOW
    full_for = now - party.full_since if ending < RETURNS else 0.0
    in_turn = party.next_return + 1.0 / max(RETURNS, ending)
    party.next_return = min(max(in_turn, now + SOONEST + OF_FULL * full_for), now + LATEST)
    # Spread also where the turn says the same for all.
    return (party.next_return - now) * random.uniform(0.8, 1.0)  # noqa: S311 - spreads load, hides nothing


#: One a process and lane.
CALLS = Places("provider_account", "account_id")
DELIVERIES = Places("webhook_endpoint", "endpoint_id")


@contextmanager
def call(core: Core, account: OpenedAccount) -> Iterator[float]:
    """A place for one provider call; the group is the provider, which may freeze for all of its accounts at once."""
    settings = core.settings
    places, most = settings.executor_threads, settings.calls_per_account
    with CALLS.place(account.account_id, account.provider.name, places=places, most=most) as pause:
        yield pause


@contextmanager
def delivery(core: Core, job: Job) -> Iterator[float]:
    """A place for one delivery to a merchant's endpoint; the group is the merchant with all of its endpoints."""
    settings = core.settings
    places, most = settings.delivery_threads, settings.deliveries_per_endpoint
    endpoint = job.endpoint_id or job.id
    with DELIVERIES.place(endpoint, str(job.scope.merchant_id), places=places, most=most) as pause:
        yield pause
