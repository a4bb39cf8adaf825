"""Missed events: what the provider says has happened, heeded as a webhook is wherever our books do not say it."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from core.orchestration import inbox
from core.orchestration.context import Cause, Core
from core.orchestration.provider_manager import OpenedAccount
from core.persistence.database import Scope
from core.providers.base import AnyNews
from core.reconciliation import known as rows
from core.reconciliation.pages import paced
from core.reconciliation.slices import SliceResult

#: A webhook may be under way so long without having been missed.
ON_ITS_WAY = timedelta(minutes=2)


def read_slice(
    core: Core, scope: Scope, account: OpenedAccount, run_id: UUID, since: datetime, until: datetime
) -> SliceResult:
    """Counts: `seen`, of them `known` (our books say so already), `filled` (now they do, or the provider is asked) and
    `foreign` (about nothing of ours). Raises ListingBroken."""
    result = SliceResult()
    cause = Cause("look_up", "reconciliation", None, f"run {run_id}")
    for one in paced(core, account, account.provider.list_changes(since, until), "list_changes"):
        result.counts["seen"] += 1
        result.counts[_heed(core, scope, account, one, cause)] += 1
    return result


def _heed(core: Core, scope: Scope, account: OpenedAccount, one: AnyNews, cause: Cause) -> str:
    if not inbox.storable(one):
        return "foreign"
    with core.transaction(scope) as connection:
        if rows.is_known(connection, account.account_id, one):
            return "known"
        told = inbox.heed(core, connection, scope, account.account_id, one, cause)
        return "foreign" if told is None else "filled"
