"""Takes away what has been kept long enough: months of partitions, ended jobs, resolved findings. May run twice."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import sqlalchemy as sa
import structlog

from core.orchestration.context import Core
from core.persistence import partitions
from core.persistence.partitions import InUse
from core.persistence.retention import BY_MONTH, KEPT

log = structlog.get_logger(__name__)

#: Rows a statement takes on: some milliseconds of work, and no lock that anybody waits for.
BATCH = 1000
#: Seconds a run works: the entry's lock is held in an open transaction, which Postgres ends after 15 idle ones.
LONGEST_RUN = 8.0

_JOBS = sa.text("SELECT walked, gone FROM delete_ended_jobs(:days, :most)")
_FINDINGS = sa.text("SELECT delete_resolved_findings(:days, :most)")
_COUNTS = sa.text("SELECT delete_forged_counts(:days)")


def retention(core: Core) -> int:
    """One run; returns how many months and rows went. What is in use is left to the next run."""
    end = time.monotonic() + LONGEST_RUN
    months = _months(core)
    rows = _forged_counts(core) + _findings(core, end) + _jobs(core, end)
    return months + rows


def _kept(core: Core, table: str) -> int:
    """How long, in the unit of the setting."""
    found: int = getattr(core.settings, str(KEPT[table].setting))
    return found


def _months(core: Core) -> int:
    gone = 0
    for table in BY_MONTH:
        for name in _each(table, lambda table=table: partitions.detach(core.database, table, _kept(core, table))):  # type: ignore[misc]
            log.info("month_detached", table=name)
            gone += 1
    for name in _each("detached", lambda: partitions.drop(core.database, core.settings.keep_detached)):
        log.info("month_dropped", table=name)
        gone += 1
    return gone


def _each(table: str, step: Callable[[], str | None]) -> Iterator[str]:
    """One month after the other, each in a commit of its own, until none is left or somebody is in the way."""
    try:
        while (name := step()) is not None:
            yield name
    except InUse:
        log.info("retention_waits", table=table)


def _jobs(core: Core, end: float) -> int:
    deleted = 0
    walked = BATCH
    while walked == BATCH and time.monotonic() < end:
        with core.database.unscoped() as connection:
            values = {"days": core.settings.keep_jobs, "most": BATCH}
            walked, gone = connection.execute(_JOBS, values).one()
        deleted += gone
    return deleted


def _findings(core: Core, end: float) -> int:
    deleted = 0
    gone = BATCH
    while gone == BATCH and time.monotonic() < end:
        with core.database.unscoped() as connection:
            values = {"days": core.settings.keep_findings, "most": BATCH}
            gone = connection.execute(_FINDINGS, values).scalar_one()
        deleted += gone
    return deleted


def _forged_counts(core: Core) -> int:
    with core.database.unscoped() as connection:
        return int(connection.execute(_COUNTS, {"days": core.settings.keep_forged_counts}).scalar_one())
