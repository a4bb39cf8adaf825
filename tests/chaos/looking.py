"""What of a stage is still open, as rows that a person can read."""

from __future__ import annotations

import threading
import time
from typing import Any

import psycopg2
import psycopg2.extras

from tests.support.databases import plain

#: How long a query is tried while Postgres restarts.
POSTGRES_SECONDS = 60.0
_PAUSE = threading.Event()

#: What will not rest by itself yet: jobs that run or come due within `horizon` seconds (None: ever), and sends
#: without an outcome that neither such a job nor a person looks after.
_OPEN = """
SELECT 'job' AS what, j.id, j.kind, j.status, j.payment_id, j.attempts, j.lease_losses, j.error,
       extract(epoch FROM j.run_after - app_now())::float AS due_in
FROM jobs j
WHERE j.status = 'running' OR (j.status = 'queued' AND (%(horizon)s::float IS NULL
      OR j.run_after <= app_now() + make_interval(secs => %(horizon)s)))
UNION ALL
SELECT 'transaction', t.id, t.kind, t.status, t.payment_id, t.send_count, t.lookup_count, t.evidence,
       extract(epoch FROM coalesce(t.recheck_at, t.last_sent_at) - app_now())::float
FROM transactions t
WHERE t.status IN ('sent', 'unknown') AND (%(horizon)s::float IS NULL
      OR coalesce(t.recheck_at, t.last_sent_at) <= app_now() + make_interval(secs => %(horizon)s))
  AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.payment_id = t.payment_id AND j.lane = 'payments'
                  AND j.status IN ('queued', 'running', 'needs_review'))
ORDER BY due_in
"""


class Stuck(AssertionError):
    """A stage did not come to rest in time; the text names what is open."""


def query(url: str, sql: str, values: Any = ()) -> list[dict[str, Any]]:
    """Rows, or none for a statement that has none. Tried again while Postgres restarts."""
    end = time.monotonic() + POSTGRES_SECONDS
    while True:
        try:
            return _once(url, sql, values)
        except (psycopg2.OperationalError, psycopg2.InterfaceError):
            if time.monotonic() > end:
                raise
            _PAUSE.wait(0.1)


def _once(url: str, sql: str, values: Any) -> list[dict[str, Any]]:
    connection = psycopg2.connect(plain(url), connect_timeout=5)
    try:
        with connection, connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor:
            cursor.execute(sql, values)
            return [dict(row) for row in cursor.fetchall()] if cursor.description else []
    finally:
        connection.close()


def open_rows(url: str, horizon: float | None) -> list[dict[str, Any]]:
    """Jobs and sends that are not at rest, the soonest due first."""
    return query(url, _OPEN, {"horizon": horizon})


def told(rows: list[dict[str, Any]], most: int = 12) -> str:
    lines = [", ".join(f"{name}={value}" for name, value in row.items() if value is not None) for row in rows[:most]]
    more = f"\n  and {len(rows) - most} more" if len(rows) > most else ""
    return "".join(f"\n  {line}" for line in lines) + more
