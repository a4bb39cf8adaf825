"""After a restore: what the older database holds open may have been sent, done and ended since the backup."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.domain.statuses import OPEN_TRANSACTION
from core.orchestration.jobs import Job
from core.persistence.tables import transactions

Row = Mapping[Any, Any]

#: On a job and on its transactions: a send that this database does not remember may have reached the provider.
MARK = "restored"

# The raised fence keeps out a worker of before, and those that announce what "nobody has claimed yet" together.
# Jobs in review carry the mark too: a person may have them carried out.
_DOUBT_JOBS = sa.text(
    """UPDATE jobs SET fence = fence + 1, arguments = arguments || '{"restored": true}', """
    "run_after = LEAST(run_after, app_now()), "
    "lease_until = CASE WHEN lease_until IS NOT NULL THEN app_now() - interval '1 second' END "
    "WHERE lane = 'payments' AND status IN ('queued', 'running', 'needs_review')"
)
# Sent for the last time at any moment until now, as far as this database knows.
_DOUBT_TRANSACTIONS = sa.text(
    """UPDATE transactions SET ambiguous = true, extra = extra || '{"restored": "true"}', """
    "last_sent_at = app_now(), not_found_count = 0, not_found_at = NULL, updated_at = app_now() "
    "WHERE status = ANY(:open)"
)
_ASK_PAYMENTS = sa.text(
    "UPDATE payments SET next_sync_at = app_now(), sync_count = 0 "
    "WHERE status IN ('processing', 'requires_action', 'authorized')"
)
_OPEN = sa.text(
    "SELECT (SELECT count(*) FROM jobs WHERE lane = 'payments' AND status IN ('queued', 'running')) AS jobs, "
    "(SELECT count(*) FROM transactions WHERE status = ANY(:open)) AS transactions, "
    "(SELECT count(*) FROM payments WHERE status IN ('processing', 'requires_action', 'authorized')) AS payments"
)


def count_open(connection: Connection) -> dict[str, int]:
    """Of all merchants: jobs, transactions and payments that a restore puts in doubt."""
    return dict(connection.execute(_OPEN, _open()).mappings().one())


def doubt_open(connection: Connection) -> None:
    """Mark all of it, so that each is asked about before anything is sent. The owner's alone."""
    connection.execute(_DOUBT_JOBS)
    connection.execute(_DOUBT_TRANSACTIONS, _open())
    connection.execute(_ASK_PAYMENTS)


def _open() -> dict[str, Any]:
    return {"open": sorted(OPEN_TRANSACTION)}


def asks_first(job: Job) -> bool:
    """Must the job look for what it is about to send? Its transaction may be one this database has lost."""
    return bool(job.arguments.get(MARK))


def as_if_sent(job: Job, values: Mapping[str, Any]) -> dict[str, Any]:
    """A transaction as it would stand if its first send had been lost: sent at some time since the job was accepted."""
    extra = {**values.get("extra", {}), MARK: "true"}
    return {**values, "extra": extra, "ambiguous": True, "first_sent_at": job.created_at}


def doubt_key(connection: Connection, job: Job, transaction: Row) -> None:
    """Its key has carried a request that this database does not remember: it is an older copy, and nobody noticed.

    Our own mark is not on what was made then, so that its absence proves nothing; the payment's is.
    """
    values = {
        "extra": {**transaction["extra"], MARK: "true"},
        "first_sent_at": min(transaction["first_sent_at"], job.created_at),
    }
    connection.execute(transactions.update().where(transactions.c.id == transaction["id"]).values(**values))


def is_marked(transaction: Row) -> bool:
    return MARK in transaction["extra"]


def may_replay(transaction: Row) -> bool:
    """Would the same key bring back the lost answer? Not if another request was sent under it."""
    return not is_marked(transaction)
