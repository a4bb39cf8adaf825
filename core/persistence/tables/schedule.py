"""When each entry of the schedule last ran."""

from __future__ import annotations

import sqlalchemy as sa

from core.persistence.tables.base import created, metadata, text, when

schedule_runs = sa.Table(
    "schedule_runs",
    metadata,
    text("name", False, primary_key=True),
    sa.Column("every", sa.Double, nullable=False),
    created("ran_at"),
    when("beat_at"),
)
