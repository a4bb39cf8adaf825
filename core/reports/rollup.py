"""Roll-up: the figures of each day that is over are kept, and counted anew when one of its payments has changed."""

from __future__ import annotations

import time
from datetime import date
from uuid import UUID

import sqlalchemy as sa

from core.orchestration.context import Core
from core.persistence.database import Scope
from core.reports.figures import KEYS, NAMED, SUMS, count

#: Minutes after midnight (UTC) before a day is counted: what was accepted in its last moment is committed by then.
OVER_FOR = 10
#: Seconds of work at a time; what is left is done at the next turn of the schedule.
BUDGET = 5.0
#: Seconds that the transactions of others are waited for, and between looks: most take milliseconds.
PATIENCE, _LOOK = 3.0, 0.02
#: Days looked for of each merchant at a time; a first roll-up of years takes several turns.
AT_ONCE = 400

_COLUMNS = (*KEYS, *SUMS, *NAMED)

#: Days that are over and were never counted, from the first payment or the last counted day on.
_FIND = sa.text(
    "INSERT INTO report_days (merchant_id, mode, day, changed_at) "
    "SELECT m.id, modes.mode, days.day::date, app_now() FROM merchants m "
    "CROSS JOIN (VALUES ('test'), ('live')) AS modes (mode) "
    "CROSS JOIN LATERAL (SELECT max(d.day) AS day FROM report_days d "
    "  WHERE d.merchant_id = m.id AND d.mode = modes.mode) AS last "
    "CROSS JOIN LATERAL (SELECT min(p.created_at) AS at FROM payments p "
    "  WHERE p.merchant_id = m.id AND p.mode = modes.mode) AS first "
    "CROSS JOIN LATERAL generate_series(coalesce(last.day + 1, (first.at AT TIME ZONE 'UTC')::date), "
    "  ((app_now() - make_interval(mins => :over)) AT TIME ZONE 'UTC')::date - 1, interval '1 day') AS days (day) "
    "WHERE first.at IS NOT NULL LIMIT :most ON CONFLICT DO NOTHING"
)
_CHANGED = sa.text(
    "SELECT merchant_id, mode, day FROM report_days WHERE (changed_at IS NOT NULL OR built_at IS NULL) "
    "AND day < ((app_now() - make_interval(mins => :over)) AT TIME ZONE 'UTC')::date "
    "ORDER BY changed_at NULLS FIRST LIMIT :most"
)
_DAY = {"of": "merchant_id = :merchant AND mode = :mode AND day = :day"}
#: Whoever changes a payment of the day from here on marks it anew; until it is counted, reports count it live.
_TAKE = sa.text(f"UPDATE report_days SET built_at = NULL, changed_at = NULL WHERE {_DAY['of']}")  # noqa: S608
_FENCE = sa.text("SELECT pg_current_xact_id()::text::bigint")
_OLDEST = sa.text("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
_MARK = sa.text(f"UPDATE report_days SET changed_at = app_now() WHERE {_DAY['of']}")  # noqa: S608
_EMPTY = sa.text(
    f"UPDATE daily_figures SET {', '.join(f'{name} = 0' for name in SUMS)}, "  # noqa: S608
    f"{', '.join(f'{name} = CAST(:nothing AS jsonb)' for name in NAMED)} WHERE {_DAY['of']}"
)
_WHERE = (
    "p.merchant_id = :merchant AND p.mode = :mode AND p.created_at >= CAST(:day AS date)::timestamp AT TIME ZONE 'UTC' "
    "AND p.created_at < (CAST(:day AS date) + 1)::timestamp AT TIME ZONE 'UTC'"
)
_FILL = sa.text(
    f"INSERT INTO daily_figures (merchant_id, mode, day, {', '.join(_COLUMNS)}) "  # noqa: S608
    f"SELECT CAST(:merchant AS uuid), :mode, CAST(:day AS date), {', '.join(_COLUMNS)} "
    f"FROM ({count(_WHERE)}) AS counted "
    f"ON CONFLICT (merchant_id, mode, day, provider, provider_account_id, currency, route) "
    f"DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in (*SUMS, *NAMED))}"
)
_DONE = sa.text(f"UPDATE report_days SET built_at = app_now() WHERE {_DAY['of']}")  # noqa: S608


def roll_up(core: Core) -> int:
    """Count the days that are over and are not counted, or have changed since; how many were. Safe to run twice."""
    until, counted = time.monotonic() + BUDGET, 0
    with core.database.unscoped() as connection:
        connection.execute(_FIND, {"over": OVER_FOR, "most": AT_ONCE})
        found = connection.execute(_CHANGED, {"over": OVER_FOR, "most": AT_ONCE}).all()
    for merchant_id, mode, day in found:
        if time.monotonic() > until:
            break
        counted += build(core, Scope(merchant_id, mode), day)
    return counted


def build(core: Core, scope: Scope, day: date) -> bool:
    """Count one day anew; False where others were at it for too long, and it is left marked.

    The mark is taken off first, in a commit of its own: a change from then on sets it again. Who changed a payment
    before saw the mark and did not set it, so all that began before are waited for.
    """
    values: dict[str, UUID | str | date] = {"merchant": scope.merchant_id, "mode": scope.mode, "day": day}
    with core.database.scoped(scope) as connection:
        connection.execute(_TAKE, values)
    if not _all_before_have_ended(core):
        with core.database.scoped(scope) as connection:
            connection.execute(_MARK, values)
        return False
    with core.database.scoped(scope) as connection:
        connection.execute(_EMPTY, {**values, "nothing": "{}"})
        connection.execute(_FILL, values)
        connection.execute(_DONE, values)
    return True


def _all_before_have_ended(core: Core) -> bool:
    """Has every transaction that wrote something before now been committed or rolled back?"""
    with core.database.unscoped() as connection:
        fence = connection.execute(_FENCE).scalar_one()
    until = time.monotonic() + PATIENCE
    while True:
        with core.database.unscoped() as connection:
            if connection.execute(_OLDEST).scalar_one() > fence:
                return True
        if time.monotonic() > until:
            return False
        time.sleep(_LOOK)
