"""The one row that says which installation this database is, and whether it may send."""

from __future__ import annotations

import sqlalchemy as sa

from core.persistence.tables.base import created, link, metadata, text, when

installation = sa.Table(
    "installation",
    metadata,
    sa.Column("one", sa.Boolean, primary_key=True),
    link("id", nullable=False),
    text("oldest_program", False),
    when("paused_at"),
    text("paused_because"),
    when("resumed_at"),
    text("resumed_by"),
    when("restored_at"),
    created(),
)
