"""API keys over the Admin API: made, rotated and ended through doors that grant nobody more than who asks has."""

from __future__ import annotations

from alembic import op

revision = "0011"
down_revision = "0010"

_COLUMNS = """
-- `replaces` is the key that this one was rotated from; `lifetime_seconds` what it was made for, which its successors
-- have too, however early it ends itself.
ALTER TABLE api_keys ADD COLUMN created_by text, ADD COLUMN replaces text, ADD COLUMN ended_by text,
    ADD COLUMN lifetime_seconds bigint;
"""

_USE = """
-- The row behind an API key's public id. It only reads: a guess at a known id leaves no other trace than one at an
-- unknown id, and takes no longer.
CREATE OR REPLACE FUNCTION find_api_key(key_id text)
RETURNS TABLE (kind text, merchant_id uuid, mode text, secret_hash bytea, scopes text[],
               expires_at timestamptz, revoked_at timestamptz, present timestamptz)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    RETURN QUERY SELECT k.kind, k.merchant_id, k.mode, k.secret_hash, k.scopes, k.expires_at, k.revoked_at, app_now()
                   FROM api_keys k WHERE k.id = key_id;
END $$;

-- Called once the secret was right; notes the use at most once a minute.
CREATE FUNCTION note_api_key_use(key_id text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    UPDATE api_keys k SET last_used_at = app_now()
     WHERE k.id = key_id AND (k.last_used_at IS NULL OR k.last_used_at < app_now() - interval '1 minute')
$$;
"""

#: What the transaction is held to decides whose keys these doors are about: a merchant's of one mode, or, where it is
#: the merchant of nobody, the administrators'.
_DOORS = """
CREATE FUNCTION keys_of_transaction(kind text, merchant_id uuid, mode text) RETURNS boolean
LANGUAGE sql STABLE SET search_path = public, pg_temp AS $$
    SELECT CASE WHEN kind = 'admin'
        THEN current_setting('tollgate.merchant_id', true) = '00000000-0000-0000-0000-000000000000'
        ELSE merchant_id = nullif(current_setting('tollgate.merchant_id', true), '')::uuid
             AND mode = current_setting('tollgate.mode', true) END
$$;

-- What whoever asks may grant, if it may grant at all; NULL if not. `admin:write` is everything.
CREATE FUNCTION scopes_to_grant(asker text) RETURNS text[]
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
         WHERE a.name = substr(asker, 8) AND a.role = 'admin' AND a.disabled_at IS NULL;
    END IF;
    RETURN CASE WHEN held && ARRAY['admin:keys', 'admin:write'] THEN held END;
END $$;

CREATE FUNCTION issue_api_key(asker text, new_id text, new_kind text, new_merchant uuid, new_mode text, new_name text,
                              new_prefix text, new_hash bytea, new_scopes text[], new_expires timestamptz,
                              old_id text, new_lifetime bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    held text[] := scopes_to_grant(asker);
    wanted text[] := CASE WHEN new_kind = 'admin' THEN new_scopes
                          WHEN 'customers:reveal' = ANY (new_scopes) THEN ARRAY['admin:reveal'] ELSE '{}' END;
BEGIN
    IF held IS NULL OR NOT ('admin:write' = ANY (held) OR wanted <@ held)
       OR NOT coalesce(keys_of_transaction(new_kind, new_merchant, new_mode), false) THEN
        RAISE EXCEPTION 'this key is not yours to grant' USING ERRCODE = 'insufficient_privilege';
    END IF;
    INSERT INTO api_keys (id, kind, merchant_id, mode, name, prefix, secret_hash, scopes, expires_at, created_by,
                          replaces, lifetime_seconds)
    VALUES (new_id, new_kind, new_merchant, new_mode, new_name, new_prefix, new_hash, new_scopes, new_expires, asker,
            old_id, new_lifetime);
END $$;

-- Locks one key and shows it without its hash.
CREATE FUNCTION hold_api_key(key_id text)
RETURNS TABLE (id text, kind text, merchant_id uuid, mode text, name text, prefix text, scopes text[],
               created_at timestamptz, expires_at timestamptz, revoked_at timestamptz, last_used_at timestamptz,
               created_by text, replaces text, ended_by text, lifetime_seconds bigint)
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT k.id, k.kind, k.merchant_id, k.mode, k.name, k.prefix, k.scopes, k.created_at, k.expires_at, k.revoked_at,
           k.last_used_at, k.created_by, k.replaces, k.ended_by, k.lifetime_seconds
      FROM api_keys k WHERE k.id = key_id AND keys_of_transaction(k.kind, k.merchant_id, k.mode) FOR UPDATE
$$;

-- Ends a key: at once with revoked, else at a time. Neither can be taken back, and no end is moved to later.
CREATE FUNCTION end_api_key(asker text, key_id text, revoked boolean, ends_at timestamptz) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF scopes_to_grant(asker) IS NULL THEN
        RAISE EXCEPTION 'this key is not yours to end' USING ERRCODE = 'insufficient_privilege';
    END IF;
    UPDATE api_keys k
       SET revoked_at = CASE WHEN revoked THEN coalesce(k.revoked_at, app_now()) ELSE k.revoked_at END,
           expires_at = least(k.expires_at, ends_at), ended_by = coalesce(k.ended_by, asker)
     WHERE k.id = key_id AND keys_of_transaction(k.kind, k.merchant_id, k.mode);
END $$;

-- The administrators' keys, which no merchant's transaction shows.
CREATE FUNCTION list_admin_keys()
RETURNS TABLE (id text, kind text, merchant_id uuid, mode text, name text, prefix text, scopes text[],
               created_at timestamptz, expires_at timestamptz, revoked_at timestamptz, last_used_at timestamptz,
               created_by text, replaces text, ended_by text, lifetime_seconds bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT k.id, k.kind, k.merchant_id, k.mode, k.name, k.prefix, k.scopes, k.created_at, k.expires_at, k.revoked_at,
           k.last_used_at, k.created_by, k.replaces, k.ended_by, k.lifetime_seconds
      FROM api_keys k WHERE k.kind = 'admin' ORDER BY k.created_at, k.id
$$;
"""

_FUNCTIONS = (
    "note_api_key_use(text)",
    "issue_api_key(text, text, text, uuid, text, text, text, bytea, text[], timestamptz, text, bigint)",
    "hold_api_key(text)",
    "end_api_key(text, text, boolean, timestamptz)",
    "list_admin_keys()",
)
_INNER = ("keys_of_transaction(text, uuid, text)", "scopes_to_grant(text)")

_GRANTS = f"""
REVOKE ALL ON FUNCTION {", ".join(_FUNCTIONS + _INNER)} FROM PUBLIC;
GRANT EXECUTE ON FUNCTION {", ".join(_FUNCTIONS)} TO tollgate_api_rights;
GRANT INSERT (id, name), UPDATE (name) ON merchants TO tollgate_api_rights;
"""


def upgrade() -> None:
    for statements in (_COLUMNS, _USE, _DOORS, _GRANTS):
        op.execute(statements)


def downgrade() -> None:
    op.execute("REVOKE INSERT (id, name), UPDATE (name) ON merchants FROM tollgate_api_rights")
    op.execute(f"DROP FUNCTION {', '.join(_FUNCTIONS + _INNER)}")
    op.execute(_OLD_FIND)
    op.execute(
        "ALTER TABLE api_keys DROP COLUMN created_by, DROP COLUMN replaces, DROP COLUMN ended_by, "
        "DROP COLUMN lifetime_seconds"
    )


_OLD_FIND = """
CREATE OR REPLACE FUNCTION find_api_key(key_id text)
RETURNS TABLE (kind text, merchant_id uuid, mode text, secret_hash bytea, scopes text[],
               expires_at timestamptz, revoked_at timestamptz, present timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE api_keys k SET last_used_at = app_now()
     WHERE k.id = key_id AND (k.last_used_at IS NULL OR k.last_used_at < app_now() - interval '1 minute');
    RETURN QUERY SELECT k.kind, k.merchant_id, k.mode, k.secret_hash, k.scopes, k.expires_at, k.revoked_at, app_now()
                   FROM api_keys k WHERE k.id = key_id;
END $$;
"""
