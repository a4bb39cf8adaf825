"""Whose the stored credentials are: each provider is asked, and must name the account and mode they are kept under."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from cli.checks.finding import Finding, Situation, failed, ok, skipped
from cli.errors import Refused
from cli.target import core_session
from core.domain.identifiers import public_id
from core.orchestration import provider_manager
from core.orchestration.context import Core
from core.persistence.database import Scope
from core.persistence.tables import provider_accounts
from core.persistence.vault import KeyUnavailable, SealBroken
from core.providers.base import IdentityUnknown

SUBJECT = "Provider credentials"
AGAIN = "save the right ones with `tollgate accounts add`"


def check(situation: Situation) -> Iterator[Finding]:
    target = situation.target
    if target is None:
        yield skipped(SUBJECT, situation.why)
        return
    if not target.key_file.is_file():
        yield skipped(SUBJECT, "without the key file they cannot be opened")
        return
    try:
        with core_session(target.databases.owner, target.redis_url, target.key_file) as core:
            for row in _rows(core):
                yield _account(core, row)
    except Refused as error:
        yield skipped(SUBJECT, str(error))


def _rows(core: Core) -> list[Any]:
    shown = provider_accounts.c
    query = sa.select(shown.id, shown.merchant_id, shown.mode, shown.provider, shown.identity).order_by(shown.id)
    with core.database.unscoped() as connection:
        return list(connection.execute(query.where(shown.status.in_(("enabled", "draining")))).mappings())


def _account(core: Core, row: Any) -> Finding:
    name = f"{row['provider']} {row['mode']} {public_id('provider_account', row['id'])}"
    scope = Scope(row["merchant_id"], row["mode"])
    try:
        with core.database.scoped(scope) as connection:
            opened = provider_manager.open_account(core, connection, scope, row["id"])
        told = opened.provider.identify()
    except IdentityUnknown as error:
        return failed(SUBJECT, f"{name}: {error}", AGAIN)
    except (KeyUnavailable, SealBroken) as error:
        return failed(SUBJECT, f"{name}: {error}", "use the key file they were sealed with")
    if told.provider_account != row["identity"]:
        return failed(SUBJECT, f"{name} is of {row['identity']}, its credentials of {told.provider_account}", AGAIN)
    return ok(SUBJECT, f"{name} is {told.provider_account}")
