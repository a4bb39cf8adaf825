"""What happened in a window, from Paystack's lists: it keeps no list of events, and tells of successes only."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from core.domain.outcomes import NotExecuted, NotExecutedReason, Outcome, Unknown
from core.providers.base import AnyNews, DisputeNews, ListingBroken, News
from core.providers.paystack.client import PaystackClient
from core.providers.paystack.disputes import charge_ids
from core.providers.paystack.lists import Row, rows, window
from core.providers.paystack.outcomes import row_answer
from core.providers.paystack.reading import mark_of, read_id, read_time, word
from core.providers.paystack.refunds import news_of
from core.providers.paystack.statuses import CHARGE_STATUSES, TRANSACTION_STATUSES
from core.providers.paystack.transactions import read_transaction

#: The lists go by the day of making. These objects change later than that, and are few: a refund takes up to ten
#: working days, a dispute waits for merchant and bank. A page that is paid later has its payment's own look-ups.
REFUNDS_CHANGE_FOR = timedelta(days=30)
DISPUTES_CHANGE_FOR = timedelta(days=90)

#: What an integration outside of South Africa answers when asked for its holds.
NO_HOLDS = (NotExecutedReason.INVALID_REQUEST, NotExecutedReason.MISCONFIGURED)


def list_changes(client: PaystackClient, since: datetime, until: datetime) -> Iterator[AnyNews]:
    """Transactions, refunds, disputes and holds, in this order. Raises ListingBroken."""
    for row in rows(client, "/transaction", query=window(since, until)):
        yield from _transaction(row)
    for row in rows(client, "/refund", query=window(since - REFUNDS_CHANGE_FOR, until)):
        if _changed(row, since, "refunded_at", "updatedAt"):
            yield news_of(row, word(row.get("transaction_reference")) or read_id(row.get("transaction")))
    for row in rows(client, "/dispute", query=window(since - DISPUTES_CHANGE_FOR, until)):
        yield from _dispute(row, since)
    try:
        for row in rows(client, "/preauthorization", query=window(since, until)):
            yield from _hold(row)
    except ListingBroken as broken:
        if not isinstance(broken.outcome, NotExecuted) or broken.outcome.reason not in NO_HOLDS:
            raise


def _changed(row: Row, since: datetime, *names: str) -> bool:
    """Was it made or touched since then? In doubt yes: news may repeat what is known."""
    stamps = [read_time(row.get(name)) for name in names]
    known = [stamp for stamp in stamps if stamp is not None]
    made = read_time(row.get("createdAt"), row.get("created_at"))
    return not known or made is None or max(*known, made) >= since


def _transaction(row: Row) -> Iterator[AnyNews]:
    reference = word(row.get("reference"))
    if reference is None:
        return
    when = read_time(row.get("paid_at"), row.get("paidAt"), row.get("created_at"), row.get("createdAt"))
    if row.get("channel") == "preauth":  # the money of a hold, under the hold's reference
        yield News("capture", None, None, reference, reference, when)
        return
    mark = mark_of(row)
    yield News("start", _outcome(row, reference, mark), mark, reference, occurred_at=when)


def _outcome(row: Row, reference: str, mark: str | None) -> Outcome | None:
    """None where it has to be asked: a row that cannot be read, or one that says different things of a page and of a
    saved card, since which of them stood behind it is ours to know."""
    status = row.get("status")
    made = TRANSACTION_STATUSES.get(status) if isinstance(status, str) else None
    if made is None or made is not CHARGE_STATUSES.get(str(status)):
        return None
    found = read_transaction(row_answer(row), reference, mark)
    return None if isinstance(found, Unknown) else found


def _hold(row: Row) -> Iterator[AnyNews]:
    """Rows carry no mark, and say too little to be believed: each makes us ask."""
    reference = word(row.get("reference"))
    if reference is not None:
        when = read_time(row.get("released_at"), row.get("captured_at"), row.get("created_at"))
        yield News("start", None, None, reference, reference, when)


def _dispute(row: Row, since: datetime) -> Iterator[AnyNews]:
    dispute_id = read_id(row.get("id"))
    if dispute_id is not None and _changed(row, since, "updatedAt", "updated_at", "resolvedAt"):
        yield DisputeNews(dispute_id, charge_ids(row), read_time(row.get("updatedAt"), row.get("createdAt")))
