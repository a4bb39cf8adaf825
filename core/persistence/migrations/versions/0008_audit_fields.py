"""The audit log says what was and what is, where a caller came from, and for which job it happened."""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"

_COLUMNS = """
-- `before` and `after` hold what changed of the row, without secrets and people's data.
ALTER TABLE audit_log
    ADD COLUMN before jsonb,
    ADD COLUMN after jsonb,
    ADD COLUMN from_address text,
    ADD COLUMN job_id uuid;
"""


def upgrade() -> None:
    op.execute(_COLUMNS)


def downgrade() -> None:
    op.execute(
        "ALTER TABLE audit_log DROP COLUMN before, DROP COLUMN after, DROP COLUMN from_address, DROP COLUMN job_id"
    )
