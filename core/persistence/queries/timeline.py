"""Every row about one payment, table by table, without anything sealed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from core.persistence.database import Scope, present
from core.persistence.queries.reading import within
from core.persistence.tables import (
    audit_log,
    deliveries,
    disputes,
    events,
    findings,
    inbox_events,
    jobs,
    provider_accounts,
    refunds,
    statement_lines,
    transactions,
)  # fmt: skip

#: Nobody counts on clocks that agree better than this.
_SLACK = timedelta(days=1)
#: A payment with more rows than this has a fault of its own; the newest are what support needs.
MOST = 1000

_COLUMNS: Mapping[str, tuple[sa.Table, Sequence[str]]] = {
    "jobs": (
        jobs,
        "id kind lane status target_id endpoint_id attempts error run_after created_at started_at finished_at".split(),
    ),
    "transactions": (
        transactions,
        (
            "id kind number status surplus provider provider_account_id provider_id refund_id amount currency "
            "amount_confirmed fee send_count first_sent_at last_sent_at decline lookup_count created_at updated_at"
        ).split(),
    ),
    "refunds": (refunds, "id status amount currency reason origin failure created_at updated_at".split()),
    "disputes": (
        disputes,
        "id status amount currency reason refundable withheld evidence_due_by evidence_sent_at created_at".split(),
    ),
    "inbox": (
        inbox_events,
        "id provider provider_account_id kind provider_event_id status reason received_at processed_at".split(),
    ),
    "audit": (
        audit_log,
        (
            "id number actor action subject_kind subject_id from_status to_status cause request_id details created_at"
        ).split(),
    ),
    "events": (events, "id type sequence created_at".split()),
    "deliveries": (
        deliveries,
        "id event_id endpoint_id attempt outcome http_status error duration_ms created_at".split(),
    ),
    "findings": (findings, "id kind status transaction_id details created_at resolved_at resolution".split()),
    "statement": (
        statement_lines,
        (
            "line_id kind amount fee net currency payout provider_account_id transaction_id refund_id dispute_id "
            "original_amount original_currency exchange_rate booked_at available_at created_at"
        ).split(),
    ),
}


def _newest_first(table: sa.Table) -> sa.ColumnElement[object]:
    """Ids begin with their time; a statement's line has the provider's, and the time of its booking."""
    if table is statement_lines:
        return table.c.booked_at.desc().nulls_first()
    return table.c.id.desc()


def rows_about(
    connection: Connection, scope: Scope, payment_id: UUID, created_at: datetime
) -> dict[str, Sequence[RowMapping]]:
    """{source: rows}, each in the order they were written. `created_at` is the payment's: nothing is older.

    `accounts` are all of the merchant's, for their names: a route may have weighed each.
    """
    since, until = created_at - _SLACK, present(connection) + _SLACK
    found: dict[str, Sequence[RowMapping]] = {}
    for source, (table, columns) in _COLUMNS.items():
        query = (
            sa.select(*(table.c[name] for name in columns))
            .where(within(table, scope), table.c.payment_id == payment_id)
            .order_by(_newest_first(table))
            .limit(MOST)
        )
        if table is inbox_events:  # one that changed nothing belongs to the payment's bodies, not to its story
            query = query.where(table.c.status != "ignored")
        if "created_at" in table.primary_key.columns:
            # Else every month there is would be planned and looked into, those to come as well.
            query = query.where(table.c.created_at >= since, table.c.created_at < until)
        found[source] = list(reversed(connection.execute(query).mappings().all()))
    named = sa.select(provider_accounts.c.id, provider_accounts.c.name).where(within(provider_accounts, scope))
    found["accounts"] = connection.execute(named).mappings().all()
    return found
