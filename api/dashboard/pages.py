"""Every page of the dashboard: whoever imports this has them all on the blueprint."""

from __future__ import annotations

from api.dashboard import (
    account,
    accounts,
    audit,
    events,
    findings,
    inbox,
    jobs,
    keys,
    login,
    overview,
    payments,
    people,
    reconciliation,
    reports,
    routing,
    start,
)
from api.dashboard.frame import dashboard

__all__ = [
    "account",
    "accounts",
    "audit",
    "dashboard",
    "events",
    "findings",
    "inbox",
    "jobs",
    "keys",
    "login",
    "overview",
    "payments",
    "people",
    "reconciliation",
    "reports",
    "routing",
    "start",
]
