"""Runs by the clock: each account's books are compared again and again, one window after the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import sqlalchemy as sa
import structlog

from core.domain.errors import TollgateError
from core.orchestration.context import Core
from core.persistence.database import Scope
from core.persistence.queries import payouts as payout_rows
from core.providers.base import Capabilities
from core.providers.registry import PROVIDERS
from core.reconciliation import missed_events, run_ends, runs
from core.reconciliation.runs import Kind, Window

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Plan:
    """`every`: least time between two runs of an account. `reach`: how far a first one, or `always` each, goes back.
    `overlap`: how much of the last window is read again; `behind`: what is so fresh that it is left out."""

    every: timedelta
    reach: timedelta
    overlap: timedelta
    behind: timedelta
    always: bool = False


PLANS: Mapping[Kind, Plan] = {
    # Lists are a little behind; events that are on their way are not missed.
    "missed_events": Plan(timedelta(minutes=10), timedelta(hours=6), timedelta(minutes=5), missed_events.ON_ITS_WAY),
    # Captures, refunds and late payments change what was compared before.
    "two_way": Plan(timedelta(days=1), timedelta(days=3), timedelta(0), timedelta(minutes=15), always=True),
    # Payouts come days after their charges, and are told anew while they are on their way.
    "statement": Plan(timedelta(hours=6), timedelta(days=7), timedelta(0), timedelta(minutes=15), always=True),
}

#: Goes on from the clock's own runs: one that a person asked for may leave a gap. An account whose credentials are
#: refused is not asked in vain.
_ACCOUNTS = sa.text(
    "SELECT a.id, a.merchant_id, a.mode, a.provider, app_now() AS now, last.window_until, last.created_at AS ran_at "
    "FROM provider_accounts a LEFT JOIN LATERAL (SELECT r.window_until, r.created_at FROM reconciliation_runs r "
    "  WHERE r.provider_account_id = a.id AND r.kind = :kind AND r.status = 'succeeded' AND r.started_by = 'clock' "
    "  ORDER BY r.window_until DESC LIMIT 1) AS last ON true "
    "WHERE a.status IN ('enabled', 'draining') AND NOT EXISTS (SELECT FROM reconciliation_runs u "
    "  WHERE u.provider_account_id = a.id AND u.kind = :kind "
    "  AND (u.status IN ('queued', 'running') OR u.created_at > app_now() - make_interval(secs => :every)))"
)


def find_missed_events(core: Core) -> int:
    """Queue a look at what each provider says has happened since the last one; how many."""
    return _start_each(core, "missed_events")


def compare_books(core: Core) -> int:
    """Queue a comparison of the last days' charges with each provider's; how many."""
    return _start_each(core, "two_way")


def read_statements(core: Core) -> int:
    """Queue the reading of each account's statement of the last week; how many."""
    return _start_each(core, "statement")


def _able(capabilities: Capabilities, kind: Kind) -> bool:
    return {"missed_events": capabilities.changes, "statement": capabilities.statement}.get(kind, True)


def _start_each(core: Core, kind: Kind) -> int:
    plan, started = PLANS[kind], 0
    run_ends.end_left_behind(core)  # by the most frequent of the three each minute, for all kinds
    with core.database.unscoped() as connection:
        found = connection.execute(_ACCOUNTS, {"kind": kind, "every": plan.every.total_seconds()}).mappings().all()
    for row in found:
        window = _window(plan, row["now"], row["window_until"])
        if kind == "statement" and window is not None:
            window = _to_open_payouts(core, Scope(row["merchant_id"], row["mode"]), row["id"], window)
        if window is None or not _able(PROVIDERS[row["provider"]].capabilities, kind):
            continue
        started += _start(core, Scope(row["merchant_id"], row["mode"]), row["id"], kind, window)
    return started


def _window(plan: Plan, now: datetime, last: datetime | None) -> Window | None:
    until = now - plan.behind
    since = until - plan.reach if last is None or plan.always else last - plan.overlap
    return Window(since, until) if since < until else None


def _to_open_payouts(core: Core, scope: Scope, account_id: UUID, window: Window) -> Window:
    """A payout that was not whole yet is read again, however long ago it was made."""
    with core.database.scoped(scope) as connection:
        oldest = payout_rows.oldest_open(connection, account_id)
    return window if oldest is None or oldest >= window.since else Window(oldest, window.until)


def _start(core: Core, scope: Scope, account_id: UUID, kind: Kind, window: Window) -> bool:
    try:
        runs.start(core, scope, account_id, kind, window, "clock")
    except TollgateError as error:  # somebody was quicker, or it lies too far back: the next turn sees
        log.info("run_not_started", kind=kind, error_type=type(error).__name__)
        return False
    return True
