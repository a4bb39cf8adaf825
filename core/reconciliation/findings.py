"""Findings: listed, assigned and resolved by a person with a reason, each decision in the audit log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.audit import log
from core.domain.errors import NotFoundError, RequestRefused, StateConflict
from core.domain.findings import KINDS, Repair, Severity
from core.domain.identifiers import public_id
from core.domain.representations import timestamp
from core.orchestration.context import Core
from core.orchestration.review import Person
from core.persistence.database import Scope
from core.persistence.queries import payments as payment_rows
from core.persistence.tables import findings, jobs
from core.reconciliation import repairs

Row = Mapping[Any, Any]
#: `assigned` is open and in somebody's hands; `unresolved` is either.
Status = Literal["open", "assigned", "resolved", "unresolved"]
LONGEST_NAME = 100
#: Rows that an export reads at a time.
_PAGE = 1000

_STATUS: Mapping[str, sa.ColumnElement[bool]] = {
    "open": sa.and_(findings.c.status == "open", findings.c.assigned_to.is_(None)),
    "assigned": sa.and_(findings.c.status == "open", findings.c.assigned_to.is_not(None)),
    "resolved": findings.c.status == "resolved",
    "unresolved": findings.c.status == "open",
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which findings; None is any. `limit` 1 to 1000; `after` is the last id of the page before."""

    limit: int = 20
    after: UUID | None = None
    status: Status | None = None
    kind: str | None = None
    severity: Severity | None = None
    account_id: UUID | None = None
    payment_id: UUID | None = None
    run_id: UUID | None = None


def list_findings(core: Core, scope: Scope | None, wanted: Wanted) -> list[Row]:
    """Newest first, one more than the limit where there are more. Without a scope: of all merchants."""
    query = sa.select(findings).order_by(findings.c.id.desc()).limit(wanted.limit + 1)
    columns = findings.c
    if scope is not None:
        query = query.where(columns.merchant_id == scope.merchant_id, columns.mode == scope.mode)
    equals = {
        columns.kind: wanted.kind,
        columns.severity: wanted.severity,
        columns.provider_account_id: wanted.account_id,
        columns.payment_id: wanted.payment_id,
        columns.run_id: wanted.run_id,
    }
    query = query.where(*(column == value for column, value in equals.items() if value is not None))
    if wanted.status is not None:
        query = query.where(_STATUS[wanted.status])
    if wanted.after is not None:
        query = query.where(columns.id < wanted.after)
    with core.database.unscoped() if scope is None else core.database.scoped(scope) as connection:
        return list(connection.execute(query).mappings().all())


def all_findings(core: Core, scope: Scope, wanted: Wanted) -> Iterator[Row]:
    """Every one that is wanted, whatever the limit; read a page at a time, in a transaction each."""
    after = wanted.after
    while True:
        found = list_findings(core, scope, replace(wanted, limit=_PAGE, after=after))
        yield from found[:_PAGE]
        if len(found) <= _PAGE:
            return
        after = found[_PAGE - 1]["id"]


def find(core: Core, finding_id: UUID, scope: Scope | None = None) -> Row:
    """Raises NotFoundError."""
    query = sa.select(findings).where(findings.c.id == finding_id)
    if scope is not None:
        query = query.where(findings.c.merchant_id == scope.merchant_id, findings.c.mode == scope.mode)
    with core.database.unscoped() if scope is None else core.database.scoped(scope) as connection:
        row = connection.execute(query).mappings().one_or_none()
    if row is None:
        raise NotFoundError("there is no such finding; `tollgate findings list` shows them")
    return row


def assign(core: Core, scope: Scope, finding_id: UUID, to: str | None, person: Person) -> Row:
    """Put a finding into somebody's hands, or with None into nobody's. Raises NotFoundError, StateConflict,
    RequestRefused."""
    if to is not None and not (to.strip() and to.isprintable() and len(to) <= LONGEST_NAME):
        raise RequestRefused(f"a name has 1 to {LONGEST_NAME} characters on one line")
    with core.transaction(scope) as connection:
        row = _lock(connection, scope, finding_id)
        values = {"assigned_to": to, "assigned_at": None if to is None else sa.func.app_now()}
        _write(connection, row, values)
        _record(connection, row, person, "finding.assigned", {"from": row["assigned_to"], "to": to})
    return find(core, finding_id, scope)


def resolve(
    core: Core, scope: Scope, finding_id: UUID, action: Repair, person: Person, payment_id: UUID | None = None
) -> Row:
    """End a finding, with the repair that was chosen: it, its audit record and the end are one commit.

    `payment_id` is the payment to link to. Raises NotFoundError; StateConflict when it was resolved already, when a
    job has to be decided first, or when the payment moved meanwhile; RequestRefused for a repair that does not fit.
    """
    with core.transaction(scope) as connection:
        # Payment first, as on every road; the finding is read again under its own lock.
        about = _read(connection, scope, finding_id)["payment_id"] or payment_id
        payment = None if about is None else payment_rows.seek_payment(connection, about)
        if payment is not None and Scope(payment["merchant_id"], payment["mode"]) != scope:
            raise NotFoundError("there is no such payment of this merchant and mode")
        row = _lock(connection, scope, finding_id)
        _check_fits(connection, row, action)
        if (action == "link") != (payment_id is not None):
            raise RequestRefused("a payment is named with the action link, and with no other")
        done = repairs.carry_out(core, connection, scope, action, row, payment, person)
        values = {"status": "resolved", "resolved_at": sa.func.app_now(), "resolved_by": person.actor}
        _write(connection, row, {**values, "resolution": person.reason, "action": action})
        _record(connection, row, person, "finding.resolved", {"action": action, **done})
    return find(core, finding_id, scope)


def repairs_of(row: Row) -> Sequence[Repair]:
    """What may be done about a finding; those whose job has been decided are only closed."""
    kind = KINDS.get(row["kind"])
    return ("done", "ignore") if kind is None else kind.repairs


def _check_fits(connection: Connection, row: Row, action: Repair) -> None:
    if action == "decide_job":
        raise RequestRefused("decide its job: `tollgate jobs resolve` or `requeue` ends the finding with it")
    if row["job_id"] is not None:
        status = connection.execute(sa.select(jobs.c.status).where(jobs.c.id == row["job_id"])).scalar()
        if status == "needs_review":
            name = public_id("job", row["job_id"])
            raise StateConflict(f"its job waits for you: decide it with `tollgate jobs show {name}`, which ends both")
    # Once its job has been decided, nothing is left of it but to be closed.
    fitting = [one for one in repairs_of(row) if one != "decide_job"] or ["done", "ignore"]
    if action not in fitting:
        raise RequestRefused(f"{action} does not fit a finding of kind {row['kind']}; choose {' or '.join(fitting)}")


def _read(connection: Connection, scope: Scope, finding_id: UUID, *, lock: bool = False) -> Row:
    """Raises NotFoundError."""
    columns = findings.c
    query = sa.select(findings).where(
        columns.id == finding_id, columns.merchant_id == scope.merchant_id, columns.mode == scope.mode
    )
    row = connection.execute(query.with_for_update() if lock else query).mappings().one_or_none()
    if row is None:
        raise NotFoundError("there is no such finding; `tollgate findings list` shows them")
    return row


def _lock(connection: Connection, scope: Scope, finding_id: UUID) -> Row:
    """Raises NotFoundError, StateConflict for one that is resolved."""
    row = _read(connection, scope, finding_id, lock=True)
    if row["status"] == "resolved":
        who = f" by {row['resolved_by']}" if row["resolved_by"] else ""
        raise StateConflict(f"this finding was resolved{who} at {timestamp(row['resolved_at'])}; nothing was changed")
    return row


def _write(connection: Connection, row: Row, values: Mapping[str, Any]) -> None:
    connection.execute(findings.update().where(findings.c.id == row["id"]).values(**values))


def _record(connection: Connection, row: Row, person: Person, action: str, details: Mapping[str, Any]) -> None:
    log.record(
        connection,
        scope=Scope(row["merchant_id"], row["mode"]),
        actor=person.actor,
        action=action,
        subject_kind="finding",
        subject_id=row["id"],
        payment_id=row["payment_id"],
        from_status=row["status"],
        to_status="resolved" if action == "finding.resolved" else row["status"],
        cause="person",
        **person.origin,
        details={**details, "reason": person.reason, "kind": row["kind"]},
    )


def shown(row: Row) -> dict[str, Any]:
    """The public form of a finding."""
    kind = KINDS.get(row["kind"])
    links = {
        "payment": "payment_id",
        "transaction": "transaction_id",
        "job": "job_id",
        "inbox_event": "inbox_id",
        "provider_account": "provider_account_id",
        "reconciliation_run": "run_id",
    }
    status = "assigned" if row["status"] == "open" and row["assigned_to"] is not None else row["status"]
    return {
        "id": public_id("finding", row["id"]),
        "kind": row["kind"],
        "status": status,
        "severity": row["severity"],
        "means": "" if kind is None else kind.means,
        "amount": row["amount"],
        "currency": row["currency"],
        **{name: None if row[column] is None else public_id(name, row[column]) for name, column in links.items()},
        "details": row["details"],
        "evidence": row["evidence"],
        "suggestion": None if kind is None else kind.suggestion,
        "repairs": list(repairs_of(row)),
        "assigned_to": row["assigned_to"],
        "created_at": timestamp(row["created_at"]),
        "resolved_at": timestamp(row["resolved_at"]),
        "resolved_by": row["resolved_by"],
        "resolution": row["resolution"],
        "action": row["action"],
    }
