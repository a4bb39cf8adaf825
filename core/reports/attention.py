"""What of one merchant and mode needs a person now, counted in one statement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from core.orchestration.context import Core
from core.persistence.database import Scope

#: Counting stops here: whether there are a thousand or a million, somebody has to look.
MOST = 1000

_OWN = "merchant_id = :merchant AND mode = :mode"
_COUNT = "(SELECT count(*) FROM (SELECT 1 FROM {table} WHERE {own} AND {which} LIMIT {most}) AS few) AS {name}"
_COUNTED: Mapping[str, tuple[str, str]] = {
    "review": ("jobs", "status = 'needs_review'"),
    "findings_high": ("findings", "status = 'open' AND severity = 'high'"),
    "findings_other": ("findings", "status = 'open' AND severity <> 'high'"),
    "suspended": ("provider_accounts", "status = 'suspended'"),
    "parked": ("inbox_events", "status = 'parked'"),
    "undelivered": ("jobs", "lane = 'deliveries' AND status = 'queued' AND attempts > 0"),
    "endpoints": ("webhook_endpoints", "NOT enabled AND disabled_reason IS NOT NULL AND deleted_at IS NULL"),
    "disputes": ("disputes", "status = 'needs_response'"),
    "failed_runs": (
        "reconciliation_runs",
        "status = 'failed' AND created_at > (SELECT app_now()) - interval '1 day'",
    ),
}
_READ = sa.text(
    "SELECT "  # noqa: S608
    + ", ".join(
        _COUNT.format(table=table, own=_OWN, which=which, most=MOST, name=name)
        for name, (table, which) in _COUNTED.items()
    )
    + f", (SELECT min(created_at) FROM findings WHERE {_OWN} "  # noqa: S608
    "AND status = 'open' AND severity = 'high') AS since" + ", app_now() AS now"
)


@dataclass(frozen=True, slots=True)
class Attention:
    """`counts` by name, up to `MOST`; `oldest` is when the first open finding of high severity was opened."""

    counts: Mapping[str, int]
    oldest: datetime | None
    now: datetime


def needed(core: Core, scope: Scope) -> Attention:
    with core.database.scoped(scope) as connection:
        values = {"merchant": scope.merchant_id, "mode": scope.mode}
        row: Mapping[Any, Any] = connection.execute(_READ, values).mappings().one()
    return Attention({name: row[name] for name in _COUNTED}, row["since"], row["now"])
