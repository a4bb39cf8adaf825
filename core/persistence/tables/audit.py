"""The append-only log of every change, and the findings that wait for a person."""

from __future__ import annotations

import sqlalchemy as sa

from core.persistence.tables.base import (
    UTC,
    created,
    identifier,
    json,
    link,
    metadata,
    number,
    tenant,
    text,
    when,
)

audit_log = sa.Table(
    "audit_log",
    metadata,
    identifier(),
    number("number", server_default=sa.text("nextval('audit_number')")),
    *tenant(),
    text("actor", False),
    text("action", False),
    text("subject_kind", False),
    link("subject_id", False),
    link("payment_id"),
    text("from_status"),
    text("to_status"),
    text("cause"),
    text("request_id"),
    json("details", False),
    sa.Column("created_at", UTC, primary_key=True, server_default=sa.text("app_now()")),
)

findings = sa.Table(
    "findings",
    metadata,
    identifier(),
    *tenant(),
    text("kind", False),
    text("dedupe_key", False),
    text("status", False),
    link("payment_id"),
    link("transaction_id"),
    link("job_id"),
    link("inbox_id"),
    json("details", False),
    created(),
    when("resolved_at"),
    text("resolution"),
    text("severity", False),
    number("amount", True),
    text("currency"),
    json("evidence", False),
    link("provider_account_id"),
    link("run_id"),
    text("assigned_to"),
    when("assigned_at"),
    text("resolved_by"),
    text("action"),
)
