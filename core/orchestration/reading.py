"""Reading: what merchants may see of their own rows, in the public form."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from core.domain import representations
from core.domain.errors import NotFoundError
from core.domain.identifiers import public_id
from core.domain.statuses import FINAL_JOB
from core.orchestration import intake, people
from core.orchestration import timeline as words
from core.orchestration.context import Core
from core.persistence.database import Scope
from core.persistence.queries import reading as rows
from core.persistence.queries.reading import Page
from core.persistence.queries.timeline import rows_about
from core.persistence.tables import disputes, jobs, payment_methods, payments, refunds

Row = Mapping[Any, Any]

#: A waiting request asks first after this many seconds and then less and less often: most jobs end within half a
#: second, and one that does not should not cost a query every moment.
_FIRST_LOOK = 0.02
_SLOWEST_LOOK = 0.25
_SLOWING = 1.4

#: Jobs a caller need not wait for any longer.
SETTLED = FINAL_JOB | {"needs_review"}


@dataclass(frozen=True, slots=True)
class Filters:
    """`limit` 1 to 100; `after` is the last id of the page before; times are UTC and exclusive."""

    limit: int = 20
    after: UUID | None = None
    status: str | None = None
    currency: str | None = None
    reference: str | None = None
    provider: str | None = None
    customer_id: UUID | None = None
    payment_id: UUID | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None

    def page(self) -> Page:
        names = ("status", "currency", "reference", "provider", "customer_id", "payment_id")
        equals = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        return Page(self.limit, self.after, equals, self.created_after, self.created_before)


def missing(kind: str) -> NotFoundError:
    """The one answer for an id that is unknown, malformed, of another kind, merchant or mode."""
    return NotFoundError(f"there is no such {kind.replace('_', ' ')}")


def _found(connection: Connection, table: sa.Table, scope: Scope, kind: str, row_id: UUID) -> Row:
    row = rows.find(connection, table, scope, row_id)
    if row is None:
        raise missing(kind)
    return row


def _payment_body(core: Core, connection: Connection, row: Row) -> dict[str, Any]:
    return representations.payment(row, intake.next_action(core, connection, row))


def _read(core: Core, scope: Scope, table: sa.Table, kind: str, row_id: UUID) -> Row:
    """One row on one trip. Raises NotFoundError."""
    with core.database.glance(scope) as connection:
        return _found(connection, table, scope, kind, row_id)


def _shown(core: Core, scope: Scope, payment: Row) -> dict[str, Any]:
    """The body of a payment that was read; only where the customer has to go may need another row."""
    if payment["next_action_sealed"] is None:
        return representations.payment(payment)
    with core.database.scoped(scope) as connection:
        return _payment_body(core, connection, payment)


def get_payment(core: Core, scope: Scope, payment_id: UUID) -> dict[str, Any]:
    """Raises NotFoundError."""
    return _shown(core, scope, _read(core, scope, payments, "payment", payment_id))


def get_refund(core: Core, scope: Scope, refund_id: UUID) -> dict[str, Any]:
    """Raises NotFoundError."""
    return representations.refund(_read(core, scope, refunds, "refund", refund_id))


def get_dispute(core: Core, scope: Scope, dispute_id: UUID) -> dict[str, Any]:
    """Raises NotFoundError."""
    return representations.dispute(_read(core, scope, disputes, "dispute", dispute_id))


def listing(found: Sequence[RowMapping], limit: int, kind: str, show: Callable[[RowMapping], Any]) -> dict[str, Any]:
    """A page from up to `limit` + 1 rows: {"data", "has_more", "next"}; `next` goes into the next `after`."""
    shown = found[:limit]
    more = len(found) > limit
    following = public_id(kind, shown[-1]["id"]) if more else None
    return {"data": [show(row) for row in shown], "has_more": more, "next": following}


def list_payments(core: Core, scope: Scope, filters: Filters) -> dict[str, Any]:
    with core.database.scoped(scope) as connection:
        found = rows.payments_page(connection, scope, filters.page())
        return listing(found, filters.limit, "payment", lambda row: _payment_body(core, connection, row))


def list_refunds(core: Core, scope: Scope, filters: Filters) -> dict[str, Any]:
    """With `payment_id`, raises NotFoundError when there is no such payment."""
    with core.database.scoped(scope) as connection:
        if filters.payment_id is not None:
            _found(connection, payments, scope, "payment", filters.payment_id)
        found = rows.refunds_page(connection, scope, filters.page())
        return listing(found, filters.limit, "refund", representations.refund)


def list_disputes(core: Core, scope: Scope, filters: Filters) -> dict[str, Any]:
    """With `payment_id`, raises NotFoundError when there is no such payment."""
    with core.database.scoped(scope) as connection:
        if filters.payment_id is not None:
            _found(connection, payments, scope, "payment", filters.payment_id)
        found = rows.page(connection, disputes, scope, filters.page())
        return listing(found, filters.limit, "dispute", representations.dispute)


def _result(core: Core, scope: Scope, job: Row) -> dict[str, Any]:
    """What the job is about, as it is now."""
    result: dict[str, Any] = {}
    if job["payment_id"] is not None:
        result["payment"] = _shown(core, scope, _read(core, scope, payments, "payment", job["payment_id"]))
    if job["kind"] == "refund_payment" and job["target_id"] is not None:
        result["refund"] = representations.refund(_read(core, scope, refunds, "refund", job["target_id"]))
    if job["kind"] in ("send_evidence", "accept_dispute") and job["target_id"] is not None:
        result["dispute"] = representations.dispute(_read(core, scope, disputes, "dispute", job["target_id"]))
    if job["kind"] == "forget_method" and job["target_id"] is not None:
        # Without card or bank: a job may be read by keys that may not see customers.
        method = _read(core, scope, payment_methods, "payment_method", job["target_id"])
        result["payment_method"] = people.method_body(method, None)
    if job["kind"] == "push_customer" and job["target_id"] is not None:
        result["customer"] = {"id": public_id("customer", job["target_id"])}
    return result


def get_job(core: Core, scope: Scope, job_id: UUID) -> dict[str, Any]:
    """The job with its `result`, null until it has ended or waits for a person. Raises NotFoundError."""
    row = _read(core, scope, jobs, "job", job_id)
    ended = row["status"] in SETTLED
    return {**representations.job(row), "result": _result(core, scope, row) if ended else None}


def get_outcome(core: Core, scope: Scope, job_id: UUID) -> dict[str, Any]:
    """{"job", "payment"} and for a refund {"refund"}, as they are now. Raises NotFoundError."""
    row = _read(core, scope, jobs, "job", job_id)
    return {"job": representations.job(row), **_result(core, scope, row)}


def wait_until_settled(
    core: Core, scope: Scope, job_id: UUID, seconds: float, enough: Callable[[], bool] = lambda: False
) -> bool:
    """Look again and again, holding no connection in between. False when the time is over, or `enough` says so.

    Raises NotFoundError.
    """
    deadline = time.monotonic() + seconds
    pause = _FIRST_LOOK
    while True:
        with core.database.glance(scope) as connection:
            status = rows.job_status(connection, scope, job_id)
        if status is None:
            raise missing("job")
        if status in SETTLED:
            return True
        left = deadline - time.monotonic()
        if left <= 0 or enough():
            return False
        time.sleep(min(pause, left))
        pause = min(pause * _SLOWING, _SLOWEST_LOOK)


def timeline(core: Core, scope: Scope, payment_id: UUID) -> dict[str, Any]:
    """{"payment", "data": [{at, kind, summary, details}]} in order of time. Raises NotFoundError."""
    with core.database.scoped(scope) as connection:
        row = _found(connection, payments, scope, "payment", payment_id)
        found: Mapping[str, Sequence[RowMapping]] = rows_about(connection, scope, payment_id, row["created_at"])
        return {"payment": public_id("payment", payment_id), "data": words.tell(row, found)}
