"""The installation knows who it is, whether it is paused, and the oldest program that may still run on its schema."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"

_TABLE = """
-- One row. `id` goes with the data: a copy of this database is told by the anchor file, which stays behind.
CREATE TABLE installation (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    -- The revision of the oldest program that may run on this schema.
    oldest_program text NOT NULL,
    paused_at timestamptz,
    paused_because text,
    resumed_at timestamptz,
    resumed_by text,
    restored_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT app_now(),
    CONSTRAINT paused_for_a_reason CHECK ((paused_at IS NULL) = (paused_because IS NULL))
);
INSERT INTO installation (oldest_program) VALUES ('0004');
"""

_DOOR = """
-- Any process may stop the sending of money; only the owner lets it go on. True for whoever was first.
CREATE FUNCTION pause_installation(because text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE installation SET paused_at = app_now(), paused_because = because WHERE paused_at IS NULL;
    RETURN FOUND;
END $$;

-- The newest record of all merchants, of whom a role may see one: nothing but its number.
CREATE FUNCTION highest_audit_number() RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT coalesce(max(number), 0) FROM audit_log
$$;
REVOKE ALL ON FUNCTION pause_installation(text), highest_audit_number() FROM PUBLIC;
"""


def upgrade() -> None:
    op.execute(_TABLE)
    op.execute(_DOOR)
    for role in ("tollgate_api_rights", "tollgate_worker_rights"):
        op.execute(f"GRANT SELECT ON installation TO {role}")
        op.execute(f"GRANT EXECUTE ON FUNCTION pause_installation(text), highest_audit_number() TO {role}")


def downgrade() -> None:
    op.execute("DROP FUNCTION pause_installation(text), highest_audit_number(); DROP TABLE installation")
