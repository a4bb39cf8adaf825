"""What a worker counts, shown as 0 from its start: of a count that appears as 1 nobody sees that it rose."""

from __future__ import annotations

from core import metrics
from core.orchestration import health
from core.orchestration.breaker import State
from core.providers.registry import PROVIDERS


def begin() -> None:
    """Those that alerts ask about; lanes, kinds of jobs and the schedule are begun where they are known."""
    metrics.begin(metrics.BREAKERS, health.OPERATIONS, [one.value for one in State])
    metrics.begin(metrics.CALLS, PROVIDERS, health.OPERATIONS, ("Unknown", "NotExecuted"))
    metrics.begin(metrics.DELIVERIES, ("delivered", "failed", "refused"))
