"""Which days' figures no longer say what is: marked in the commit that changes one of their payments."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.engine import Connection

from core.persistence import pipeline

#: A day that was never counted has no row, and is counted from the payments anyway. One that is marked is not marked
#: again, so that those who change payments of one day do not wait for each other; roll-up waits for them instead.
_MARK = (
    "UPDATE report_days SET changed_at = %(now)s WHERE merchant_id = %(merchant)s AND mode = %(mode)s "
    "AND day = %(day)s AND changed_at IS NULL"
)


def mark(connection: Connection, payment: Mapping[Any, Any], now: datetime) -> None:
    """A payment of a day that is over has changed. Today is counted live, so its payments cost nothing here."""
    day = payment["created_at"].astimezone(UTC).date()
    if day < now.astimezone(UTC).date():
        of = {"merchant": payment["merchant_id"], "mode": payment["mode"], "day": day, "now": now}
        pipeline.later(connection, _MARK, of)
