"""Do our books say already what a provider tells? Read without a lock: in doubt they do not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.domain.identifiers import InvalidIdentifier, parse_id
from core.domain.outcomes import Canceled, Declined, Outcome, Pending, Succeeded
from core.persistence.tables import disputes, payments, refunds, transactions
from core.providers.base import AnyNews, DisputeNews, MethodNews, News

Row = Mapping[Any, Any]

#: Statuses of a transaction that say the same as an outcome, or something later.
_SAYS: Mapping[type, frozenset[str]] = {
    Succeeded: frozenset({"succeeded"}),
    Declined: frozenset({"declined"}),
    Canceled: frozenset({"canceled", "not_executed", "declined"}),
    Pending: frozenset({"pending", "succeeded", "declined", "canceled", "not_executed"}),
}
_REFUND_SAYS: Mapping[type, frozenset[str]] = {
    Succeeded: frozenset({"succeeded", "failed"}),
    Declined: frozenset({"failed", "canceled"}),
    Canceled: frozenset({"failed", "canceled"}),
    Pending: frozenset({"processing", "requires_action", "succeeded", "failed", "canceled"}),
}
_ENDED = frozenset({"succeeded", "failed", "canceled"})


def is_known(connection: Connection, account_id: UUID, news: AnyNews) -> bool:
    match news:
        case MethodNews():
            return False  # whether it is known shows when it is heeded
        case DisputeNews():
            return _dispute_known(connection, account_id, news)
        case News(operation="refund"):
            return _refund_known(connection, account_id, news)
        case News():
            return _start_known(connection, account_id, news)


def _dispute_known(connection: Connection, account_id: UUID, news: DisputeNews) -> bool:
    columns = disputes.c
    query = sa.select(columns.updated_at).where(
        columns.provider_account_id == account_id, columns.provider_id == news.provider_id
    )
    updated = connection.execute(query).scalar()
    return updated is not None and news.occurred_at is not None and updated >= news.occurred_at


def _refund_known(connection: Connection, account_id: UUID, news: News) -> bool:
    """By its own id alone: two equal refunds are two."""
    if news.outcome is None or news.provider_id is None:
        return False
    says = _REFUND_SAYS.get(type(news.outcome), frozenset())
    columns = transactions.c
    sent = sa.select(refunds.c.status).join(transactions, columns.refund_id == refunds.c.id)
    sent = sent.where(columns.provider_account_id == account_id, columns.provider_id == news.provider_id)
    found = connection.execute(sent).scalar()
    if found is None and news.start_provider_id is not None:
        charge = _transaction(connection, account_id, News("start", None, provider_id=news.start_provider_id))
        if charge is not None:
            own = sa.select(refunds.c.status).where(
                refunds.c.payment_id == charge["payment_id"], refunds.c.provider_id == news.provider_id
            )
            found = connection.execute(own).scalar()
    return found in says


def _start_known(connection: Connection, account_id: UUID, news: News) -> bool:
    sent = _transaction(connection, account_id, news)
    if sent is None:
        return False
    payment = connection.execute(sa.select(payments.c.status).where(payments.c.id == sent["payment_id"])).scalar_one()
    if news.outcome is None or news.operation != "start":
        # It makes us ask, and what has ended has been asked about; a hold that stands may have been taken or let go.
        return payment in _ENDED
    return _says(sent, news.outcome)


def _says(sent: Row, outcome: Outcome) -> bool:
    return sent["status"] in _SAYS.get(type(outcome), frozenset({"succeeded", "declined", "canceled", "not_executed"}))


def _transaction(connection: Connection, account_id: UUID, news: News) -> Row | None:
    columns = transactions.c
    query = sa.select(columns.id, columns.payment_id, columns.status, columns.kind)
    if news.transaction_id is not None:
        try:
            mark = parse_id("transaction", news.transaction_id)
        except InvalidIdentifier:
            return None
        marked = query.where(columns.id == mark, columns.provider_account_id == account_id)
        return connection.execute(marked).mappings().one_or_none()
    starts = columns.kind.in_(("charge", "authorize"))
    for name in (news.provider_id, news.start_provider_id):
        for column in (columns.provider_id, columns.provider_charge_id):
            named = query.where(columns.provider_account_id == account_id, column == name, starts)
            found = None if name is None else connection.execute(named.order_by(columns.id.desc())).mappings().first()
            if found is not None:
                return found
    return None
