"""What a worker is handed beside the roads of payments: the job that compares books."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from core.orchestration.context import Core
from core.orchestration.jobs import Job
from core.reconciliation import missed_events, runs, statements, two_way
from core.reconciliation.runs import Comparison

COMPARISONS: Mapping[str, Comparison] = {
    "missed_events": missed_events.read_slice,
    "two_way": two_way.read_slice,
    "statement": statements.read_slice,
}


def reconcile(core: Core, job: Job) -> None:
    runs.carry_out(core, job, COMPARISONS)


HANDLERS: Mapping[str, Callable[[Core, Job], None]] = {"reconcile": reconcile}
