"""What `/metrics` shows besides the counts: how the whole installation stands, asked of Postgres and Redis."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version

import sqlalchemy as sa
import structlog
from prometheus_client import CONTENT_TYPE_LATEST
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from api.state import Gate
from core import metrics
from core.persistence.revisions import revisions

log = structlog.get_logger()

CONTENT_TYPE = CONTENT_TYPE_LATEST

_BUILD = ("tollgate_build_info", "The program that answers; always 1.", ("version", "revision"))
_UP = ("tollgate_dependency_up", "Whether it is reached: postgres, redis.", ("dependency",))
_OFFSET = ("tollgate_clock_offset_seconds", "How far this machine's clock is ahead of the database's.", ())
#: What is asked besides Postgres' figures.
OF_THE_API: tuple[tuple[str, str, tuple[str, ...]], ...] = (_BUILD, _UP, _OFFSET)
#: Figure of Postgres: (name, what it says, labels). Literal, so that nothing is shown that was not decided on.
FIGURES: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
    "jobs": ("tollgate_jobs", "Open jobs: due, waiting for their time, running, needs_review.", ("lane", "state")),
    "oldest_due": ("tollgate_oldest_due_seconds", "How long the oldest due job has been due.", ("lane",)),
    "oldest_review": ("tollgate_oldest_review_seconds", "Age of the oldest job that waits for a person.", ("lane",)),
    "unknown_outcomes": ("tollgate_unknown_outcomes", "Sends nobody knows the outcome of.", ("provider",)),
    "oldest_unknown": ("tollgate_oldest_unknown_seconds", "Since the oldest of them was sent.", ("provider",)),
    "findings": ("tollgate_findings", "Open findings.", ("kind", "severity")),
    "inbox_events": ("tollgate_inbox_events", "Providers' events received and not read, or parked.", ("status",)),
    "oldest_inbox": ("tollgate_oldest_inbox_seconds", "Since the oldest of them came.", ("status",)),
    "schedule_age": ("tollgate_schedule_age_seconds", "Since an entry of the schedule last ran.", ("schedule",)),
    "schedule_interval": ("tollgate_schedule_interval_seconds", "How often it is to run.", ("schedule",)),
    "beat_age": ("tollgate_beat_age_seconds", "Since anything ran because beat asked for it.", ()),
    "provider_accounts": (
        "tollgate_provider_accounts", "Provider accounts by their status.", ("provider", "mode", "status"),
    ),
    "oldest_unsealed": ("tollgate_oldest_unsealed_seconds", "Age of the oldest audit record no seal covers.", ()),
    "paused": ("tollgate_paused", "1 while the installation is paused.", ()),
    "months_ahead": ("tollgate_months_ahead", "Months of partitions ready after this one.", ("table",)),
}  # fmt: skip


class Installation(Collector):
    """Asked anew for each answer; what Postgres says is believed for some seconds."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def collect(self) -> Iterable[Metric]:
        yield _gauge(*_BUILD, [({"version": version("tollgate"), "revision": revisions()[-1]}, 1.0)])
        redis = ({"dependency": "redis"}, float(self._gate.limits.redis_answers()))
        try:
            seen = self._gate.figures.look()
        except sa.exc.SQLAlchemyError as error:
            log.warning("figures_not_read", component="postgres", error_type=type(error).__name__)
            yield _gauge(*_UP, [({"dependency": "postgres"}, 0.0), redis])
            return
        yield _gauge(*_UP, [({"dependency": "postgres"}, 1.0), redis])
        yield _gauge(*_OFFSET, [({}, seen.clock_offset)])
        for name, about in FIGURES.items():
            found = [(one.labels, one.value) for one in seen.figures if one.name == name]
            if found:
                yield _gauge(*about, found)


def exposition(gate: Gate) -> bytes:
    return metrics.exposition([Installation(gate)])


def _gauge(name: str, says: str, labels: Sequence[str], samples: Iterable[tuple[Mapping[str, str], float]]) -> Metric:
    family = GaugeMetricFamily(name, says, labels=list(labels))
    for named, value in samples:
        family.add_metric([named[label] for label in labels], value)
    return family
