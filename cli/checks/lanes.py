"""Whether every lane is served: jobs that have been due for long, and whether anybody works there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from cli.checks import reading
from cli.checks.finding import Finding, Situation, failed, ok, skipped, warning

SUBJECT = "Lanes"
#: Seconds. Polling finds a job within three even when the broker is dead.
LATE = 30

_LATE = sa.text(
    "SELECT lane, "
    "count(*) FILTER (WHERE status = 'queued' AND run_after <= app_now() - :late * interval '1 s') AS late, "
    "coalesce(max(extract(epoch FROM app_now() - run_after)) FILTER (WHERE status = 'queued'), 0) AS oldest, "
    "count(*) FILTER (WHERE status = 'running' AND lease_until > app_now()) AS running "
    "FROM jobs WHERE status IN ('queued', 'running') GROUP BY lane ORDER BY lane"
)


def check(situation: Situation) -> Iterator[Finding]:
    """Workers do not register anywhere: a lane that nobody serves shows by its jobs."""
    if situation.target is None:
        yield skipped(SUBJECT, situation.why)
        return
    try:
        rows = reading.rows(situation.target.databases.owner, _LATE, {"late": LATE})
    except SQLAlchemyError:
        yield skipped(SUBJECT, "jobs could not be read; see Postgres and Start")
        return
    late = [row for row in rows if row["late"]]
    yield from map(_finding, late)
    if not late:
        yield ok(SUBJECT, f"no job has been due for {LATE} s")


def _finding(row: Any) -> Finding:
    lane = row["lane"]
    text = f"{row['late']} due jobs of {lane} wait, the oldest for {row['oldest']:.0f} s"
    if row["running"]:
        return warning(SUBJECT, f"{text}; {row['running']} run", f"start more workers with -Q {lane}")
    return failed(SUBJECT, f"{text}, and none runs", f"start a worker with -Q {lane}, or see why it does not work")
