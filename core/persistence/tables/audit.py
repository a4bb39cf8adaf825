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
    small,
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
    json("before"),
    json("after"),
    text("from_address"),
    link("job_id"),
)

audit_seals = sa.Table(
    "audit_seals",
    metadata,
    number("number", primary_key=True),
    small("form"),
    number("from_number"),
    number("to_number"),
    small("records"),
    sa.Column("leaves", sa.LargeBinary, nullable=False),
    sa.Column("previous", sa.LargeBinary, nullable=False),
    sa.Column("public_key", sa.LargeBinary, nullable=False),
    when("sealed_at", False),
    sa.Column("hash", sa.LargeBinary, nullable=False),
    sa.Column("signature", sa.LargeBinary, nullable=False),
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
