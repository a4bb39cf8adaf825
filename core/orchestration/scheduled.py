"""What happens by the clock: each function finds rows that are due and leaves jobs for them. All may run twice."""

from __future__ import annotations

from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.orchestration import disputes, jobs
from core.orchestration.context import Core
from core.persistence import partitions
from core.persistence.database import Scope, set_scope
from core.persistence.queries.disputes import unasked

#: Rows a tick takes on; the next tick takes the rest, so that no tick holds locks for long.
BATCH = 500
#: Seconds a due job may wait before the sweep calls its hint lost.
HINT_LOST_AFTER = 2.0

_OPEN_PAYMENTS = sa.text(
    "UPDATE payments SET next_sync_at = app_now() + interval '1 hour' WHERE id IN ("
    "  SELECT id FROM payments WHERE next_sync_at <= (SELECT app_now()) ORDER BY next_sync_at LIMIT :limit "
    "  FOR UPDATE SKIP LOCKED) RETURNING id, merchant_id, mode"
)
# A transaction that is open while no job of its payment is: its worker died in the worst place.
_UNRESOLVED = sa.text(
    "SELECT DISTINCT t.payment_id AS id, t.merchant_id, t.mode FROM transactions t "
    # One that is asked about on schedule already is left to that: nobody is asked every few seconds.
    "JOIN payments p ON p.id = t.payment_id AND p.next_sync_at IS NULL "
    "WHERE t.status IN ('sent', 'unknown') AND t.last_sent_at < (SELECT app_now()) - make_interval(secs => :age) "
    "AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.payment_id = t.payment_id "
    "                AND j.status IN ('queued', 'running', 'needs_review')) LIMIT :limit"
)
_ABANDONED = sa.text(
    "SELECT p.id, p.merchant_id, p.mode FROM payments p "
    "WHERE p.status = 'requires_action' AND p.expires_at <= (SELECT app_now()) "
    "AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.payment_id = p.id "
    "                AND j.kind IN ('expire_payment', 'cancel_payment') "
    "                AND j.status IN ('queued', 'running', 'needs_review')) LIMIT :limit"
)
_UNDELIVERED = sa.text(
    "SELECT id FROM jobs WHERE lane = 'deliveries' AND status = 'queued' "
    "AND run_after <= (SELECT app_now()) ORDER BY run_after LIMIT :limit"
)


def sweep(core: Core) -> int:
    """Hint again what has been due for a while, and what a dead worker held."""
    with core.database.unscoped() as connection:
        found = jobs.overdue(connection, HINT_LOST_AFTER, BATCH)
    for lane in {lane for lane, _ in found}:
        core.wake(lane, [job for its_lane, job in found if its_lane == lane])
    return len(found)


def resolve_unknown(core: Core) -> int:
    """Look-ups for open outcomes that no job cares for any more."""
    age = core.settings.not_found_after
    return _enqueue_each(core, _UNRESOLVED, "sync_payment", {"limit": BATCH, "age": age})


def synchronise_open(core: Core) -> int:
    """Ask about payments that wait for the customer, the provider or a capture."""
    return _enqueue_each(core, _OPEN_PAYMENTS, "sync_payment", {"limit": BATCH})


def close_abandoned(core: Core) -> int:
    """Redirects past their time."""
    return _enqueue_each(core, _ABANDONED, "expire_payment", {"limit": BATCH})


def ask_disputes(core: Core) -> int:
    """Ask about disputes that are not decided and of which nothing was heard for a day."""
    woken: list[UUID] = []
    with core.database.unscoped() as connection:
        for row in unasked(connection, disputes.ASKED_EVERY, BATCH):
            scope = Scope(row["merchant_id"], row["mode"])
            set_scope(connection, scope)
            about = (row["payment_id"], row["transaction_id"], row["provider_account_id"], row["provider_id"])
            woken.append(disputes.ask(connection, scope, *about))
    if woken:
        core.wake("payments", woken)
    return len(woken)


def deliver_events(core: Core) -> int:
    """Wake the deliveries lane for attempts that have come due."""
    with core.database.unscoped() as connection:
        found = list(connection.execute(_UNDELIVERED, {"limit": BATCH}).scalars())
    if found:
        core.wake("deliveries", found)
    return len(found)


def ensure_partitions(core: Core) -> int:
    """Months of partitions ahead of time; returns how many were made."""
    return partitions.ensure(core.database)


def _enqueue_each(core: Core, query: sa.TextClause, kind: str, values: dict[str, object]) -> int:
    woken: list[UUID] = []
    with core.database.unscoped() as connection:
        for row in connection.execute(query, values).all():
            woken.append(_enqueue(connection, Scope(row.merchant_id, row.mode), kind, row.id))
    if woken:
        core.wake("payments", woken)
    return len(woken)


def _enqueue(connection: Connection, scope: Scope, kind: str, payment_id: UUID) -> UUID:
    set_scope(connection, scope)
    if kind == "sync_payment":
        return jobs.enqueue_sync(connection, scope, payment_id)
    return jobs.enqueue(connection, scope, kind, payment_id=payment_id, arguments={"actor": "clock"})
