"""The tables as SQLAlchemy Core sees them; the migrations own the schema, a test compares the two."""

from core.persistence.tables.accounts import (
    api_keys, customers, data_keys, erasures, key_rotations, merchants, payment_methods, provider_accounts,
    provider_customers, sealing_keys,
)  # fmt: skip
from core.persistence.tables.administrators import (
    administrator_devices, administrator_sessions, administrator_spare_codes, administrators, installation_keys,
)  # fmt: skip
from core.persistence.tables.audit import audit_log, audit_seals, findings
from core.persistence.tables.base import metadata
from core.persistence.tables.inbox import bodies, inbox_events
from core.persistence.tables.installation import installation
from core.persistence.tables.jobs import idempotency_keys, jobs
from core.persistence.tables.outbox import deliveries, events, webhook_endpoints
from core.persistence.tables.payments import disputes, payments, refunds, transactions, unknown_words
from core.persistence.tables.reconciliation import (
    daily_figures, payouts, reconciliation_runs, report_days, statement_lines,
)  # fmt: skip
from core.persistence.tables.routing import health_changes, routes
from core.persistence.tables.schedule import schedule_runs

__all__ = [
    "administrator_devices",
    "administrator_sessions",
    "administrator_spare_codes",
    "administrators",
    "api_keys",
    "audit_log",
    "audit_seals",
    "bodies",
    "customers",
    "daily_figures",
    "data_keys",
    "deliveries",
    "disputes",
    "erasures",
    "events",
    "findings",
    "health_changes",
    "idempotency_keys",
    "inbox_events",
    "installation",
    "installation_keys",
    "jobs",
    "key_rotations",
    "merchants",
    "metadata",
    "payment_methods",
    "payments",
    "payouts",
    "provider_accounts",
    "provider_customers",
    "reconciliation_runs",
    "refunds",
    "report_days",
    "routes",
    "schedule_runs",
    "sealing_keys",
    "statement_lines",
    "transactions",
    "unknown_words",
    "webhook_endpoints",
]
