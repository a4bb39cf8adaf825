"""What we believe of the payments that one provider's sandbox carries: read in one snapshot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.domain.identifiers import public_id

Row = Mapping[str, Any]

_ACCOUNTS = "SELECT id FROM provider_accounts WHERE provider = :provider AND api_base IS NOT NULL"
#: Seconds after which nothing of ours can be newer than a ledger that was read just before.
_SETTLED_FOR = 60
# A person was told: what differs is known, and theirs to decide.
_EXCUSED = (
    "EXISTS (SELECT FROM findings f WHERE f.payment_id = p.id AND f.status = 'open') OR EXISTS (SELECT FROM jobs j "
    "WHERE j.payment_id = p.id AND j.lane = 'payments' AND j.status = 'needs_review')"
)
_STARTS = sa.text(
    "SELECT t.id, t.payment_id, t.status, t.surplus, t.provider_id, t.provider_charge_id, t.amount, t.currency, "
    f"t.updated_at < (SELECT app_now()) - make_interval(secs => {_SETTLED_FOR}) AS old FROM transactions t "
    f"WHERE t.provider_account_id IN ({_ACCOUNTS}) AND t.kind IN ('charge', 'authorize') ORDER BY t.id"
)
_PAYMENTS = sa.text(
    f"SELECT p.id, p.status, p.amount_received, p.amount_refunded, ({_EXCUSED}) AS excused, "
    "EXISTS (SELECT FROM transactions o WHERE o.payment_id = p.id AND o.kind IN ('charge', 'authorize') "
    f"  AND o.status = 'succeeded' AND o.provider_account_id NOT IN ({_ACCOUNTS})) AS elsewhere FROM payments p "
    f"WHERE p.id IN (SELECT payment_id FROM transactions WHERE provider_account_id IN ({_ACCOUNTS}))"
)
_REFUNDS = sa.text(
    "SELECT r.id, r.payment_id, r.provider_id, r.status, r.amount, "
    f"r.updated_at < (SELECT app_now()) - make_interval(secs => {_SETTLED_FOR}) AS old "
    f"FROM refunds r JOIN payments p ON p.id = r.payment_id WHERE p.provider_account_id IN ({_ACCOUNTS})"
)
_DISPUTES = sa.text(
    f"SELECT id, payment_id, provider_id, status FROM disputes WHERE provider_account_id IN ({_ACCOUNTS})"
)


@dataclass(frozen=True, slots=True)
class Ours:
    """Payments by their public id; the rest as the rows are, with `payment` naming it."""

    payments: Mapping[str, Row]
    starts: Sequence[Row]
    refunds: Sequence[Row]
    disputes: Sequence[Row]


def read(connection: Connection, provider: str) -> Ours:
    def rows(query: sa.TextClause) -> list[dict[str, Any]]:
        return [dict(row) for row in connection.execute(query, {"provider": provider}).mappings()]

    def named(query: sa.TextClause) -> list[dict[str, Any]]:
        return [{**row, "payment": public_id("payment", row["payment_id"])} for row in rows(query)]

    payments = {public_id("payment", row["id"]): row for row in rows(_PAYMENTS)}
    return Ours(payments, named(_STARTS), named(_REFUNDS), named(_DISPUTES))
