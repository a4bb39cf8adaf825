"""How an account stands: each operation that was called lately, and how its breakers have stepped."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from core.domain.representations import timestamp
from core.orchestration import account_care, health, health_changes
from core.orchestration.context import Core
from core.persistence.database import Scope


def show(core: Core, scope: Scope, account_id: UUID, limit: int = 50, before: datetime | None = None) -> dict[str, Any]:
    """{"account", "operations", "history"}, the newest step first; as all processes know it, with one trip to Redis.

    Without Redis it is what this process has seen itself. Raises NotFoundError.
    """
    with core.database.scoped(scope) as connection:
        account = account_care.find(connection, scope, account_id)
        steps = health_changes.history(connection, scope, account_id, limit, before)
    standings = health.report(core, scope, account_id)
    return {
        "account": account["id"],
        "status": account["status"],
        "operations": [
            {
                "operation": name,
                "circuit": one.state.value,
                "since": timestamp(one.since),
                "calls": one.calls,
                "success": None if one.success is None else round(one.success, 4),
                "p95_ms": one.p95_ms,
                "paused_seconds": round(one.paused, 1),
            }
            for name, one in sorted(standings.items())
        ],
        "history": [
            {
                "at": timestamp(row["created_at"]),
                "operation": row["operation"],
                "from_state": row["from_state"],
                "to_state": row["to_state"],
                "opened_in_a_row": row["details"].get("opens"),
                "seconds": row["details"].get("seconds"),
            }
            for row in steps
        ],
    }
