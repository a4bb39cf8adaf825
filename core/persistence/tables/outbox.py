"""What we tell merchants: events, where to, and every attempt."""

from __future__ import annotations

import sqlalchemy as sa

from core.persistence.tables.base import (
    TEXTS, UTC, created, flag, identifier, json, link, metadata, sealed, small, tenant, text, when,
)  # fmt: skip

events = sa.Table(
    "events",
    metadata,
    identifier(),
    *tenant(),
    text("type", False),
    link("payment_id"),
    small("sequence"),
    json("data", False),
    sa.Column("created_at", UTC, primary_key=True, server_default=sa.text("app_now()")),
)

webhook_endpoints = sa.Table(
    "webhook_endpoints",
    metadata,
    identifier(),
    *tenant(),
    text("url", False),
    text("description"),
    sa.Column("event_types", TEXTS, nullable=False),
    flag("enabled"),
    text("disabled_reason"),
    sealed("secrets_sealed", False),
    created(),
    created("updated_at"),
    when("deleted_at"),
)

deliveries = sa.Table(
    "deliveries",
    metadata,
    identifier(),
    *tenant(),
    link("event_id", False),
    link("endpoint_id", False),
    link("job_id", False),
    link("payment_id"),
    small("attempt"),
    text("outcome", False),
    small("http_status", True),
    text("error"),
    small("duration_ms"),
    sa.Column("created_at", UTC, primary_key=True, server_default=sa.text("app_now()")),
)
