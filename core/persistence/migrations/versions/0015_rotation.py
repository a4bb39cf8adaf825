"""The workers wrap the installation's own keys anew when the key-encryption key is rotated."""

from __future__ import annotations

from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    op.execute("GRANT SELECT ON installation_keys TO tollgate_worker_rights")
    op.execute("GRANT UPDATE (kek_version, wrapped) ON installation_keys TO tollgate_worker_rights")


def downgrade() -> None:
    op.execute("REVOKE UPDATE (kek_version, wrapped) ON installation_keys FROM tollgate_worker_rights")
    op.execute("REVOKE SELECT ON installation_keys FROM tollgate_worker_rights")
