"""Only the sequence numbers a record of the audit log: no running login chooses one."""

from __future__ import annotations

from alembic import op

revision = "0016"
down_revision = "0015"

_ROLES = "tollgate_api_rights, tollgate_worker_rights"
#: All but `number`. `created_at` stays: records of one transaction bear its time, asked for once.
_COLUMNS = (
    "id, merchant_id, mode, actor, action, subject_kind, subject_id, payment_id, from_status, to_status, cause, "
    "request_id, details, created_at, before, after, from_address, job_id"
)


def upgrade() -> None:
    # One transaction: a program that runs meanwhile is never without the right it uses.
    op.execute(f"REVOKE INSERT ON audit_log FROM {_ROLES}")
    op.execute(f"GRANT INSERT ({_COLUMNS}) ON audit_log TO {_ROLES}")


def downgrade() -> None:
    op.execute(f"REVOKE INSERT ({_COLUMNS}) ON audit_log FROM {_ROLES}")
    op.execute(f"GRANT INSERT ON audit_log TO {_ROLES}")
