"""Persons grant keys under the word by which the audit log knows them."""

from __future__ import annotations

from alembic import op

revision = "0014"
down_revision = "0013"

#: As `core/domain/identifiers.py` writes an id: 128 bits behind two zeros, five a letter.
_WORD = """
CREATE FUNCTION administrator_word(id uuid) RETURNS text LANGUAGE sql IMMUTABLE SET search_path = public, pg_temp AS $$
    SELECT 'adm_' || string_agg(substr('0123456789abcdefghjkmnpqrstvwxyz', substring(
               B'00' || ('x' || replace(id::text, '-', ''))::bit(128) FROM place * 5 + 1 FOR 5)::integer + 1, 1),
               '' ORDER BY place) FROM generate_series(0, 25) AS place
$$;
REVOKE ALL ON FUNCTION administrator_word(uuid) FROM PUBLIC;
"""

_GRANTING = """
CREATE OR REPLACE FUNCTION scopes_to_grant(asker text) RETURNS text[]
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    held text[];
BEGIN
    IF asker LIKE 'key:%' THEN
        SELECT k.scopes INTO held FROM api_keys k
         WHERE k.id = substr(asker, 5) AND k.kind = 'admin' AND k.revoked_at IS NULL
           AND (k.expires_at IS NULL OR k.expires_at > app_now());
    ELSIF asker LIKE 'person:%' THEN
        SELECT ARRAY['admin:write'] INTO held FROM administrators a
         WHERE {who} AND a.role = 'admin' AND a.disabled_at IS NULL;
    END IF;
    RETURN CASE WHEN held && ARRAY['admin:keys', 'admin:write'] THEN held END;
END $$;
"""


def upgrade() -> None:
    op.execute(_WORD)
    op.execute(_GRANTING.replace("{who}", "administrator_word(a.id) = substr(asker, 8)"))


def downgrade() -> None:
    op.execute(_GRANTING.replace("{who}", "a.name = substr(asker, 8)"))
    op.execute("DROP FUNCTION administrator_word(uuid)")
