"""Whether Postgres takes as many connections as all processes together may open, and which number to change."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from cli.checks.finding import Finding, Situation, ok, skipped, warning
from core.environment import WrongSettings
from core.persistence.database import create_engine
from core.settings import Settings
from workers.lanes import connections
from workers.polling import LEASE_CONNECTIONS

SUBJECT = "Postgres connections"
#: Migrations, operator's commands, looks at the start, and a person with psql.
PEOPLE = 10

_FACTS = sa.text(
    "SELECT current_setting('max_connections')::int AS most, "
    "current_setting('superuser_reserved_connections')::int "
    "+ coalesce(current_setting('reserved_connections', true)::int, 0) AS reserved, "
    "count(*) FILTER (WHERE application_name NOT LIKE 'tollgate%') AS others, "
    "count(*) FILTER (WHERE application_name = 'tollgate-leases') AS leases "
    "FROM pg_stat_activity WHERE datid IS NOT NULL"
)


@dataclass(frozen=True)
class Facts:
    """Of the server: its limit, what it keeps for superusers, what other programs and our workers' leases hold now."""

    most: int
    reserved: int
    others: int
    leases: int


def check(situation: Situation) -> Iterator[Finding]:
    if situation.target is None:
        yield skipped(SUBJECT, situation.why)
        return
    try:
        settings = situation.settings()
        facts = _facts(situation.target.databases.owner)
    except WrongSettings:
        yield skipped(SUBJECT, "the settings are wrong, see there")
        return
    except SQLAlchemyError:
        yield skipped(SUBJECT, "Postgres could not be asked")
        return
    servers = situation.api_servers or 1
    # A worker holds at least one connection for its leases, and three at most.
    workers = situation.workers or max(math.ceil(facts.leases / LEASE_CONNECTIONS), os.cpu_count() or 1)
    yield add_up(settings, facts, servers, workers)


def add_up(settings: Settings, facts: Facts, servers: int, workers: int) -> Finding:
    """The sum in words; over the limit, the two numbers either of which makes it fit."""
    api = servers * settings.api_processes * settings.api_threads
    each = connections(settings) + LEASE_CONNECTIONS
    rest = PEOPLE + facts.others + facts.reserved
    needed = api + workers * each + rest
    text = (
        f"{needed} of {facts.most}: API {servers} x {settings.api_processes} x {settings.api_threads}, "
        f"workers {workers} x {each}, people {PEOPLE}, other programs {facts.others}, superusers {facts.reserved}"
    )
    if needed <= facts.most:
        return ok(SUBJECT, text)
    advice = f"set max_connections to {needed} or more"
    pool = (facts.most - rest - api) // workers - LEASE_CONNECTIONS
    if pool >= 2:
        advice += f", or TOLLGATE_DATABASE_POOL to {pool}"
    return warning(SUBJECT, text, f"{advice}: under full load some would find no connection")


def _facts(url: str) -> Facts:
    engine = create_engine(url, 1, "tollgate-doctor")
    try:
        with engine.connect() as connection:
            return Facts(**connection.execute(_FACTS).mappings().one())
    finally:
        engine.dispose()
