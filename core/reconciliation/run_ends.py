"""What is written of runs: their steps, their audit records, and the end of those that nobody carries on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.audit import log as audit
from core.domain.identifiers import public_id
from core.orchestration import jobs
from core.orchestration.context import Core
from core.persistence.database import Scope
from core.persistence.tables import reconciliation_runs

Row = Mapping[Any, Any]
OPEN = ("queued", "running")

#: Open runs whose job has ended or waits for a person: nobody carries them on.
_LEFT = (
    "SELECT r.*, j.id AS its_job, j.status AS job_status, j.error AS job_error FROM reconciliation_runs r "
    "LEFT JOIN jobs j ON j.id = r.job_id WHERE r.status IN ('queued', 'running') "
    "AND (j.id IS NULL OR j.status NOT IN ('queued', 'running')) "
)
_LEFT_ANYWHERE = sa.text(f"{_LEFT} ORDER BY r.id")
_LEFT_OF_ACCOUNT = sa.text(f"{_LEFT} AND r.provider_account_id = :account AND r.kind = :kind FOR UPDATE OF r")


def end_left_behind(core: Core) -> int:
    """Let the runs fail whose job has ended or waits for a person, so that their accounts are compared again; how
    many."""
    with core.database.unscoped() as connection:
        found = connection.execute(_LEFT_ANYWHERE).mappings().all()
    ended = 0
    for run in found:
        scope = Scope(run["merchant_id"], run["mode"])
        with core.transaction(scope) as connection:
            ended += end_left(connection, scope, run["provider_account_id"], run["kind"])
    return ended


def end_left(connection: Connection, scope: Scope, account_id: UUID, kind: str) -> bool:
    """The job's own row is not held: whoever queues it again finds a run that has ended, and so does the job."""
    run = connection.execute(_LEFT_OF_ACCOUNT, {"account": account_id, "kind": kind}).mappings().one_or_none()
    if run is None:
        return False
    job = "its job is gone" if run["its_job"] is None else f"{public_id('job', run['its_job'])} is {run['job_status']}"
    why = (run["job_error"] or {}).get("code")
    error = {"code": "job_ended", "message": f"nobody carries it on: {job}" + (f" ({why})" if why else "")}
    write(connection, run, {"status": "failed", "error": error, "finished_at": sa.func.app_now()})
    told = {"kind": kind, "counts": run["counts"], "findings": run["findings"]}
    record(connection, scope, run["id"], "worker", "reconciliation.failed", told, run["job_id"])
    return True


def write(connection: Connection, run: Row, values: Mapping[str, Any]) -> None:
    """A run that has ended stays as it ended. Raises jobs.LeaseLost: whoever still writes is not its job's holder."""
    columns = reconciliation_runs.c
    statement = reconciliation_runs.update().where(columns.id == run["id"], columns.status.in_(OPEN))
    if connection.execute(statement.values(**values, updated_at=sa.func.app_now())).rowcount != 1:
        raise jobs.LeaseLost(str(run["job_id"]))


def record(
    connection: Connection,
    scope: Scope,
    run_id: UUID,
    actor: str,
    action: str,
    details: Mapping[str, Any],
    job_id: UUID,
    origin: audit.Origin | None = None,
) -> None:
    audit.record(
        connection,
        scope=scope,
        actor=actor,
        action=action,
        subject_kind="reconciliation_run",
        subject_id=run_id,
        cause="clock" if actor in ("clock", "worker") else "person",
        job_id=job_id,
        **(origin or {"request_id": None, "from_address": None}),
        details=details,
    )
