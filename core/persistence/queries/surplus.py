"""Charges beside a payment's own: which refunds made at the provider's dashboard are theirs, and what they took."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.domain.statuses import CHARGE_KINDS
from core.persistence.tables import transactions

Row = Mapping[Any, Any]

#: In the `extra` of a surplus charge: the ids of refunds that the provider gave of it, with a space between.
GIVEN_BACK = "given_back"


@dataclass(frozen=True, slots=True)
class Beside:
    """What was taken beside a payment's own charge, and given back of that."""

    taken: int = 0
    refunded: int = 0


NOTHING = Beside()

# A charge gives back no more than it took: whatever a list says, the payment's own is never made to look untouched.
_BESIDE = sa.text(
    "SELECT payment_id, sum(taken)::bigint AS taken, sum(least(refunded, amount))::bigint AS refunded FROM ("
    "  SELECT t.payment_id, t.amount, CASE WHEN t.kind = 'charge' THEN t.amount ELSE 0 END AS taken, ("
    "    SELECT coalesce(sum(r.amount), 0) FROM refunds r WHERE r.payment_id = t.payment_id AND r.origin = 'provider' "
    f"    AND r.status = ANY(:statuses) AND r.id::text = ANY(string_to_array(t.extra ->> '{GIVEN_BACK}', ' '))"
    "  ) AS refunded FROM transactions t WHERE t.payment_id = ANY(CAST(:payments AS uuid[])) AND t.surplus "
    "  AND t.status = 'succeeded' AND t.kind IN ('charge', 'authorize')) AS charges GROUP BY payment_id"
)


def beside(connection: Connection, payment_ids: Collection[UUID], statuses: Collection[str]) -> dict[UUID, Beside]:
    """By payment, where there is any; refunds of these statuses are counted."""
    if not payment_ids:
        return {}
    values = {"payments": [str(one) for one in payment_ids], "statuses": list(statuses)}
    found = connection.execute(_BESIDE, values).mappings()
    return {row["payment_id"]: Beside(row["taken"], row["refunded"]) for row in found}


def keep_refund(connection: Connection, payment_id: UUID, refund_id: UUID, charge: str) -> None:
    """Note on the surplus charge that the provider names, if it is one of the locked payment's, that the refund is
    its. The payment's own charge needs no note: whatever is nobody else's is its."""
    columns = transactions.c
    starts = connection.execute(
        sa.select(columns.id, columns.surplus, columns.provider_id, columns.provider_charge_id, columns.extra).where(
            columns.payment_id == payment_id, columns.kind.in_(CHARGE_KINDS), columns.status == "succeeded"
        )
    ).mappings()
    named = [row for row in starts if charge in (row["provider_id"], row["provider_charge_id"])]
    if len(named) != 1 or not named[0]["surplus"]:
        return
    noted = str(named[0]["extra"].get(GIVEN_BACK, "")).split()
    if str(refund_id) in noted:
        return
    extra = {**named[0]["extra"], GIVEN_BACK: " ".join([*noted, str(refund_id)])}
    connection.execute(transactions.update().where(columns.id == named[0]["id"]).values(extra=extra))
