"""The webhook road up to the answer: verify, store once, say 200."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from typing import Literal
from uuid import UUID

import sqlalchemy as sa

from core import points
from core.domain.errors import Forged, NotFoundError
from core.domain.identifiers import new_id
from core.orchestration import jobs, provider_manager
from core.orchestration.context import Core
from core.persistence.database import Scope
from core.persistence.queries import inbox as stored_events
from core.persistence.vault import DataKey, Place
from core.providers.base import VerifiedEvent

_FIND_ACCOUNT = sa.text("SELECT merchant_id, mode, provider FROM find_webhook_account(:account)")
_COUNT_FORGED = sa.text("SELECT count_forged_webhook(:account)")
_KIND = "process_webhook"
#: Characters of a provider's id or kind; real ones have under 60.
_LONGEST = 255


def receive(
    core: Core, provider: str, account_id: UUID, headers: Mapping[str, str], body: bytes
) -> Literal["stored", "duplicate"]:
    """Store a provider's event once. Raises NotFoundError for an unknown account, Forged for a bad signature.

    `headers` with lower-case names; `body` exactly as it came over the wire.
    """
    account = _account(core, provider, account_id)
    try:
        event = account.provider.verify_webhook(headers, body, core.clock())
    except Forged:
        with core.database.unscoped() as connection:
            connection.execute(_COUNT_FORGED, {"account": account_id})
        raise
    points.reached("inbox.verified", _KIND)
    stored = _store(core, account, event, body)
    points.reached("inbox.hinted", _KIND)
    return stored


def _account(core: Core, provider: str, account_id: UUID) -> provider_manager.OpenedAccount:
    known = provider_manager.opened(core, account_id)
    if known is None:
        scope = _scope_of(core, provider, account_id)
        with core.transaction(scope) as connection:
            known = provider_manager.open_account(core, connection, scope, account_id)
    if known.name != provider:
        raise NotFoundError("there is no such webhook address")
    return known


def _scope_of(core: Core, provider: str, account_id: UUID) -> Scope:
    with core.database.unscoped() as connection:
        found = connection.execute(_FIND_ACCOUNT, {"account": account_id}).one_or_none()
    if found is None or found.provider != provider:
        raise NotFoundError("there is no such webhook address")
    return Scope(found.merchant_id, found.mode)


def _store(
    core: Core, account: provider_manager.OpenedAccount, event: VerifiedEvent, body: bytes
) -> Literal["stored", "duplicate"]:
    """One statement, so that it is one trip, and committed when it answers."""
    scope, body_id, job_id = account.scope, new_id(), new_id()
    kept = {"body": base64.b64encode(body).decode(), "dedupe_key": event.dedupe_key}
    sealed = _merchant_key(core, scope).seal_json(Place("bodies", "sealed", body_id), kept)
    values = {
        "id": new_id(),
        "merchant_id": scope.merchant_id,
        "mode": scope.mode,
        "provider": account.provider.name,
        "provider_account_id": account.account_id,
        "dedupe_key": _key(event.dedupe_key),
        "kind": _word(event.kind),
        "provider_event_id": _word(event.provider_event_id) if event.provider_event_id is not None else None,
        "provider_created_at": event.created_at,
        "status": "received",
    }
    with core.database.glance(scope) as connection:
        if not stored_events.store(connection, values, jobs.QUEUE_WEBHOOK, job_id, (body_id, sealed)):
            return "duplicate"
    points.reached("inbox.stored", _KIND)
    core.wake(jobs.LANES[_KIND], [job_id])
    return "stored"


def _merchant_key(core: Core, scope: Scope) -> DataKey:
    known = core.vault.known_key(scope)
    if known is not None:
        return known
    with core.transaction(scope) as connection:
        return core.vault.merchant_key(connection, scope)


def _word(text: str) -> str:
    """A provider's word as Postgres can keep it: no NUL, no half of a pair, not endless."""
    return text.encode("utf-8", "replace").decode().replace("\0", "?")[:_LONGEST]


def _key(text: str) -> str:
    """Unchanged where that can be kept and indexed, else its digest: equal for equal texts either way."""
    if _word(text) == text:
        return text
    return f"sha256:{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()}"
