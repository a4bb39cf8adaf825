"""What is kept of breakers: each step from state to state, as a row, a line in the log and no more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa
import structlog
from sqlalchemy.engine import Connection

from core import metrics
from core.domain.identifiers import new_id, public_id
from core.orchestration.breaker import Breaker
from core.persistence.database import Scope
from core.persistence.tables import health_changes

if TYPE_CHECKING:
    from core.orchestration.context import Core

log = structlog.get_logger(__name__)


def record(
    core: Core, scope: Scope, account_id: UUID, operation: str, steps: Sequence[tuple[Breaker, Breaker]]
) -> None:
    """Best effort, in a transaction of its own: a payment never waits for it, and nothing depends on it."""
    account = public_id("provider_account", account_id)
    for before, after in steps:
        metrics.BREAKERS.labels(operation, after.state.value).inc()
        log.warning(
            "breaker",
            account_id=account,
            operation=operation,
            from_state=before.state.value,
            to_state=after.state.value,
        )
    try:
        with core.transaction(scope, lock_timeout=1.0) as connection:
            for before, after in steps:
                values = {
                    "id": new_id(),
                    "merchant_id": scope.merchant_id,
                    "mode": scope.mode,
                    "provider_account_id": account_id,
                    "operation": operation,
                    "from_state": before.state.value,
                    "to_state": after.state.value,
                    "details": {"opens": after.opens, "seconds": round(max(0.0, after.until - after.since), 1)},
                }
                connection.execute(health_changes.insert().values(**values))
    except sa.exc.SQLAlchemyError as error:
        log.warning("health_change_not_kept", account_id=account, error_type=type(error).__name__)


def history(
    connection: Connection, scope: Scope, account_id: UUID, limit: int = 50, before: datetime | None = None
) -> list[Mapping[str, Any]]:
    """The newest steps of an account's breakers first: operation, from_state, to_state, details, created_at."""
    columns = health_changes.c
    query = (
        sa.select(
            columns.id, columns.operation, columns.from_state, columns.to_state, columns.details, columns.created_at
        )
        .where(
            columns.merchant_id == scope.merchant_id,
            columns.mode == scope.mode,
            columns.provider_account_id == account_id,
        )
        .order_by(columns.created_at.desc(), columns.id.desc())
        .limit(limit)
    )
    if before is not None:
        query = query.where(columns.created_at < before)
    return [dict(row) for row in connection.execute(query).mappings()]
