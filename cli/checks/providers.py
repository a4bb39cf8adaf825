"""The provider accounts in use: none suspended, their APIs reachable from here, our clock like theirs."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from cli.checks.finding import Finding, Situation, failed, ok, skipped, warning
from cli.lock import running
from core.domain.identifiers import public_id
from core.persistence.database import create_engine
from core.persistence.tables import provider_accounts
from core.providers.registry import PROVIDERS
from core.startup.addresses import is_local

#: Stripe refuses signatures five minutes off; the header has whole seconds and the way takes some.
CLOCK_LIMIT = 30.0


def check(situation: Situation) -> Iterator[Finding]:
    if situation.target is None:
        yield skipped("Provider accounts", situation.why)
        return
    try:
        rows = _accounts(situation.target.databases.owner)
    except SQLAlchemyError:
        yield skipped("Provider accounts", "could not be read; see Postgres and Schema above")
        return
    if not rows:
        yield warning("Provider accounts", "none", "add one with `tollgate accounts add`")
    yield from _private_targets(situation, rows)
    for row in rows:
        if row["status"] == "suspended":
            name = f"{row['provider']} {row['mode']} {public_id('provider_account', row['id'])}"
            advice = "save working credentials with `tollgate accounts add`"
            yield failed("Provider accounts", f"{name} is suspended: {row['suspended_reason']}", advice)
    bases = {(row["provider"], row["api_base"] or PROVIDERS[row["provider"]].settings.address) for row in rows}
    yield from _modes(rows)
    for provider, base in sorted(bases):
        yield from _reach(provider, base)


def _modes(rows: Sequence[Any]) -> Iterator[Finding]:
    """Live payments that go to a machine of ours, or readable over the network. Whose keys they are: `credentials`."""
    for row in rows:
        parts = urlsplit(row["api_base"] or "")
        if row["mode"] != "live" or row["status"] == "disabled" or not row["api_base"]:
            continue
        if parts.scheme != "https" or is_local(parts.hostname):
            name = f"{row['provider']} live {public_id('provider_account', row['id'])}"
            advice = "add it again with `tollgate accounts add`, without --api-base"
            yield failed("Modes", f"{name} sends live payments to {row['api_base']}", advice)


def _private_targets(situation: Situation, rows: Sequence[Any]) -> Iterator[Finding]:
    """`tollgate up` with the local providers allows them unless the environment says otherwise."""
    live = [row for row in rows if row["mode"] == "live" and row["status"] != "disabled"]
    told = running(situation.data_dir) or {}
    if live and told.get("private_webhook_targets"):
        advice = "set TOLLGATE_ALLOW_PRIVATE_WEBHOOK_TARGETS=0, or start with --no-sandbox: it opens your own network"
        yield warning("Webhook targets", "private addresses are allowed, and there is a live account", advice)


def _accounts(url: str) -> Sequence[Any]:
    shown = provider_accounts.c
    query = sa.select(shown.id, shown.provider, shown.mode, shown.status, shown.api_base, shown.suspended_reason)
    engine = create_engine(url, 1, "tollgate-doctor")
    try:
        with engine.connect() as connection:
            return connection.execute(query).mappings().all()
    finally:
        engine.dispose()


def _reach(provider: str, base: str) -> Iterator[Finding]:
    """Any answer will do: without credentials it is a refusal, and that is an answer."""
    subject = f"Provider {provider}"
    parts = urlsplit(base)
    host = str(parts.hostname)
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        context = ssl.create_default_context()
        connection = http.client.HTTPSConnection(host, parts.port, timeout=10, context=context)
    else:
        connection = http.client.HTTPConnection(host, parts.port, timeout=10)
    try:
        connection.request("HEAD", "/")
        date = connection.getresponse().getheader("Date")
    except (OSError, http.client.HTTPException) as error:
        yield failed(subject, f"{base} cannot be reached: {error}", "open the way out to it (firewall, proxy, DNS)")
        return
    finally:
        connection.close()
    yield ok(subject, f"{base} answers")
    if date is not None:
        yield from _clock(subject, date)


def _clock(subject: str, date: str) -> Iterator[Finding]:
    try:
        there = parsedate_to_datetime(date)
    except ValueError:
        return
    offset = abs((datetime.now(UTC) - there.astimezone(UTC)).total_seconds())
    if offset > CLOCK_LIMIT:
        advice = "synchronise this machine's clock (NTP): signatures five minutes off are refused"
        yield failed(subject, f"our clock is {offset:.0f} s away from its own", advice)
