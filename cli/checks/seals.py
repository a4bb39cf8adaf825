"""Whether the audit log is being sealed: what is not sealed yet could be changed unnoticed."""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from cli.checks import reading
from cli.checks.finding import Finding, Situation, failed, ok, skipped, warning

SUBJECT = "Audit seals"
#: Seconds the oldest record may wait for its seal: five runs, and then so long that somebody has to look.
LATE, TOO_LATE = 300.0, 3600.0

_STANDING = sa.text(
    "SELECT extract(epoch FROM app_now() - oldest_unsealed())::float AS age, (SELECT max(number) FROM audit_seals) "
    "AS seals, (SELECT max(sealed_at) FROM audit_seals) AS newest, (SELECT paused_at FROM installation) AS paused_at"
)
_ADVICE = (
    "see `seals_forged`, `sealing_waits` and `scheduled_run_failed` in the workers' logs, that one of them serves the "
    "lane maintenance, and run `tollgate audit verify`"
)


def check(situation: Situation) -> Iterator[Finding]:
    if situation.target is None:
        yield skipped(SUBJECT, situation.why)
        return
    try:
        found = reading.rows(situation.target.databases.owner, _STANDING, {})[0]
    except SQLAlchemyError:
        yield skipped(SUBJECT, "they could not be read; see Postgres and Start")
        return
    age = found["age"] or 0.0
    if age > LATE and found["paused_at"] is None:
        told = f"the oldest audit record without a seal is {age:.0f} s old; the last seal is of {found['newest']}"
        yield (failed if age > TOO_LATE else warning)(SUBJECT, told, _ADVICE)
    else:
        yield ok(SUBJECT, f"{found['seals'] or 0} seals; every record older than {age:.0f} s is under one")
