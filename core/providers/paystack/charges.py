"""Paystack's list of transactions and holds, as charges."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Literal

from core.domain.money import InvalidMoney
from core.domain.outcomes import NotExecuted
from core.providers.base import ChargeSeen, ListingBroken
from core.providers.paystack.changes import NO_HOLDS
from core.providers.paystack.client import PaystackClient
from core.providers.paystack.currencies import from_hundredths
from core.providers.paystack.lists import Row, rows, window
from core.providers.paystack.reading import mark_of, read_id, read_time, word

#: `status` of a transaction. `abandoned` and `failed` on a page may still be tried again.
STATUSES: Mapping[str, Literal["succeeded", "held", "open", "ended"]] = {
    "success": "succeeded",
    "reversed": "succeeded",  # taken, and given back since
    "abandoned": "open",
    "failed": "open",
    "ongoing": "open",
    "pending": "open",
    "processing": "open",
    "queued": "open",
}


def list_charges(client: PaystackClient, since: datetime, until: datetime) -> Iterator[ChargeSeen]:
    """Transactions, then holds whose money was not taken. Raises ListingBroken."""
    for row in rows(client, "/transaction", query=window(since, until)):
        seen = _seen(row, STATUSES.get(str(row.get("status")), "open"))
        if seen is not None:
            yield seen
    try:
        for row in rows(client, "/preauthorization", query=window(since, until)):
            # One that was captured is a transaction, too, under the same reference.
            seen = _seen(row, "held") if row.get("status") == "authorized" else None
            if seen is not None:
                yield seen
    except ListingBroken as broken:
        if not isinstance(broken.outcome, NotExecuted) or broken.outcome.reason not in NO_HOLDS:
            raise


def _seen(row: Row, status: Literal["succeeded", "held", "open", "ended"]) -> ChargeSeen | None:
    reference, currency = word(row.get("reference")), word(row.get("currency"))
    if reference is None or currency is None:
        return None
    try:
        amount = from_hundredths(row.get("amount"), currency)
    except InvalidMoney:
        return None
    return ChargeSeen(
        provider_id=reference,
        status=status,
        amount=amount,
        currency=currency,
        charge_id=read_id(row.get("id")),
        transaction_id=mark_of(row),
        received=amount if status == "succeeded" else 0,
        created_at=read_time(row.get("createdAt"), row.get("created_at")),
    )
