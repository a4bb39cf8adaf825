"""What providers told us, and the sealed bodies of all they said."""

from __future__ import annotations

import sqlalchemy as sa

from core.persistence.tables.base import UTC, created, identifier, link, metadata, sealed, tenant, text, when

inbox_events = sa.Table(
    "inbox_events",
    metadata,
    identifier(),
    *tenant(),
    text("provider", False),
    link("provider_account_id", False),
    text("dedupe_key", False),
    text("kind", False),
    text("provider_event_id"),
    when("provider_created_at"),
    text("status", False),
    text("reason"),
    link("payment_id"),
    created("received_at"),
    when("processed_at"),
)

bodies = sa.Table(
    "bodies",
    metadata,
    identifier(),
    *tenant(),
    text("owner_kind", False),
    link("owner_id", False),
    sealed("sealed", False),
    sa.Column("created_at", UTC, primary_key=True, server_default=sa.text("app_now()")),
)
