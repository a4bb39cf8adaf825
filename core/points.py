"""The points of the roads between which a process may die; tests make it die there, and nothing else does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

#: Every point in the order of its road, and what has happened by then. A test holds each place that reaches one to
#: this table, and the crash tests to all of it.
POINTS: Mapping[str, str] = {
    # A request, in the API.
    "accept.written": "the rows are written, their commit is not sent",
    "accept.committed": "committed; no worker knows of it",
    "accept.hinted": "the workers are hinted; the caller has no answer",
    # Any job, in a worker.
    "job.claimed": "claimed; nothing of it is begun",
    "job.announcing": "what is to be sent is written, its commit is not sent",
    "job.announced": "committed; nothing is sent",
    "call.sending": "place and pace are granted; the next step is the call",
    "call.answered": "the provider has acted and answered; nothing of it is written",
    "job.settling": "the outcome is written, its commit is not sent",
    "job.settled": "committed; no worker knows what follows from it",
    # A provider's event, in the API and then in a worker.
    "inbox.verified": "the signature is good; nothing is stored",
    "inbox.stored": "committed; no worker knows of it",
    "inbox.hinted": "the workers are hinted; the provider has no answer",
    "inbox.applying": "the news is written, its commit is not sent",
    "inbox.applied": "committed; no worker knows what follows from it",
    # An event to a merchant, in a worker.
    "delivery.prepared": "signed; nothing is sent",
    "delivery.posted": "the endpoint has answered; nothing of it is written",
    "delivery.recording": "the attempt is written, its commit is not sent",
    "delivery.recorded": "committed",
    # A seal over the audit log, by the clock.
    "seal.written": "the seal is written, its commit is not sent",
    "seal.committed": "committed; its head is not anchored",
    "seal.anchored": "anchored outside Postgres",
}

#: Set by a test alone: takes the point and the kind of the job, and may end the process.
hook: Callable[[str, str], None] | None = None


def reached(point: str, kind: str = "") -> None:
    """Here the process may die. Costs a comparison, and nothing is behind it unless a test has set `hook`."""
    if hook is not None:
        hook(point, kind)


@dataclass(frozen=True, slots=True)
class Commit:
    """The points around one commit, for each kind of job that it is about. `hinted` where workers are told after it."""

    written: str
    committed: str
    kinds: tuple[str, ...]
    hinted: str | None = None

    def reached(self, point: str | None) -> None:
        if hook is not None and point is not None:
            for kind in self.kinds:
                reached(point, kind)


def accepting(kind: str) -> Commit:
    return Commit("accept.written", "accept.committed", (kind,), "accept.hinted")


def announcing(*kinds: str) -> Commit:
    return Commit("job.announcing", "job.announced", kinds)


def settling(*kinds: str) -> Commit:
    return Commit("job.settling", "job.settled", kinds)


#: A provider's event is applied.
APPLYING = Commit("inbox.applying", "inbox.applied", ("process_webhook",))
#: An attempt at a delivery is recorded.
RECORDING = Commit("delivery.recording", "delivery.recorded", ("deliver_event",))
