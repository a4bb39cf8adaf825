"""I4 beside a sandbox's log: what it delivered and we answered with 200 is in the inbox."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.domain.identifiers import InvalidIdentifier, parse_id
from core.invariants.theirs import UNNAMED_EVENTS
from core.invariants.violation import Violation

NAME = "webhook_unstored"
MEANING = "a webhook was answered with 200, and is not in the inbox"
ADVICE = "have the provider send it again, ask about its payment (`POST /v1/payments/ID/sync`), and report it"
#: Events that say nothing new may be one and the same to us.
_REPEATED = ("charge.dispute.",)

_STORED = sa.text(
    "SELECT e.provider_account_id AS account, e.kind, e.provider_event_id AS event FROM inbox_events e "
    "JOIN provider_accounts a ON a.id = e.provider_account_id WHERE a.provider = :provider AND a.api_base IS NOT NULL"
)
_ACCOUNTS = sa.text("SELECT id FROM provider_accounts WHERE provider = :provider AND api_base IS NOT NULL")


def missing(connection: Connection, provider: str, webhooks: Mapping[str, Any]) -> list[Violation]:
    """By the event's id where the provider gives one; else by how many of each kind came."""
    events: set[tuple[UUID, str]] = set()
    counts: dict[tuple[UUID, str], int] = defaultdict(int)
    accounts = set(connection.execute(_ACCOUNTS, {"provider": provider}).scalars())
    for row in connection.execute(_STORED, {"provider": provider}):
        events.add((row.account, row.event))
        counts[row.account, row.kind] += 1
    sent = {one for one in _delivered(webhooks) if one[0] in accounts}
    lost = _unnamed(sent, counts) if provider in UNNAMED_EVENTS else _named(sent, events)
    return [Violation("I4", MEANING, {"provider": provider, **details}, NAME, ADVICE) for details in lost]


def _delivered(webhooks: Mapping[str, Any]) -> Iterator[tuple[UUID, str, str]]:
    """(account, event, kind) of what was answered with 200 and was no forgery."""
    for one in webhooks["deliveries"]:
        if one["delivered"] and one["last_status"] == "200" and not one["id"].startswith("forged:"):
            try:
                yield parse_id("provider_account", one["url"].rpartition("/")[2]), one["id"], one["type"]
            except InvalidIdentifier:  # another installation's address
                continue


def _named(sent: set[tuple[UUID, str, str]], events: set[tuple[UUID, str]]) -> Iterator[dict[str, Any]]:
    for account, event, kind in sorted(sent):
        if (account, event) not in events:
            yield {"event": event, "kind": kind}


def _unnamed(sent: set[tuple[UUID, str, str]], counts: Mapping[tuple[UUID, str], int]) -> Iterator[dict[str, Any]]:
    wanted: dict[tuple[UUID, str], int] = defaultdict(int)
    for account, _, kind in sent:
        wanted[account, kind] = 1 if kind.startswith(_REPEATED) else wanted[account, kind] + 1
    for (account, kind), count in sorted(wanted.items()):
        if counts.get((account, kind), 0) < count:
            yield {"kind": kind, "delivered": count, "stored": counts.get((account, kind), 0)}
