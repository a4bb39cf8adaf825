"""Provider Manager: opens sealed accounts, keeps their clients, paces their calls, suspends what is refused."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.audit import log
from core.domain.identifiers import public_id
from core.domain.outcomes import Unknown
from core.orchestration import pacing
from core.orchestration.context import Cause, Core
from core.persistence.database import Scope, present
from core.persistence.queries.findings import open_finding
from core.persistence.tables import provider_accounts
from core.persistence.vault import Place
from core.providers import registry
from core.providers.base import Account, CallLimits, PaymentProvider

#: Seconds an opened account is used before its row is read again: a rotated key is taken up this fast.
_FRESH = 5.0


@dataclass(frozen=True, slots=True)
class OpenedAccount:
    """A provider client ready to be called, for one merchant and mode."""

    scope: Scope
    account_id: UUID
    name: str
    provider: PaymentProvider
    settings: Mapping[str, Any]
    updated_at: datetime


class _Cache:
    def __init__(self) -> None:
        self._entries: dict[tuple[int, UUID], tuple[float, OpenedAccount]] = {}
        self._lock = threading.Lock()

    def get(self, core: Core, account_id: UUID) -> OpenedAccount | None:
        with self._lock:
            found = self._entries.get((id(core.vault), account_id))
        return found[1] if found is not None and found[0] > time.monotonic() else None

    def put(self, core: Core, opened: OpenedAccount) -> None:
        with self._lock:
            self._entries[(id(core.vault), opened.account_id)] = (time.monotonic() + _FRESH, opened)

    def drop(self, core: Core, account_id: UUID) -> None:
        with self._lock:
            self._entries.pop((id(core.vault), account_id), None)


_cache = _Cache()


def open_account(core: Core, connection: Connection, scope: Scope, account_id: UUID) -> OpenedAccount:
    """The client of one account. Raises LookupError when this merchant and mode has no such account."""
    known = _cache.get(core, account_id)
    if known is not None:
        return known
    query = sa.select(provider_accounts).where(
        provider_accounts.c.id == account_id,
        provider_accounts.c.merchant_id == scope.merchant_id,
        provider_accounts.c.mode == scope.mode,
    )
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        raise LookupError(f"no provider account {public_id('provider_account', account_id)}")
    key = core.vault.merchant_key(connection, scope)
    account = Account(
        account_id=public_id("provider_account", account_id),
        mode="live" if scope.mode == "live" else "test",
        credentials=key.open_json(
            Place("provider_accounts", "credentials_sealed", account_id), row["credentials_sealed"]
        ),
        webhook_secrets=valid_secrets(
            key.open_json(
                Place("provider_accounts", "webhook_secrets_sealed", account_id), row["webhook_secrets_sealed"]
            ),
            present(connection),
        ),
        api_base=row["api_base"],
    )
    limits = CallLimits(core.settings.provider_connect_timeout, core.settings.provider_deadline)
    client = registry.build(row["provider"], account, limits)
    opened = OpenedAccount(scope, account_id, row["provider"], client, row["settings"], row["updated_at"])
    _cache.put(core, opened)
    return opened


def opened(core: Core, account_id: UUID) -> OpenedAccount | None:
    """The account, if it was opened a moment ago; this asks nobody."""
    return _cache.get(core, account_id)


def valid_secrets(kept: Sequence[Mapping[str, str | None]], now: datetime) -> tuple[str, ...]:
    """Webhook secrets that still verify: the newest for good, replaced ones until their time is over."""
    return tuple(
        str(one["secret"]) for one in kept if one["until"] is None or datetime.fromisoformat(one["until"]) > now
    )


def forget(core: Core, account_id: UUID) -> None:
    """Read the account's row anew at its next use."""
    _cache.drop(core, account_id)


def pause(core: Core, scope: Scope, account: OpenedAccount, operation: str) -> float:
    """Seconds to wait before a call to the provider, so that it never has to say 429."""
    limits = account.provider.capabilities.pacing
    return core.pacer.pause(pacing.slots_for(str(account.account_id), scope.mode, operation, limits, account.settings))


def suspend(
    core: Core, connection: Connection, scope: Scope, account: OpenedAccount, reason: str, cause: Cause
) -> None:
    """The provider refuses the credentials: stop using them, and say so loudly.

    A refusal of credentials that were replaced meanwhile says nothing about the new ones.
    """
    account_id = account.account_id
    columns = provider_accounts.c
    statement = (
        provider_accounts.update()
        .where(columns.id == account_id, columns.status == "enabled", columns.updated_at == account.updated_at)
        .values(status="suspended", suspended_reason=reason, updated_at=sa.func.app_now())
    )
    if connection.execute(statement).rowcount != 1:
        return
    forget(core, account_id)
    log.record(
        connection,
        scope=scope,
        actor=cause.actor,
        action="provider_account.suspended",
        subject_kind="provider_account",
        subject_id=account_id,
        from_status="enabled",
        to_status="suspended",
        cause=cause.kind,
        details={"reason": reason},
    )
    open_finding(connection, scope, "provider_misconfigured", str(account_id), {"reason": reason})


def heed(
    core: Core, connection: Connection, scope: Scope, account: OpenedAccount, answer: object, cause: Cause
) -> None:
    """Suspend the account when a question was refused for its credentials: the next payment would be, too."""
    if isinstance(answer, Unknown) and answer.refused_key:
        suspend(core, connection, scope, account, "The provider refused the credentials", cause)
