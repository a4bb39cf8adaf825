"""What was paid out, and the lines that each payout is made of, in pages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.domain.errors import NotFoundError
from core.domain.identifiers import InvalidIdentifier, parse_id, public_id
from core.domain.representations import timestamp
from core.orchestration.context import Core
from core.persistence.database import Scope
from core.persistence.tables import payouts, statement_lines

Row = Mapping[Any, Any]
#: Lines read at a time for an export: as few as memory needs, as many as a trip is worth.
AT_ONCE = 1000

_SUMS = (
    "paid_out", "gross", "fees", "refunds", "disputes", "adjustments", "carried_in", "carried_over", "difference",
    "lines", "foreign_lines", "foreign_net",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Place:
    """A payout as the last one of a page; its text form is `acc_…:the provider's id`."""

    account_id: UUID
    payout: str

    @classmethod
    def read(cls, text: str) -> Place | None:
        """None for what is no place."""
        account, _, payout = text.partition(":")
        try:
            return cls(parse_id("provider_account", account), payout)
        except InvalidIdentifier:
            return None

    def __str__(self) -> str:
        return f"{public_id('provider_account', self.account_id)}:{self.payout}"


@dataclass(frozen=True, slots=True)
class Wanted:
    """`limit` 1 to 1000; `before` (UTC) bounds `booked_at`; `after` is the last one seen."""

    limit: int = 20
    before: datetime | None = None
    account_id: UUID | None = None
    status: str | None = None
    after: Place | None = None


def list_payouts(core: Core, scope: Scope, wanted: Wanted) -> dict[str, Any]:
    """The newest first: {"data", "has_more", "next"}; `next` goes into the next `after`."""
    columns = payouts.c
    query = sa.select(payouts).where(columns.merchant_id == scope.merchant_id, columns.mode == scope.mode)
    equals = {columns.provider_account_id: wanted.account_id, columns.status: wanted.status}
    query = query.where(*(column == value for column, value in equals.items() if value is not None))
    if wanted.before is not None:
        query = query.where(columns.booked_at < wanted.before)
    query = query.order_by(columns.booked_at.desc(), columns.provider_account_id, columns.payout)
    with core.database.scoped(scope) as connection:
        if wanted.after is not None:
            query = query.where(_behind(connection, scope, wanted.after))
        found = connection.execute(query.limit(wanted.limit + 1)).mappings().all()
    data, more = [shown(row) for row in found[: wanted.limit]], len(found) > wanted.limit
    last = found[len(data) - 1] if more else None
    following = None if last is None else str(Place(last["provider_account_id"], last["payout"]))
    return {"data": data, "has_more": more, "next": following}


def _behind(connection: Connection, scope: Scope, after: Place) -> sa.ColumnElement[bool]:
    """Several accounts are paid out in one second, so time alone is no place. Those without a time come first, and
    behind what is not there comes nothing."""
    columns = payouts.c
    last = connection.execute(_one(scope, after.account_id, after.payout)).mappings().one_or_none()
    if last is None:
        return sa.false()
    later = sa.tuple_(columns.provider_account_id, columns.payout) > sa.tuple_(after.account_id, after.payout)
    if last["booked_at"] is None:
        return sa.or_(columns.booked_at.is_not(None), later)
    return sa.and_(columns.booked_at <= last["booked_at"], sa.or_(columns.booked_at < last["booked_at"], later))


def _one(scope: Scope, account_id: UUID, payout: str) -> sa.Select[Any]:
    columns = payouts.c
    return sa.select(payouts).where(
        columns.merchant_id == scope.merchant_id,
        columns.mode == scope.mode,
        columns.provider_account_id == account_id,
        columns.payout == payout,
    )


def find(core: Core, scope: Scope, account_id: UUID, payout: str) -> dict[str, Any]:
    """Raises NotFoundError."""
    with core.database.scoped(scope) as connection:
        row = connection.execute(_one(scope, account_id, payout)).mappings().one_or_none()
    if row is None:
        raise NotFoundError("there is no such payout; `tollgate payouts list` shows them")
    return shown(row)


def lines(
    core: Core, scope: Scope, account_id: UUID, payout: str, limit: int, after: str | None
) -> list[dict[str, Any]]:
    """By the provider's line ids, from the one behind `after` on."""
    columns = statement_lines.c
    query = sa.select(statement_lines).where(
        columns.merchant_id == scope.merchant_id,
        columns.mode == scope.mode,
        columns.provider_account_id == account_id,
        columns.payout == payout,
    )
    if after is not None:
        query = query.where(columns.line_id > after)
    with core.database.scoped(scope) as connection:
        return [_line(row) for row in connection.execute(query.order_by(columns.line_id).limit(limit)).mappings()]


def all_lines(core: Core, scope: Scope, account_id: UUID, payout: str) -> Iterator[dict[str, Any]]:
    """Every line, in memory that does not grow with their number."""
    after: str | None = None
    while found := lines(core, scope, account_id, payout, AT_ONCE, after):
        yield from found
        after = found[-1]["line"]


def shown(row: Row) -> dict[str, Any]:
    """The public form of a payout. Sums in minor units: gross - fees - refunds - disputes - adjustments = paid out.
    `exchanged` is what of it was charged in other currencies, by currency: `original` there, `converted` here."""
    return {
        "payout": row["payout"],
        "provider_account": public_id("provider_account", row["provider_account_id"]),
        "status": row["status"],
        "currency": row["currency"],
        **{name: row[name] for name in _SUMS},
        "exchanged": row["exchanged"],
        "booked_at": timestamp(row["booked_at"]),
        "arrives_at": timestamp(row["arrives_at"]),
    }


def _line(row: Row) -> dict[str, Any]:
    links = {"payment": "payment_id", "transaction": "transaction_id", "refund": "refund_id", "dispute": "dispute_id"}
    return {
        "line": row["line_id"],
        "kind": row["kind"],
        "matched": row["matched"],
        **{name: row[name] for name in ("amount", "fee", "net", "currency", "source", "payout")},
        **{kind: None if row[name] is None else public_id(kind, row[name]) for kind, name in links.items()},
        **{name: row[name] for name in ("original_amount", "original_currency", "exchange_rate", "provider_kind")},
        "booked_at": timestamp(row["booked_at"]),
        "available_at": timestamp(row["available_at"]),
    }
