"""Whether the installation is paused, and whether this machine would notice an older copy of its database."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from cli.checks import reading
from cli.checks.finding import Finding, Situation, failed, ok, skipped, warning
from cli.target import anchor_file
from core.orchestration.installation import doubt
from core.persistence.queries.installation import STANDING
from core.startup.anchor import AnchorUnusable, read

PAUSED, ANCHOR = "Paused", "Anchor file"
#: Seconds; it is written every ten, by one worker of all machines.
LATE = 600.0
RESUME = 'read docs/operations.md, "Backup and restore"; then run `tollgate resume --reason "…"`'


def check(situation: Situation) -> Iterator[Finding]:
    if situation.target is None:
        yield skipped(PAUSED, situation.why)
        return
    try:
        standing = reading.rows(situation.target.databases.owner, STANDING, {})[0]
    except SQLAlchemyError:
        yield skipped(PAUSED, "it could not be read; see Postgres and Start")
        return
    if standing["paused_at"] is not None:
        yield failed(PAUSED, f"nothing is sent and nothing new is taken: {standing['paused_because']}", RESUME)
    else:
        yield ok(PAUSED, "no")
    yield _anchor(situation, standing)


def _anchor(situation: Situation, standing: Mapping[str, Any]) -> Finding:
    path = None if situation.target is None else anchor_file(situation.target, situation.environ)
    if path is None:
        advice = "set TOLLGATE_ANCHOR_FILE to a file that is not restored with the database"
        return warning(ANCHOR, "none is named: an older copy of the database would not be noticed", advice)
    try:
        anchor = read(path)
    except AnchorUnusable as error:
        return failed(ANCHOR, str(error), "until then an older copy of the database is not noticed")
    if anchor is None:
        return warning(ANCHOR, f"{path} does not exist", "a worker writes it; see `anchor_not_written` in its log")
    why = doubt(anchor, standing)
    if why is not None:
        return failed(ANCHOR, why, RESUME)
    behind = (standing["present"] - anchor.written_at).total_seconds()
    if behind > LATE:
        advice = "see `anchor_not_written` in the workers' logs, and that one of them serves the lane maintenance"
        return warning(ANCHOR, f"written {behind:.0f} s ago", advice)
    return ok(ANCHOR, str(path))
