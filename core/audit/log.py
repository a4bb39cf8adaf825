"""Writing audit records. There is no function here that changes one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy.engine import Connection

from core.domain.identifiers import new_id
from core.persistence import pipeline
from core.persistence.database import Scope
from core.persistence.tables import audit_log


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
    details: Mapping[str, Any] | None = None,
) -> None:
    """Say who did what to which row, and why. `details` holds no secrets and no people's data."""
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
    pipeline.insert(connection, audit_log, values)
