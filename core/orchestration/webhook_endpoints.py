"""Where a merchant wants to be told: made, changed, rotated and deleted by the merchant, each change audited."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from core.audit import log
from core.domain.errors import FieldError, NotFoundError, RequestRefused
from core.domain.events import check_event_types
from core.domain.identifiers import new_id, public_id
from core.domain.representations import timestamp
from core.orchestration import idempotency, traces
from core.orchestration import webhook_secrets as secrets
from core.orchestration.context import Caller, Core
from core.orchestration.idempotency import Accepted, IdempotencyKey
from core.orchestration.reading import listing
from core.orchestration.webhook_urls import read_url
from core.persistence.database import Scope
from core.persistence.queries import outbox as rows

#: Each enabled one gets every event it asked for; more than this is a mistake, or a fan-out of somebody else's.
MOST_ENDPOINTS = 16
MAX_DESCRIPTION = 500
#: What the audit log says of an endpoint; its URL may hold a token of the merchant's own.
_TOLD = ("event_types", "enabled", "disabled_reason")
_COUNT_LOCK = sa.text("SELECT pg_advisory_xact_lock(hashtextextended('tollgate.endpoints.' || :merchant, 0))")

Row = Mapping[Any, Any]


def representation(row: Row, secret: str | None = None) -> dict[str, Any]:
    """`secret` is shown by the answer that made it, and by no other: everywhere else it is null."""
    return {
        "id": public_id("webhook_endpoint", row["id"]),
        "mode": row["mode"],
        "url": row["url"],
        "description": row["description"],
        "event_types": list(row["event_types"]),
        "enabled": row["enabled"],
        "disabled_reason": row["disabled_reason"],
        "secret": secret,
        "created_at": timestamp(row["created_at"]),
        "updated_at": timestamp(row["updated_at"]),
    }


def create(
    core: Core,
    caller: Caller,
    key: IdempotencyKey | None,
    *,
    url: str,
    event_types: list[str],
    description: str | None = None,
) -> Accepted:
    """201 with the secret. Raises RequestRefused, IdempotencyMismatch, IdempotencyInUse."""
    values: dict[str, Any] = _checked(core, {"url": url, "event_types": event_types, "description": description})

    def act(connection: Connection) -> Accepted:
        _refuse_too_many(connection, caller.scope)
        endpoint_id, secret = new_id(), secrets.new_secret()
        values["secrets_sealed"] = secrets.seal_first(core.vault, connection, caller.scope, endpoint_id, secret)
        row = rows.insert_endpoint(connection, caller.scope, {"id": endpoint_id, "enabled": True, **values})
        traces.audit_request(
            connection, caller, "webhook_endpoint", "created", endpoint_id, {"event_types": values["event_types"]}
        )
        body = representation(row, secret)
        return Accepted(201, body, f"/v1/webhook_endpoints/{body['id']}", False)

    return _once(core, caller, key, act)


def list_endpoints(core: Core, scope: Scope, limit: int = 20, after: UUID | None = None) -> dict[str, Any]:
    """{"data", "has_more", "next"}, newest first."""
    with core.database.scoped(scope) as connection:
        found = rows.endpoints_page(connection, scope, limit, after)
        return listing(found, limit, "webhook_endpoint", representation)


def get_endpoint(core: Core, scope: Scope, endpoint_id: UUID) -> dict[str, Any]:
    """Raises NotFoundError."""
    with core.database.scoped(scope) as connection:
        return representation(_find(connection, scope, endpoint_id))


def update(
    core: Core, caller: Caller, endpoint_id: UUID, changes: Mapping[str, Any], key: IdempotencyKey | None = None
) -> Accepted:
    """`changes` holds any of url, event_types, description, enabled; what it does not hold stays.

    Raises NotFoundError, RequestRefused.
    """
    values = _checked(core, changes)
    if values.get("enabled"):
        values["disabled_reason"] = None

    def act(connection: Connection) -> Accepted:
        row = _find(connection, caller.scope, endpoint_id, lock=True)
        # The URL may hold a token of the merchant's own, so only the names of what changed are kept.
        changed = sorted(name for name, value in values.items() if row[name] != value)
        if changed:
            before, row = row, rows.update_endpoint(connection, endpoint_id, values)
            traces.audit_request(
                connection,
                caller,
                "webhook_endpoint",
                "updated",
                endpoint_id,
                {"changed": changed, "enabled": row["enabled"]},
                **log.changes(before, row, *_TOLD),
            )
        return Accepted(200, representation(row), None, False)

    return _once(core, caller, key, act)


def delete(core: Core, caller: Caller, endpoint_id: UUID, key: IdempotencyKey | None = None) -> Accepted:
    """Deliveries that wait for it end undelivered. Raises NotFoundError."""

    def act(connection: Connection) -> Accepted:
        _find(connection, caller.scope, endpoint_id, lock=True)
        rows.update_endpoint(connection, endpoint_id, {"enabled": False, "deleted_at": sa.func.app_now()})
        traces.audit_request(connection, caller, "webhook_endpoint", "deleted", endpoint_id)
        body = {"id": public_id("webhook_endpoint", endpoint_id), "deleted": True}
        return Accepted(200, body, None, False)

    return _once(core, caller, key, act)


def rotate_secret(core: Core, caller: Caller, endpoint_id: UUID, key: IdempotencyKey | None = None) -> Accepted:
    """200 with the new secret; the old one signs too for 24 h. Raises NotFoundError."""

    def act(connection: Connection) -> Accepted:
        row = _find(connection, caller.scope, endpoint_id, lock=True)
        secret = secrets.new_secret()
        sealed = secrets.seal_rotated(core.vault, connection, caller.scope, row, secret)
        row = rows.update_endpoint(connection, endpoint_id, {"secrets_sealed": sealed})
        traces.audit_request(connection, caller, "webhook_endpoint", "secret_rotated", endpoint_id)
        return Accepted(200, representation(row, secret), None, False)

    return _once(core, caller, key, act)


def _once(core: Core, caller: Caller, key: IdempotencyKey | None, act: Callable[[Connection], Accepted]) -> Accepted:
    """Act under the idempotency key; a repeat gets the same answer without its secret."""
    with core.transaction(caller.scope, core.settings.idempotency_wait) as connection, idempotency.short_waits():
        if key is None:
            return act(connection)
        known = idempotency.reserve(connection, caller.scope, key)
        if known is not None:
            return known
        answer = act(connection)
        stored = {**answer.body, "secret": None} if "secret" in answer.body else answer.body
        idempotency.fill(connection, caller.scope, key, replace(answer, body=stored))
        return answer


def _checked(core: Core, values: Mapping[str, Any]) -> dict[str, Any]:
    """Raises RequestRefused."""
    checked = dict(values)
    if "url" in checked:
        read_url(checked["url"], core.settings.allow_private_webhook_targets)
    if "event_types" in checked:
        checked["event_types"] = check_event_types(checked["event_types"])
    if len(checked.get("description") or "") > MAX_DESCRIPTION:
        message = f"must have at most {MAX_DESCRIPTION} characters"
        raise RequestRefused("the description is too long", errors=[FieldError("description", message)])
    return checked


def _refuse_too_many(connection: Connection, scope: Scope) -> None:
    # Two requests at once must not both find room for one.
    connection.execute(_COUNT_LOCK, {"merchant": f"{scope.merchant_id}.{scope.mode}"})
    if len(rows.endpoints_page(connection, scope, MOST_ENDPOINTS, None)) >= MOST_ENDPOINTS:
        raise RequestRefused(f"there are already {MOST_ENDPOINTS} endpoints; delete one first")


def _find(connection: Connection, scope: Scope, endpoint_id: UUID, lock: bool = False) -> RowMapping:
    row = rows.find_endpoint(connection, scope, endpoint_id, lock)
    if row is None:
        raise NotFoundError("there is no such webhook endpoint")
    return row
