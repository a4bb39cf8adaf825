"""What processes count, for Prometheus: one literal list. No label names a merchant, a person, a row or an address.

Each process counts for itself; those that share PROMETHEUS_MULTIPROC_DIR are read together. What Postgres knows is
counted there when it is asked for: `core.orchestration.figures`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from itertools import product
from pathlib import Path

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

#: Where processes that are read together keep what they count; the library's own name.
SHARED = "PROMETHEUS_MULTIPROC_DIR"
#: Seconds: from an answer out of memory to the longest `?wait=`.
_BUCKETS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

# The gate.
REQUESTS = Counter("tollgate_requests_total", "Requests answered.", ["method", "route", "status"])
SECONDS = Histogram("tollgate_request_seconds", "Time to answer.", ["method", "route"], buckets=_BUCKETS)
PROBLEMS = Counter("tollgate_problems_total", "Answers that were problems, by code.", ["code"])
#: `outcome`: stored, duplicate, forged, unknown (no such address).
WEBHOOKS = Counter("tollgate_webhooks_total", "Providers' events that came in.", ["provider", "outcome"])
HINTS_DROPPED = Counter("tollgate_hints_dropped_total", "Jobs no worker was told of: polling finds them.")

# Workers.
#: `outcome`: as in the log line `provider_call`.
CALLS = Counter("tollgate_provider_calls_total", "Calls to providers.", ["provider", "operation", "outcome"])
CALL_SECONDS = Histogram(
    "tollgate_provider_call_seconds", "Time a provider took.", ["provider", "operation"], buckets=_BUCKETS
)
BREAKERS = Counter("tollgate_breaker_steps_total", "Steps of breakers.", ["operation", "state"])
#: `outcome`: applied, ignored, parked.
EVENTS_READ = Counter("tollgate_inbox_events_read_total", "Providers' events that were read.", ["provider", "outcome"])
#: `outcome`: as in the log line `delivery`.
DELIVERIES = Counter("tollgate_deliveries_total", "Attempts to deliver an event to a merchant.", ["outcome"])
CLAIMED = Counter("tollgate_jobs_claimed_total", "Jobs that a worker took.", ["lane"])
TAKEN_OVER = Counter("tollgate_jobs_taken_over_total", "Jobs taken over from a worker that died.", ["lane"])
CRASHED = Counter("tollgate_jobs_crashed_total", "Jobs in which our code failed.", ["kind"])
LEASES_LOST = Counter("tollgate_leases_lost_total", "Jobs that a worker lost to another while it was at them.")
#: `asked_by`: beat, or worker while beat is silent. `outcome`: done, failed.
SCHEDULED = Counter("tollgate_scheduled_runs_total", "Runs of the schedule.", ["schedule", "asked_by", "outcome"])
OUTAGES = Counter("tollgate_database_outages_total", "Times a worker found Postgres away.")

# Both: of the processes that live.
POOL_SIZE = Gauge(
    "tollgate_pool_connections", "Connections to Postgres that may be open.", ["pool"], multiprocess_mode="livesum"
)
POOL_USED = Gauge(
    "tollgate_pool_connections_used", "Those in use at this moment.", ["pool"], multiprocess_mode="livesum"
)
PLACES = Gauge("tollgate_places", "Jobs a worker can run at a time.", ["lane"], multiprocess_mode="livesum")
PLACES_USED = Gauge("tollgate_places_used", "Those that run.", ["lane"], multiprocess_mode="livesum")

_OF_A_LIVING = re.compile(r"gauge_live\w*_(?P<pid>\d+)\.db")


def begin(counter: Counter, *labels: Iterable[str]) -> None:
    """Show each of these as 0 from the start: of a count that appears as 1 nobody sees that it rose."""
    for values in product(*labels):
        counter.labels(*values)


def exposition(more: Iterable[Collector] = ()) -> bytes:
    """Of this process, or of all that share its directory, and what `more` tells, in the text format."""
    directory = os.environ.get(SHARED)
    registry = CollectorRegistry()
    if directory:
        _forget_dead(Path(directory))
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    else:
        registry.register(_Own())
    for collector in more:
        registry.register(collector)
    return generate_latest(registry)


class _Own(Collector):
    """What this process counts, without what the library tells of Python itself."""

    def collect(self) -> Iterable[Metric]:
        return (one for one in REGISTRY.collect() if one.name.startswith("tollgate_"))


def _forget_dead(directory: Path) -> None:
    """What a process had open it has no more once it is dead; what it counted stays counted."""
    for file in directory.glob("gauge_live*.db"):
        named = _OF_A_LIVING.fullmatch(file.name)
        if named is not None and not Path(f"/proc/{named['pid']}").exists():
            file.unlink(missing_ok=True)
