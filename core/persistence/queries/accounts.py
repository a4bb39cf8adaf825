"""Provider accounts: what is still open at one."""

from __future__ import annotations

from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

#: What a disabled account could not end: each counts rows of its own.
_OPEN = sa.text(
    "SELECT "
    "(SELECT count(*) FROM payments p WHERE p.provider_account_id = :account "
    "   AND p.merchant_id = a.merchant_id AND p.mode = a.mode "
    "   AND p.status IN ('processing', 'requires_action', 'authorized')) AS payments, "
    "(SELECT count(*) FROM transactions t WHERE t.provider_account_id = :account "
    "   AND t.status IN ('sent', 'pending', 'requires_action', 'unknown')) AS transactions, "
    "(SELECT count(*) FROM refunds r JOIN payments p ON p.id = r.payment_id WHERE p.provider_account_id = :account "
    "   AND r.merchant_id = a.merchant_id AND r.mode = a.mode "
    "   AND r.status IN ('processing', 'requires_action')) AS refunds, "
    "(SELECT count(*) FROM disputes d WHERE d.provider_account_id = :account "
    "   AND d.status IN ('needs_response', 'under_review')) AS disputes "
    "FROM provider_accounts a WHERE a.id = :account"
)


def open_work(connection: Connection, account_id: UUID) -> dict[str, int]:
    """How many payments, transactions, refunds and disputes are not ended there. Reads whole tables: not for roads."""
    found = connection.execute(_OPEN, {"account": account_id}).mappings().one()
    return {name: int(found[name]) for name in ("payments", "transactions", "refunds", "disputes")}
