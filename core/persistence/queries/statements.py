"""Rows of the provider's statement: what a line may be about, the lines themselves, and what they say of payments.

Everything is asked for a chunk of lines at once, by indexes, so that a line costs the same among a million payments.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Connection

from core.persistence import pipeline
from core.persistence.database import Scope
from core.persistence.pipeline import Found
from core.persistence.tables import statement_lines

_SENT = (
    "t.id, t.payment_id, t.refund_id, t.kind, t.status, t.provider_id, t.provider_charge_id, t.amount, t.currency, "
    "t.amount_confirmed, t.fee"
)
_BY_MARK = (
    f"SELECT {_SENT} FROM unnest(CAST(%(ids)s AS uuid[])) AS l(id) JOIN transactions t ON t.id = l.id "
    "WHERE t.provider_account_id = %(account)s"
)
_BY_NAME = (
    f"SELECT l.name, {_SENT} FROM unnest(CAST(%(names)s AS text[])) AS l(name) "
    "JOIN transactions t ON t.provider_account_id = %(account)s AND t.provider_id = l.name "
    f"UNION ALL SELECT l.name, {_SENT} FROM unnest(CAST(%(names)s AS text[])) AS l(name) "
    "JOIN transactions t ON t.provider_account_id = %(account)s AND t.provider_charge_id = l.name"
)
_REFUNDS = (
    "SELECT r.id, r.payment_id, r.provider_id, r.amount, r.currency, r.status "
    "FROM unnest(CAST(%(payments)s AS uuid[])) AS l(id) JOIN refunds r ON r.payment_id = l.id "
    "WHERE r.provider_id = ANY(CAST(%(names)s AS text[]))"
)
_DISPUTES = (
    "SELECT d.id, d.payment_id, d.transaction_id, d.provider_id, d.amount, d.currency, d.status "
    "FROM unnest(CAST(%(names)s AS text[])) AS l(name) "
    "JOIN disputes d ON d.provider_account_id = %(account)s AND d.provider_id = l.name"
)
_PAYMENTS = (
    "SELECT p.id, p.status, p.amount_received, p.amount_captured FROM unnest(CAST(%(ids)s AS uuid[])) AS l(id) "
    "JOIN payments p ON p.id = l.id"
)
_KNOWN = (
    "SELECT s.line_id, s.matched, s.run_id, s.read_for, s.reported, s.updated_at, s.fee, s.payment_id "
    "FROM unnest(CAST(%(names)s AS text[])) AS l(name) "
    "JOIN statement_lines s ON s.provider_account_id = %(account)s AND s.line_id = l.name"
)


def by_mark(connection: Connection, account_id: UUID, marks: Collection[UUID]) -> dict[UUID, Found]:
    """The transactions of this account that bear these ids."""
    if not marks:
        return {}
    found = pipeline.fetch(connection, _BY_MARK, {"ids": list(marks), "account": account_id})
    return {row["id"]: row for row in found}


def by_name(connection: Connection, account_id: UUID, names: Collection[str]) -> dict[str, list[Found]]:
    """The transactions that the account knows by one of these of the provider's ids, of the object or its charge."""
    if not names:
        return {}
    found: dict[str, list[Found]] = {}
    for row in pipeline.fetch(connection, _BY_NAME, {"names": list(names), "account": account_id}):
        found.setdefault(row.pop("name"), []).append(row)
    return found


def refunds_of(
    connection: Connection, payment_ids: Collection[UUID], names: Collection[str]
) -> dict[tuple[UUID, str], Found]:
    """By payment and the provider's id of the refund: what was given back at its dashboard has no transaction."""
    if not payment_ids:
        return {}
    found = pipeline.fetch(connection, _REFUNDS, {"payments": list(payment_ids), "names": list(names)})
    return {(row["payment_id"], row["provider_id"]): row for row in found}


def disputes_of(connection: Connection, account_id: UUID, names: Collection[str]) -> dict[str, Found]:
    if not names:
        return {}
    found = pipeline.fetch(connection, _DISPUTES, {"names": list(names), "account": account_id})
    return {row["provider_id"]: row for row in found}


def payments_of(connection: Connection, payment_ids: Collection[UUID]) -> dict[UUID, Found]:
    if not payment_ids:
        return {}
    return {row["id"]: row for row in pipeline.fetch(connection, _PAYMENTS, {"ids": list(payment_ids)})}


def known_lines(connection: Connection, account_id: UUID, names: Collection[str]) -> dict[str, Found]:
    """What an earlier reading left of these lines."""
    found = pipeline.fetch(connection, _KNOWN, {"names": list(names), "account": account_id})
    return {row["line_id"]: row for row in found}


#: What a line says, and what we say of it; the rest of the row is the same for a whole chunk.
TOLD = (
    "line_id kind amount fee net currency source payout booked_at available_at original_amount original_currency "
    "exchange_rate provider_kind matched payment_id transaction_id refund_id dispute_id run_id read_for reported"
).split()
_DIALECT: Any = postgresql.dialect  # untyped in SQLAlchemy
_TYPED = ", ".join(f"{name} {statement_lines.c[name].type.compile(dialect=_DIALECT())}" for name in TOLD)
#: A later telling without payout, or without the time it is available, takes neither away.
_KEPT = ("payout", "available_at", "booked_at")
_STORE = (
    f"INSERT INTO statement_lines AS s (provider_account_id, merchant_id, mode, created_at, updated_at, "
    f"{', '.join(TOLD)}) SELECT %(account)s, %(merchant)s, %(mode)s, n.now, n.now, "
    f"{', '.join(f'l.{name}' for name in TOLD)} FROM (SELECT app_now() AS now) AS n, "
    f"json_to_recordset(CAST(%(lines)s AS json)) AS l({_TYPED}) "
    "ON CONFLICT (provider_account_id, line_id) DO UPDATE SET updated_at = EXCLUDED.updated_at, "
    + ", ".join(
        f"{name} = coalesce(EXCLUDED.{name}, s.{name})" if name in _KEPT else f"{name} = EXCLUDED.{name}"
        for name in TOLD
        if name != "line_id"
    )
)


def store(connection: Connection, scope: Scope, account_id: UUID, rows: Sequence[Mapping[str, Any]]) -> None:
    """Each line once, however often it is told. No line id may stand in `rows` twice."""
    values = {"account": account_id, "merchant": scope.merchant_id, "mode": scope.mode}
    pipeline.later(connection, _STORE, {**values, "lines": pipeline.json_text(rows)})


# The rows are locked in the order in which all roads lock transactions.
_FEES = (
    "WITH l AS MATERIALIZED (SELECT * FROM unnest(CAST(%(ids)s AS uuid[]), CAST(%(fees)s AS bigint[])) AS l(id, fee)), "
    "t AS MATERIALIZED (SELECT id FROM transactions WHERE id = ANY(CAST(%(ids)s AS uuid[])) ORDER BY id FOR UPDATE) "
    "UPDATE transactions SET fee = l.fee FROM l JOIN t ON t.id = l.id WHERE transactions.id = l.id"
)
# As report_days.mark does for one payment: a day that was never counted has no row.
_CHANGED_DAYS = (
    "UPDATE report_days d SET changed_at = app_now() FROM (SELECT DISTINCT p.merchant_id, p.mode, "
    "CAST(p.created_at AT TIME ZONE 'UTC' AS date) AS day FROM payments p "
    "WHERE p.id = ANY(CAST(%(payments)s AS uuid[]))) AS c "
    "WHERE d.merchant_id = c.merchant_id AND d.mode = c.mode AND d.day = c.day AND d.changed_at IS NULL"
)


def set_fees(connection: Connection, fees: Mapping[UUID, int]) -> None:
    """What the provider kept of each transaction."""
    if fees:
        pipeline.later(connection, _FEES, {"ids": list(fees), "fees": list(fees.values())})


def mark_days(connection: Connection, payment_ids: Collection[UUID]) -> None:
    """What the provider kept of these payments has changed, and so have the figures of their days."""
    if payment_ids:
        pipeline.later(connection, _CHANGED_DAYS, {"payments": list(payment_ids)})
