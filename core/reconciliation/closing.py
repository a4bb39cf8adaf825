"""Findings that a later reading has answered are closed by it, in the audit log like a person's decision."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.audit import log
from core.persistence.database import Scope
from core.persistence.tables import findings

ACTOR = "reconciliation"


def close(connection: Connection, scope: Scope, kinds: Sequence[str], key: str, why: str) -> None:
    """Those of these kinds about one matter, where they are still open."""
    close_all(connection, scope, kinds, [key], why)


def close_all(connection: Connection, scope: Scope, kinds: Sequence[str], keys: Collection[str], why: str) -> None:
    """The same for many matters. What something else than a run has opened waits for whoever it was opened for."""
    if not keys:
        return
    columns = findings.c
    closed = connection.execute(
        findings.update()
        .where(
            columns.merchant_id == scope.merchant_id,
            columns.mode == scope.mode,
            columns.kind.in_(kinds),
            columns.dedupe_key.in_(keys),
            columns.status == "open",
            columns.run_id.is_not(None),
        )
        .values(status="resolved", resolved_at=sa.func.app_now(), resolved_by=ACTOR, action="done", resolution=why)
        .returning(columns.id, columns.kind, columns.payment_id)
    ).all()
    for row in closed:
        log.record(
            connection,
            scope=scope,
            actor=ACTOR,
            action="finding.resolved",
            subject_kind="finding",
            subject_id=row.id,
            payment_id=row.payment_id,
            from_status="open",
            to_status="resolved",
            cause="clock",
            details={"action": "done", "reason": why, "kind": row.kind},
        )
