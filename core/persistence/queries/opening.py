"""What the money roads need to know from the start, read in one trip: the time, the accounts, who wants events."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.engine import Connection

from core.persistence import pipeline
from core.persistence.database import Scope

#: To be put into a SELECT whose values name `merchant` and `mode`; `keep` takes its columns off the row.
COLUMNS = """
(SELECT app_now()) AS now,
(SELECT coalesce(json_agg(json_build_array(a.id, a.provider, a.name, a.status) ORDER BY a.priority, a.id), '[]')
   FROM provider_accounts a WHERE a.merchant_id = %(merchant)s AND a.mode = %(mode)s) AS accounts,
(SELECT coalesce(json_agg(json_build_array(e.id, e.event_types)), '[]') FROM webhook_endpoints e
  WHERE e.merchant_id = %(merchant)s AND e.mode = %(mode)s AND e.enabled AND e.deleted_at IS NULL) AS endpoints
"""
_NAMES = ("now", "accounts", "endpoints")


def values(scope: Scope) -> dict[str, Any]:
    """What `COLUMNS` asks for."""
    return {"merchant": scope.merchant_id, "mode": scope.mode}


def keep(connection: Connection, row: Mapping[str, Any], *changed_at: datetime) -> None:
    """Let the rest of the transaction find what was read.

    The time is that of the statement's arrival, before it waited for any lock: whoever held the locked rows, which
    were `changed_at`, may have changed them since. What follows that is not before it.
    """
    known = pipeline.known(connection)
    latest = max(row["now"], *changed_at, known.get("now", row["now"]))
    known.update({name: row[name] for name in _NAMES}, now=latest)


def known_accounts(connection: Connection) -> list[tuple[UUID, str, str, str]] | None:
    """(id, provider, name, status) of every provider account in order of priority; None if they were not read."""
    found = pipeline.known(connection).get("accounts")
    return None if found is None else [(UUID(one[0]), one[1], one[2], one[3]) for one in found]


def known_endpoints(connection: Connection) -> list[tuple[UUID, list[str]]] | None:
    """(id, event types) of every enabled webhook endpoint; None if they were not read."""
    found = pipeline.known(connection).get("endpoints")
    return None if found is None else [(UUID(one[0]), one[1]) for one in found]
