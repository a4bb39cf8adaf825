"""Every case in the order it runs: groups by what is broken, cases by number; drills, which take minutes, apart."""

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
    restore,
    sealing,
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

#: What an operator practises: the keys rotated under load, an older database put back.
DRILLS: tuple[Case, ...] = (*sealing.CASES, *restore.CASES)
