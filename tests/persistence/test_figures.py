"""What monitoring asks of Postgres costs the same at any age, and both logins may ask it."""

from __future__ import annotations

from importlib import import_module

import pytest
import sqlalchemy as sa

from core.persistence.database import Scope
from tests.persistence import rows
from tests.persistence.conftest import Roles

FIGURES: str = import_module("core.persistence.migrations.versions.0009_monitoring").FIGURES
#: Ended rows of each large table, which no figure may read.
ENDED = 60_000
#: Pages of 8 kB: a few of each index, whatever stands beside what is open.
FEW = 400
_JOBS = (
    "INSERT INTO jobs (id, merchant_id, mode, kind, lane, status, finished_at) SELECT gen_random_uuid(), :merchant, "
    "'live', 'create_payment', 'payments', 'succeeded', app_now() FROM generate_series(1, :ended)"
)
_INBOX = (
    "INSERT INTO inbox_events (id, merchant_id, mode, provider, provider_account_id, dedupe_key, kind, status) "
    "SELECT gen_random_uuid(), :merchant, 'live', 'stripe', a.id, n::text, 'k', 'applied' "
    "FROM generate_series(1, :ended) n, (SELECT id FROM provider_accounts LIMIT 1) a"
)
_FINDINGS = (
    "INSERT INTO findings (id, merchant_id, mode, kind, dedupe_key, status, resolved_at) SELECT gen_random_uuid(), "
    ":merchant, 'live', 'surplus_received', n::text, 'resolved', app_now() FROM generate_series(1, :ended) n"
)


def plan(roles: Roles) -> dict[str, object]:
    with roles.owner.begin() as connection:
        connection.execute(sa.text("SET LOCAL enable_seqscan = off"))
        found = connection.exec_driver_sql(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {FIGURES.replace('%', '%%')}")
        return dict(found.scalar_one()[0]["Plan"])


def nodes(plan: dict[str, object]) -> list[dict[str, object]]:
    found = [plan]
    for one in plan.get("Plans", []):  # type: ignore[attr-defined]
        found += nodes(one)
    return found


def test_no_ended_row_is_read(roles: Roles) -> None:
    with roles.owner.begin() as connection:
        merchant = rows.make_merchant(connection)
        rows.fill(connection, Scope(merchant, "live"))
        for statement in (_JOBS, _INBOX, _FINDINGS):
            connection.execute(sa.text(statement), {"merchant": merchant, "ended": ENDED})
    with roles.owner.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text("VACUUM ANALYZE jobs, inbox_events, findings, transactions"))
    found = plan(roles)
    large = {"jobs", "inbox_events", "findings", "transactions", "payments"}
    read_whole = [one["Relation Name"] for one in nodes(found) if one["Node Type"] == "Seq Scan"]
    assert large & set(read_whole) == set()
    pages = int(str(found["Shared Hit Blocks"])) + int(str(found["Shared Read Blocks"]))
    assert pages < FEW


@pytest.mark.parametrize("role", ["api", "worker"])
def test_both_logins_may_ask_and_see_no_table_more(roles: Roles, role: str) -> None:
    with getattr(roles, role).unscoped() as connection:
        names = set(connection.execute(sa.text("SELECT name FROM monitoring_figures()")).scalars())
    assert {"paused", "months_ahead", "database_time"} <= names


def test_the_gate_cannot_write_when_the_schedule_ran(roles: Roles) -> None:
    with pytest.raises(sa.exc.ProgrammingError, match="permission denied"), roles.api.unscoped() as connection:
        connection.execute(sa.text("INSERT INTO schedule_runs (name, every) VALUES ('sweep', 5)"))
