"""Writing audit records. There is no function here that changes one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict
from uuid import UUID

from sqlalchemy.engine import Connection

from core.domain.identifiers import new_id
from core.persistence import pipeline
from core.persistence.database import Scope
from core.persistence.tables import audit_log

#: Whose records are no merchant's: of the installation itself, its administrators and its keys. To write one, the
#: API's login opens `database.scoped(EVERYBODY)`.
EVERYBODY = Scope(UUID(int=0), "live")


def record(
    connection: Connection,
    *,
    scope: Scope,
    actor: str,
    action: str,
    subject_kind: str,
    subject_id: UUID,
    payment_id: UUID | None = None,
    from_status: str | None = None,
    to_status: str | None = None,
    cause: str | None = None,
    request_id: str | None = None,
    job_id: UUID | None = None,
    from_address: str | None = None,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    details: Mapping[str, Any] | None = None,
) -> None:
    """Say who did what to which row, why and from where.

    `actor` is `key:ID`, `person:NAME`, `cli:LOGIN`, a provider, or the process. `before` and `after` hold what changed
    of the row, as JSON; see `changes`. None of it, `details` least of all, holds a secret or a person's data.
    """
    values = {
        "id": new_id(),
        "merchant_id": scope.merchant_id,
        "mode": scope.mode,
        "actor": actor,
        "action": action,
        "subject_kind": subject_kind,
        "subject_id": subject_id,
        "payment_id": payment_id,
        "from_status": from_status,
        "to_status": to_status,
        "cause": cause,
        "request_id": request_id,
        "details": details or {},
    }
    # Most records have none of these; one statement is prepared for each set of columns, and the short one is cheaper.
    seldom = {"job_id": job_id, "from_address": from_address, "before": before, "after": after}
    values |= {name: value for name, value in seldom.items() if value is not None}
    pipeline.insert(connection, audit_log, values)


class Origin(TypedDict):
    """Where somebody asks from."""

    request_id: str | None
    from_address: str | None


class Changes(TypedDict):
    before: Mapping[str, Any]
    after: Mapping[str, Any]


def changes(before: Mapping[Any, Any], after: Mapping[Any, Any], *names: str) -> Changes:
    """`before` and `after` for `record`: of the columns `names` those that differ.

    Name no column that holds a secret or a person's data; for such a one say in `details` that it changed.
    """
    differ = [name for name in names if before.get(name) != after.get(name)]
    return {
        "before": {name: _json(before.get(name)) for name in differ},
        "after": {name: _json(after.get(name)) for name in differ},
    }


def _json(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {str(name): _json(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_json(inner) for inner in value]
    return str(value)
