"""Outcomes that come in while others are being committed are settled together, in one transaction a merchant.

The commit and the trips of one serve all of them. Nothing waits for company: an outcome that comes alone is settled
at once, and where anything goes wrong each is settled by itself, as if there had been no others.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue

import structlog

from core import points
from core.domain.outcomes import LookUp
from core.orchestration import settle
from core.orchestration.context import Core
from core.orchestration.jobs import Job
from core.orchestration.steps import Ask, Send, Step
from core.persistence.database import Scope
from core.persistence.queries import payments as rows

log = structlog.get_logger(__name__)

#: Outcomes in one transaction: more gain little, and hold their locks for longer.
MOST = 20
#: Seconds for which a lock is waited for together; whoever holds it must not keep the others waiting for long.
_LOCK_TIMEOUT = 0.3
#: Seconds until somebody who waits settles by himself. Should the other way be done after all, the fence tells.
_PATIENCE = 15.0


class Alone(Exception):
    """It could not be settled with others: it is to be settled by itself."""


@dataclass(slots=True)
class _Outcome:
    core: Core
    job: Job
    step: Send | Ask
    result: LookUp
    settled: Future[Step | None] = field(default_factory=Future)


class Together:
    """One a process, with a thread of its own that is started when it is first needed."""

    def __init__(self) -> None:
        self._waiting: SimpleQueue[_Outcome] = SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def settle(self, core: Core, job: Job, step: Send | Ask, result: LookUp) -> Step | None:
        """The next step of the job, as `settle.settle` returns it. Raises Alone, LeaseLost."""
        self._ensure_thread()
        outcome = _Outcome(core, job, step, result)
        self._waiting.put(outcome)
        try:
            return outcome.settled.result(_PATIENCE)
        except TimeoutError:
            raise Alone from None

    def _ensure_thread(self) -> None:
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="settle", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                found = self._next()
                for scope in {one.job.scope for one in found}:
                    _settle_together(scope, [one for one in found if one.job.scope == scope])
            except Exception:  # the thread must outlive a mistake in one outcome; who waits for it goes on alone
                log.exception("settling_failed")

    def _next(self) -> list[_Outcome]:
        """What waits, at least one, with each payment once: a second outcome has to see what the first has changed."""
        found = {(first := self._waiting.get()).job.payment: first}
        again = []
        while len(found) < MOST:
            try:
                one = self._waiting.get_nowait()
            except Empty:
                break
            if found.setdefault(one.job.payment, one) is not one:
                again.append(one)
        for one in again:
            self._waiting.put(one)
        return list(found.values())


def _settle_together(scope: Scope, outcomes: Sequence[_Outcome]) -> None:
    """Answers every outcome, whatever happens."""
    core = outcomes[0].core
    steps: dict[int, Step | None] = {}
    try:
        commit = points.settling(*(one.job.kind for one in outcomes))
        with core.transaction(scope, _LOCK_TIMEOUT, commit) as connection:
            wanted = [(one.job.payment, one.step.transaction_id, one.job.id, one.job.fence) for one in outcomes]
            found = rows.lock_to_settle(connection, scope, wanted)
            for number, one in enumerate(outcomes):
                steps[number] = settle.settle_locked(core, connection, one.job, one.step, one.result, found[one.job.id])
    except Exception as error:  # noqa: BLE001 - nothing is written, and each meets its own trouble alone
        if len(outcomes) > 1:
            log.warning("settled_alone", count=len(outcomes), error_type=type(error).__name__)
        for one in outcomes:
            one.settled.set_exception(Alone())
        return
    for number, one in enumerate(outcomes):
        one.settled.set_result(steps[number])
