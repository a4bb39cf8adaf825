"""Every case in the order it runs: groups by what is broken, cases by number."""

from __future__ import annotations

from tests.chaos.cases import (
    broker,
    clock,
    concurrency,
    config,
    crash,
    database,
    keys,
    limits,
    provider,
    provider_road,
    webhook,
)  # fmt: skip
from tests.chaos.cases.case import Case

CASES: tuple[Case, ...] = (
    *crash.CASES,
    *broker.CASES,
    *database.CASES,
    *provider.CASES,
    *provider_road.CASES,
    *webhook.CASES,
    *concurrency.CASES,
    *clock.CASES,
    *keys.CASES,
    *limits.CASES,
    *config.CASES,
)
