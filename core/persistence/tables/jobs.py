"""Work that was accepted, and the keys under which it was."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import UUID

from core.persistence.tables.base import (
    created, identifier, json, link, metadata, number, small, tenant, text, when,
)  # fmt: skip

jobs = sa.Table(
    "jobs",
    metadata,
    identifier(),
    *tenant(),
    text("kind", False),
    text("lane", False),
    text("status", False),
    link("payment_id"),
    link("target_id"),
    link("endpoint_id"),
    json("arguments", False),
    small("attempts"),
    small("lease_losses"),
    created("run_after"),
    when("lease_until"),
    number("fence"),
    text("worker"),
    json("error"),
    created(),
    when("started_at"),
    when("finished_at"),
)

idempotency_keys = sa.Table(
    "idempotency_keys",
    metadata,
    sa.Column("merchant_id", UUID(as_uuid=True), primary_key=True),
    text("mode", False, primary_key=True),
    text("key", False, primary_key=True),
    sa.Column("fingerprint", sa.LargeBinary, nullable=False),
    link("job_id"),
    link("payment_id"),
    small("status_code"),
    text("location"),
    sa.Column("response", sa.JSON, nullable=False),
    created(),
)
