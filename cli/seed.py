"""What an installation of `tollgate up` begins with: a merchant, a test key, an admin key, accounts at the sandbox."""

from __future__ import annotations

import contextlib
import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from secrets import token_hex
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from cli.errors import Refused
from cli.secrets_file import Secrets
from cli.via import Via, straight, through

if TYPE_CHECKING:
    from uuid import UUID

    from core.orchestration.context import Core
    from core.persistence.database import Scope

MERCHANT = "Development"
ACTOR = "cli:up"
#: Under this name the data directory keeps the administrator that is made for the local providers.
PERSON = "administrator"


@dataclass(frozen=True)
class Seeded:
    """Keys in clear, the merchant's id, and the ids of its provider accounts by provider."""

    test_key: str = field(repr=False)
    admin_key: str = field(repr=False)
    merchant: str = ""
    accounts: Mapping[str, str] = field(default_factory=dict)
    #: {name, password, secret, otpauth} of somebody who may do all; empty without the local providers. `password` is
    #: missing once the person has chosen another.
    administrator: Mapping[str, str] = field(repr=False, default_factory=dict)


def seed_development(
    core: Core, secrets: Secrets, api_url: str, sandbox_urls: Mapping[str, str], via: Via = straight
) -> Seeded:
    """Makes what is missing and returns all of it; done again it changes nothing. `core` is the owner's.

    `via`: the ways the api and the local providers have to each other.

    Raises:
        Refused: a local provider does not take its account.
    """
    from core.domain.identifiers import public_id  # core is imported late: this module is read by every command

    test_key, scope = _test_key(core, secrets)
    accounts = {}
    for provider, url in sandbox_urls.items():
        account_id = _account(core, scope, secrets, provider, url, through(via, provider, url))
        name = public_id("provider_account", account_id)
        hook = f"{through(via, 'api', api_url)}/webhooks/{provider}/{name}"
        _tell_sandbox(url, secrets, provider, webhook_url=hook)
        accounts[provider] = name
    merchant = public_id("merchant", scope.merchant_id)
    person = _administrator(core, secrets) if sandbox_urls else {}
    return Seeded(
        test_key=test_key,
        admin_key=_admin_key(core, secrets),
        merchant=merchant,
        accounts=accounts,
        administrator=person,
    )


def _test_key(core: Core, secrets: Secrets) -> tuple[str, Scope]:
    """The kept one if this database still knows it, else a new one for a new merchant.

    One kept by an earlier version lacks the scopes of this one: its merchant gets another key beside it.
    """
    from core.domain import scopes
    from core.orchestration import accounts, api_keys
    from core.orchestration.key_grants import Granter

    kept = secrets.get("test_key")
    holder = api_keys.authenticate(core, kept) if kept else None
    known = holder.scope if holder is not None else None
    if holder is None or known is None or not holder.scopes >= scopes.USUAL:
        merchant_id = accounts.create_merchant(core, MERCHANT, ACTOR) if known is None else known.merchant_id
        kept = api_keys.create(core, kind="test", merchant_id=merchant_id, name="tollgate up", by=Granter(ACTOR)).text
        secrets.put("test_key", kept)
        holder = api_keys.authenticate(core, kept)
    if holder is None or holder.scope is None:
        raise Refused("the key that was just made is not accepted; is the clock of the database right?")
    return str(kept), holder.scope


def _admin_key(core: Core, secrets: Secrets) -> str:
    from core.orchestration import api_keys
    from core.orchestration.key_grants import Granter

    kept = secrets.get("admin_key")
    holder = api_keys.authenticate(core, kept) if kept else None
    if holder is None or not holder.scopes >= api_keys.ADMIN_SCOPES:
        kept = api_keys.create(core, kind="admin", name="tollgate up", by=Granter(ACTOR)).text
        secrets.put("admin_key", kept)
    return str(kept)


def _administrator(core: Core, secrets: Secrets) -> Mapping[str, str]:
    """Somebody to look at the dashboard with: the kept one if this database knows them, else a new one."""
    from core.orchestration.administrators import codes, passwords, roster

    kept = secrets.get(PERSON)
    if not kept or not roster.exists(core, kept["name"]):
        name = "admin" if not roster.exists(core, "admin") else f"admin-{token_hex(3)}"
        by, password = roster.By(ACTOR), passwords.make()
        made = roster.create(core, name, "admin", by, password=password, with_code=True)
        kept = {"name": name, "password": password, "secret": str(made.secret)}
        secrets.put(PERSON, kept)
    found = {**kept, "otpauth": codes.uri(kept["name"], kept["secret"])}
    if not roster.has_password(core, kept["name"], kept["password"]):
        del found["password"]
    return found


def _account(core: Core, scope: Scope, secrets: Secrets, provider: str, url: str, base: str) -> UUID:
    """The merchant's account at a local provider, which may have moved to another port since.

    `base` is where the processes find what listens at `url`.
    """
    from core.domain.identifiers import parse_id
    from core.orchestration import accounts

    known = [
        found for found in accounts.list_accounts(core, scope) if found["id"] == secrets.get(f"account_{provider}")
    ]
    if known:
        account_id = parse_id("provider_account", known[0]["id"])
        if known[0]["api_base"] != base:
            _move(core, scope, account_id, base)
        return account_id
    _tell_sandbox(url, secrets, provider, webhook_url=None)
    new = accounts.NewAccount(
        provider=provider,
        name=f"Local {provider.capitalize()}",
        credentials=credentials(secrets, provider),
        webhook_secrets=[webhook_secret(secrets, provider)],
        api_base=base,
    )
    account_id = accounts.save_provider_account(core, scope, new, ACTOR)
    secrets.put(f"account_{provider}", _public(account_id))
    return account_id


def _public(account_id: UUID) -> str:
    from core.domain.identifiers import public_id

    return public_id("provider_account", account_id)


def _move(core: Core, scope: Scope, account_id: UUID, url: str) -> None:
    """Not by saving it anew: a provider may name an account differently once it has been used."""
    from core.persistence.tables import provider_accounts

    statement = provider_accounts.update().where(provider_accounts.c.id == account_id).values(api_base=url)
    with core.database.scoped(scope) as connection:
        connection.execute(statement)


def credentials(secrets: Secrets, provider: str) -> dict[str, str]:
    """Of the account at a local provider, in the form of the real ones."""
    return {
        "secret_key": f"sk_test_{secrets.password(f'sandbox_{provider}')}",
        "publishable_key": f"pk_test_{secrets.password(f'sandbox_{provider}_public')}",
    }


def webhook_secret(secrets: Secrets, provider: str) -> str:
    if _signs_with_key(provider):
        return credentials(secrets, provider)["secret_key"]
    return f"whsec_{secrets.password(f'sandbox_{provider}_webhooks')}"


def _signs_with_key(provider: str) -> bool:
    from core.providers.registry import PROVIDERS

    return PROVIDERS[provider].settings.signs_with_key


def _tell_sandbox(url: str, secrets: Secrets, provider: str, webhook_url: str | None) -> None:
    account: dict[str, str | None] = {**credentials(secrets, provider), "webhook_url": webhook_url}
    if not _signs_with_key(provider):
        account["webhook_secret"] = webhook_secret(secrets, provider)
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=10)
    with contextlib.closing(connection):
        connection.request("POST", "/_sandbox/accounts", json.dumps(account), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        if answer.status != 200:
            raise Refused(f"the local {provider} refused its account: {answer.read(500).decode(errors='replace')}")
