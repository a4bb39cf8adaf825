"""Searching the log, newest first, a bounded stretch of it at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.engine import Connection

from core.audit import seals
from core.audit.exports import Reader, Span
from core.audit.seals import Seal
from core.domain.errors import RequestRefused
from core.domain.identifiers import PREFIXES, public_id, time_of
from core.domain.representations import timestamp
from core.persistence.database import Database, Scope
from core.persistence.queries import audit as rows

#: Numbers one question looks through: what is asked for may be rare, and nobody is made to wait for all of the log.
#: Then the page ends early, and says where to go on.
SPAN = 200_000
#: Numbers one export over HTTP may cover.
MOST_EXPORTED = 100_000


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is None or left out does not matter."""

    merchant: UUID | None = None
    mode: str | None = None
    payment: UUID | None = None
    subject: UUID | None = None
    subject_kind: str | None = None
    actor: str | None = None
    action: str | None = None
    request: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def told(self) -> dict[str, str]:
        """As the search takes it, and as an export says it."""
        found = {name: getattr(self, name) for name in self.__slots__}
        return {
            name: value.isoformat() if isinstance(value, datetime) else str(value)
            for name, value in found.items()
            if value is not None
        }


def search(database: Database, wanted: Wanted, limit: int, before: int | None = None) -> dict[str, Any]:
    """{"data", "has_more", "next"}; `next` goes into `before`. A page may be short and have more behind it."""
    if wanted.payment is not None and wanted.merchant is not None and wanted.mode is not None:
        return _of_payment(database, wanted, wanted.payment, Scope(wanted.merchant, wanted.mode), limit, before)
    with database.unscoped() as connection:
        floor, high = _stretch(connection, wanted, rows.highest(connection) if before is None else before - 1)
        # A payment's few records are found by an index, however much there is of the rest.
        low = floor if wanted.payment is not None else max(floor, high - SPAN)
        found = rows.search(connection, low, high, limit + 1, wanted.told())
        last = seals.last(connection)
    return _page(found, limit, low + 1 if low > floor else 0, last)


def _stretch(connection: Connection, wanted: Wanted, high: int) -> tuple[int, int]:
    """(above, up to): what is numbered outside was written before or after the time that is asked for.

    A payment has no records from before its id was made.
    """
    low = 0
    for moment in (wanted.since, None if wanted.payment is None else time_of(wanted.payment)):
        if moment is not None:
            low = max(low, rows.numbered_before(connection, moment))
    if wanted.until is not None:
        after = rows.numbered_after(connection, wanted.until)
        high = high if after is None else min(high, after)
    return low, high


def _of_payment(
    database: Database, wanted: Wanted, payment: UUID, scope: Scope, limit: int, before: int | None
) -> dict[str, Any]:
    """All of it, through the index of payments, which only the merchant's own transaction may use."""
    equal = {
        "merchant_id": scope.merchant_id, "mode": scope.mode, "subject_id": wanted.subject,
        "subject_kind": wanted.subject_kind, "actor": wanted.actor, "action": wanted.action,
        "request_id": wanted.request,
    }  # fmt: skip
    given = {name: value for name, value in equal.items() if value is not None}
    with database.scoped(scope) as connection:
        found = rows.of_payment(connection, payment, before, limit + 1, given, wanted.since, wanted.until)
        last = seals.last(connection)
    return _page(found, limit, 0, last)


def _page(found: Sequence[Mapping[Any, Any]], limit: int, onward: int, last: Seal | None) -> dict[str, Any]:
    """`onward`: where the search goes on if the page has all that was found."""
    if len(found) > limit:
        found, onward = found[:limit], int(found[limit - 1]["number"])
    data = [shown(row, 0 if last is None else last.to_number) for row in found]
    return {"data": data, "has_more": bool(onward), "next": onward or None}


def span_of(database: Database, first: int | None, last: int | None, wanted: Wanted) -> Span:
    with database.unscoped() as connection:
        highest = rows.highest(connection)
    return Span(first or 1, min(last or highest, highest), wanted.told())


def bounded(span: Span) -> Span:
    """Raises RequestRefused for one that is too wide to be answered by a request."""
    if span.last - span.first >= MOST_EXPORTED:
        raise RequestRefused(
            f"an export covers {MOST_EXPORTED} numbers at most: name first and last, or use `tollgate audit export`"
        )
    return span


def owners_reader(database: Database) -> Reader:
    """Reads everything for an export, months that were taken off included."""

    def read(low: int, high: int, form: int) -> Iterator[rows.Record]:
        with database.unscoped() as connection:
            found = [rows.records(connection, low, high, form, table=table) for table in rows.sources(connection)]
        return iter(sorted(record for part in found for record in part))

    return read


def reader(database: Database, wanted: Wanted) -> Reader:
    """Reads for an export, a seal at a time, whatever the login may see of the table itself."""

    def read(low: int, high: int, form: int) -> Iterator[rows.Record]:
        with database.unscoped() as connection:
            return iter(rows.searched_texts(connection, low, high, form, wanted.told()))

    return read


def standing(database: Database) -> dict[str, Any]:
    """The newest seal, and what waits for the next."""
    with database.unscoped() as connection:
        last, waits = seals.last(connection), seals.age(connection)
        highest = rows.highest(connection)
    told = {
        "number": 0 if last is None else last.number,
        "to_number": 0 if last is None else last.to_number,
        "hash": None if last is None else last.hash.hex(),
        "public_key": None if last is None else last.public_key.hex(),
        "sealed_at": None if last is None else timestamp(last.sealed_at),
    }
    return {"seal": told if last is not None else None, "highest_number": highest, "unsealed_seconds": round(waits, 3)}


def shown(row: Mapping[Any, Any], sealed: int) -> dict[str, Any]:
    """The public form of a record."""
    kind, home = row["subject_kind"], Scope(row["merchant_id"], row["mode"])
    everybody = home.merchant_id.int == 0
    return {
        "id": public_id("audit_record", row["id"]),
        "number": row["number"],
        "merchant": None if everybody else public_id("merchant", home.merchant_id),
        "mode": None if everybody else home.mode,
        "actor": row["actor"],
        "action": row["action"],
        "subject_kind": kind,
        "subject": public_id(kind, row["subject_id"]) if kind in PREFIXES else str(row["subject_id"]),
        "payment": None if row["payment_id"] is None else public_id("payment", row["payment_id"]),
        "job": None if row["job_id"] is None else public_id("job", row["job_id"]),
        "from_status": row["from_status"],
        "to_status": row["to_status"],
        "before": row["before"],
        "after": row["after"],
        "cause": row["cause"],
        "request_id": row["request_id"],
        "from_address": row["from_address"],
        "details": row["details"],
        "created_at": timestamp(row["created_at"]),
        "sealed": row["number"] <= sealed,
    }
