"""Rows of payouts, and the sums of the statement lines they are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Connection

from core.persistence import pipeline
from core.persistence.database import Scope
from core.persistence.pipeline import Found
from core.persistence.tables import payouts

#: How long before it may be taken out of a payout a refund or dispute may have been asked for.
OWED_FOR = timedelta(days=90)
#: A payout that the provider has not told whole by then never will be (one sent by hand): it is not read for ever.
WAITED_FOR = timedelta(days=30)

_OWED = "s.kind IN ('refund', 'refund_failure', 'dispute', 'dispute_reversal')"


def keep(connection: Connection, scope: Scope, account_id: UUID, payout: str, values: Mapping[str, Any]) -> None:
    """What the provider says of a payout, new or again."""
    fixed = {"provider_account_id": account_id, "payout": payout, "status": "incomplete"}
    row = {**fixed, "merchant_id": scope.merchant_id, "mode": scope.mode, **values}
    statement = insert(payouts).values(**row)
    changed = {**values, "updated_at": sa.func.app_now()}
    connection.execute(statement.on_conflict_do_update(index_elements=["provider_account_id", "payout"], set_=changed))


def mark_failed(connection: Connection, account_id: UUID, payout: str, at: datetime | None) -> None:
    """A payout that is not known (older than our reading) is left alone."""
    moment = sa.func.app_now() if at is None else at
    connection.execute(
        payouts.update()
        .where(payouts.c.provider_account_id == account_id, payouts.c.payout == payout)
        .values(failed_at=moment)
    )


def lock(connection: Connection, account_id: UUID, names: Sequence[str]) -> list[Found]:
    """Those of these that are known, the oldest first."""
    columns = payouts.c
    query = (
        sa.select(payouts)
        .where(columns.provider_account_id == account_id, columns.payout.in_(names))
        .order_by(columns.booked_at, columns.payout)
        .with_for_update()
    )
    return [dict(row) for row in connection.execute(query).mappings()]


def before(connection: Connection, payout: Mapping[str, Any]) -> Found | None:
    """The account's payout before this one in its currency."""
    columns = payouts.c
    query = (
        sa.select(payouts)
        .where(
            columns.provider_account_id == payout["provider_account_id"],
            columns.currency == payout["currency"],
            sa.tuple_(columns.booked_at, columns.payout) < sa.tuple_(payout["booked_at"], payout["payout"]),
        )
        .order_by(columns.booked_at.desc(), columns.payout.desc())
        .limit(1)
    )
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else dict(row)


_READ_THROUGH = (
    "SELECT coalesce(range_agg(tstzrange(window_from, window_until, '[]')), '{}') "
    "@> tstzrange(%(since)s, %(until)s) AS whole FROM reconciliation_runs WHERE provider_account_id = %(account)s "
    "AND kind = 'statement' AND (status = 'succeeded' OR id = %(run)s) AND window_until >= %(since)s"
)


def read_through(connection: Connection, account_id: UUID, run_id: UUID, since: datetime, until: datetime) -> bool:
    """Has everything that was booked in this time been read, by this run or by one before it?"""
    values = {"account": account_id, "run": run_id, "since": since, "until": until}
    return bool(pipeline.fetch(connection, _READ_THROUGH, values)[0]["whole"])


_ASSIGN = (
    "UPDATE statement_lines s SET payout = %(payout)s WHERE s.provider_account_id = %(account)s "
    f"AND s.currency = %(currency)s AND {_OWED} AND s.booked_at >= %(oldest)s AND s.booked_at < %(until)s "
    "AND s.available_at >= %(since)s AND s.available_at < %(until)s AND s.payout IS DISTINCT FROM %(payout)s"
)
_PENDING = (
    "SELECT coalesce(-sum(s.net), 0) AS owed FROM statement_lines s WHERE s.provider_account_id = %(account)s "
    f"AND s.currency = %(currency)s AND {_OWED} AND s.booked_at >= %(oldest)s AND s.booked_at < %(until)s "
    "AND s.provider_kind IS DISTINCT FROM 'failed' AND (s.available_at IS NULL OR s.available_at >= %(until)s)"
)


def assign(connection: Connection, payout: Mapping[str, Any], since: datetime) -> None:
    """Refunds and disputes that do not say their payout belong to the first one made after they fell due."""
    pipeline.later(connection, _ASSIGN, _period(payout, since))


def pending(connection: Connection, payout: Mapping[str, Any]) -> int:
    """What had been asked for when the payout was made, and was not due yet."""
    return int(pipeline.fetch(connection, _PENDING, _period(payout, payout["booked_at"]))[0]["owed"])


def _period(payout: Mapping[str, Any], since: datetime) -> dict[str, Any]:
    return {
        "payout": payout["payout"],
        "account": payout["provider_account_id"],
        "currency": payout["currency"],
        "since": since,
        "oldest": min(since, payout["booked_at"]) - OWED_FOR if since.year > 1 else since,
        "until": payout["booked_at"],
    }


# The movement of the payout itself is not one of those it is made of.
_LINES = (
    "FROM statement_lines s WHERE s.provider_account_id = %(account)s AND s.payout = %(payout)s "
    "AND NOT (s.kind IN ('payout', 'payout_failure') AND s.source = %(payout)s)"
)
_SUMS = (
    "SELECT s.kind, count(*) AS lines, sum(s.amount)::bigint AS amount, sum(s.fee)::bigint AS fee, "
    "count(*) FILTER (WHERE s.matched = 'foreign') AS foreign_lines, "
    f"coalesce(sum(s.net) FILTER (WHERE s.matched = 'foreign'), 0)::bigint AS foreign_net {_LINES} GROUP BY s.kind"
)
_EXCHANGED = (
    "SELECT s.original_currency AS currency, count(*) AS lines, sum(s.original_amount)::bigint AS original, "
    f"sum(s.amount)::bigint AS converted {_LINES} AND s.original_currency IS NOT NULL GROUP BY 1 ORDER BY 1"
)


def sums(connection: Connection, account_id: UUID, payout: str) -> list[Found]:
    """{kind, lines, amount, fee, foreign_lines, foreign_net} for each kind of line a payout is made of."""
    return pipeline.fetch(connection, _SUMS, {"account": account_id, "payout": payout})


def exchanged(connection: Connection, account_id: UUID, payout: str) -> dict[str, dict[str, int]]:
    """What was charged in other currencies than that of the balance, by currency."""
    found = pipeline.fetch(connection, _EXCHANGED, {"account": account_id, "payout": payout})
    return {row.pop("currency"): row for row in found}


def write(connection: Connection, payout: Mapping[str, Any], values: Mapping[str, Any]) -> None:
    columns = payouts.c
    same = columns.provider_account_id == payout["provider_account_id"], columns.payout == payout["payout"]
    connection.execute(payouts.update().where(*same).values(**values, updated_at=sa.func.app_now()))


def oldest_open(connection: Connection, account_id: UUID) -> datetime | None:
    """When the oldest payout was made that has not been told whole yet and may still be."""
    columns = payouts.c
    query = sa.select(sa.func.min(columns.booked_at)).where(
        columns.provider_account_id == account_id,
        columns.status == "incomplete",
        columns.booked_at > sa.func.app_now() - WAITED_FOR,
    )
    found: datetime | None = connection.execute(query).scalar()
    return found
