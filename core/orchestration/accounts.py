"""Merchants and their provider accounts: made and listed by an operator, sealed before they are stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Connection

from core.audit import log
from core.domain.errors import RequestRefused
from core.domain.identifiers import new_id, public_id
from core.orchestration import provider_manager
from core.orchestration.context import Core
from core.persistence.database import Scope, present
from core.persistence.tables import merchants, provider_accounts
from core.persistence.vault import DataKey, Place
from core.providers import registry
from core.providers.base import Account, AccountIdentity, CallLimits, IdentityUnknown

#: Seconds a replaced webhook secret verifies on: Paystack signs with the key itself and repeats an event for 72 h.
ROTATION_OVERLAP = 72 * 3600.0


@dataclass(frozen=True, slots=True)
class NewAccount:
    """What an operator enters. Secrets never appear in its text form."""

    provider: str
    name: str
    credentials: Mapping[str, str] = field(repr=False)
    webhook_secrets: Sequence[str] = field(repr=False)
    api_base: str | None = None
    priority: int = 100
    settings: Mapping[str, Any] | None = None  # None keeps what an account has


def create_merchant(core: Core, name: str, actor: str = "cli:system") -> UUID:
    """A tenant, by a command. `name` of 1 to 200 characters."""
    merchant_id = new_id()
    with core.database.unscoped() as connection:
        connection.execute(merchants.insert().values(id=merchant_id, name=name))
        log.record(
            connection,
            scope=log.EVERYBODY,
            actor=actor,
            action="merchant.created",
            subject_kind="merchant",
            subject_id=merchant_id,
            cause="person",
            after={"name": name},
        )
    return merchant_id


def list_merchants(core: Core) -> list[dict[str, Any]]:
    with core.database.unscoped() as connection:
        found = connection.execute(sa.select(merchants).order_by(merchants.c.id)).mappings().all()
    return [{"id": public_id("merchant", row["id"]), "name": row["name"], "uuid": row["id"]} for row in found]


def save_provider_account(
    core: Core,
    scope: Scope,
    account: NewAccount,
    actor: str,
    identity: AccountIdentity | None = None,
    origin: log.Origin | None = None,
) -> UUID:
    """Store the credentials sealed, after `identify` has asked the provider about them, unless its answer is given.

    The same identity updates its account; another identity is another account. Raises what `identify` raises.
    """
    identity = identity or identify(core, scope.mode, account)
    with core.transaction(scope) as connection:
        known = _find(connection, scope, account.provider, identity.provider_account)
        account_id = known if known is not None else new_id()
        before = _plain(connection, account_id)
        _store(core, connection, scope, account_id, account, identity)
        changed = log.changes(before, _plain(connection, account_id), *_PLAIN)
        log.record(
            connection,
            scope=scope,
            actor=actor,
            action="provider_account.updated" if known is not None else "provider_account.created",
            subject_kind="provider_account",
            subject_id=account_id,
            cause="person",
            **(origin or {"request_id": None, "from_address": None}),
            **changed,
            # The credentials are sealed; that they are others is all that is said of them.
            details={"provider": account.provider, "identity": identity.provider_account, "name": account.name},
        )
    provider_manager.forget(core, account_id)
    return account_id


#: What an account holds beside secrets.
_PLAIN = ("name", "status", "suspended_reason", "priority", "api_base", "settings")


def _plain(connection: Connection, account_id: UUID) -> Mapping[Any, Any]:
    columns = [provider_accounts.c[name] for name in _PLAIN]
    query = sa.select(*columns).where(provider_accounts.c.id == account_id)
    return connection.execute(query).mappings().one_or_none() or {}


def identify(core: Core, mode: str, account: NewAccount) -> AccountIdentity:
    """Whose credentials these are, as the provider says.

    Raises RequestRefused when the provider is unknown, does not know them, or they are of the other mode.
    """
    if account.provider not in registry.PROVIDERS:
        names = ", ".join(sorted(registry.PROVIDERS))
        raise RequestRefused(f"{account.provider!r} is not a provider; choose one of: {names}")
    if account.api_base is not None and mode == "live":
        raise RequestRefused("a live account always talks to the provider's own address")
    side: Literal["test", "live"] = "live" if mode == "live" else "test"
    opened = Account("new", side, account.credentials, tuple(account.webhook_secrets), account.api_base)
    limits = CallLimits(core.settings.provider_connect_timeout, core.settings.provider_deadline)
    try:
        identity = registry.build(account.provider, opened, limits).identify()
    except IdentityUnknown as error:
        raise RequestRefused(str(error), code="provider_misconfigured") from None
    if identity.mode != mode:
        raise RequestRefused(f"these are {identity.mode} credentials; this account is for {mode} mode")
    return identity


def replace_secrets(
    core: Core, connection: Connection, scope: Scope, row: Mapping[Any, Any], account: NewAccount
) -> None:
    """The same account under new credentials, webhook secrets or both; good ones end a suspension."""
    identity = AccountIdentity(row["identity"], "live" if scope.mode == "live" else "test")
    secrets = account.webhook_secrets or _newest_secrets(core, connection, scope, row)
    _store(core, connection, scope, row["id"], replace(account, webhook_secrets=secrets), identity)


def _newest_secrets(core: Core, connection: Connection, scope: Scope, row: Mapping[Any, Any]) -> list[str]:
    place = Place("provider_accounts", "webhook_secrets_sealed", row["id"])
    kept = core.vault.merchant_key(connection, scope).open_json(place, row["webhook_secrets_sealed"])
    return [one["secret"] for one in kept if one["until"] is None]


def _find(connection: Connection, scope: Scope, provider: str, identity: str) -> UUID | None:
    columns = provider_accounts.c
    query = sa.select(columns.id).where(
        columns.merchant_id == scope.merchant_id,
        columns.mode == scope.mode,
        columns.provider == provider,
        columns.identity == identity,
    )
    return connection.execute(query).scalar()


def _store(
    core: Core, connection: Connection, scope: Scope, account_id: UUID, account: NewAccount, identity: AccountIdentity
) -> None:
    key = core.vault.merchant_key(connection, scope)
    changing: dict[str, Any] = {
        "name": account.name,
        "suspended_reason": None,
        "priority": account.priority,
        "api_base": account.api_base,
        "credentials_sealed": key.seal_json(
            Place("provider_accounts", "credentials_sealed", account_id), dict(account.credentials)
        ),
        "webhook_secrets_sealed": key.seal_json(
            Place("provider_accounts", "webhook_secrets_sealed", account_id),
            _secrets(connection, key, account_id, account.webhook_secrets),
        ),
        "updated_at": sa.func.app_now(),
    }
    fixed = {
        "id": account_id,
        "merchant_id": scope.merchant_id,
        "mode": scope.mode,
        "provider": account.provider,
        "identity": identity.provider_account,
    }
    if account.settings is not None:
        changing["settings"] = dict(account.settings)
    statement = insert(provider_accounts).values(**{"settings": {}, "status": "enabled", **fixed, **changing})
    # Good credentials end a suspension; an account that is being drained, or is disabled, stays so.
    status = provider_accounts.c.status
    changing["status"] = sa.case((status == "suspended", "enabled"), else_=status)
    connection.execute(statement.on_conflict_do_update(index_elements=["id"], set_=changing))


def _secrets(connection: Connection, key: DataKey, account_id: UUID, new: Sequence[str]) -> list[dict[str, str | None]]:
    """The new webhook secrets for good, and for a while those they replace: events signed before are on their way."""
    kept: list[dict[str, str | None]] = [{"secret": secret, "until": None} for secret in new]
    query = sa.select(provider_accounts.c.webhook_secrets_sealed).where(provider_accounts.c.id == account_id)
    sealed = connection.execute(query).scalar()
    if sealed is None:
        return kept
    now = present(connection)
    ends = (now + timedelta(seconds=ROTATION_OVERLAP)).isoformat()
    for old in key.open_json(Place("provider_accounts", "webhook_secrets_sealed", account_id), sealed):
        still = old["until"] is None or datetime.fromisoformat(old["until"]) > now
        if still and old["secret"] not in new:
            kept.append({"secret": old["secret"], "until": old["until"] or ends})
    return kept


def list_accounts(core: Core, scope: Scope) -> list[dict[str, Any]]:
    """What an operator may see of the accounts: never a secret."""
    columns = provider_accounts.c
    query = (
        sa.select(provider_accounts)
        .where(columns.merchant_id == scope.merchant_id, columns.mode == scope.mode)
        .order_by(columns.priority, columns.id)
    )
    with core.database.scoped(scope) as connection:
        found = connection.execute(query).mappings().all()
    return [shown(row) for row in found]


def shown(row: Mapping[Any, Any]) -> dict[str, Any]:
    name = public_id("provider_account", row["id"])
    return {
        "id": name,
        "provider": row["provider"],
        "mode": row["mode"],
        "name": row["name"],
        "identity": row["identity"],
        "status": row["status"],
        "suspended_reason": row["suspended_reason"],
        "priority": row["priority"],
        "api_base": row["api_base"],
        "webhook_path": f"/webhooks/{row['provider']}/{name}",
    }
