"""The walls: append-only audit log, monthly partitions, row-level security and what each role may do."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"

_AUDIT = """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is append-only' USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE ON audit_log
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
"""

_PARTITIONS = """
-- Makes the monthly partitions from last month to `months_ahead` from now; safe to call at any time.
CREATE FUNCTION ensure_partitions(months_ahead integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    parent text;
    month date;
    partition text;
    made integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('tollgate.ensure_partitions'));
    FOREACH parent IN ARRAY ARRAY['bodies', 'events', 'deliveries', 'audit_log'] LOOP
        FOR step IN -1..months_ahead LOOP
            month := date_trunc('month', app_now() AT TIME ZONE 'UTC')::date + make_interval(months => step);
            partition := format('%s_%s', parent, to_char(month, 'YYYY_MM'));
            IF to_regclass(partition) IS NULL THEN
                EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)', partition, parent,
                               month::timestamp AT TIME ZONE 'UTC',
                               (month + interval '1 month') AT TIME ZONE 'UTC');
                made := made + 1;
            END IF;
            -- Postgres hands row triggers down to partitions, but not this one; a partition kept through a
            -- downgrade has lost it.
            IF parent = 'audit_log' AND NOT EXISTS (
                SELECT FROM pg_trigger t
                 WHERE t.tgrelid = to_regclass(partition) AND t.tgname = partition || '_no_truncate') THEN
                EXECUTE format('CREATE TRIGGER %I BEFORE TRUNCATE ON %I FOR EACH STATEMENT '
                               'EXECUTE FUNCTION refuse_change()', partition || '_no_truncate', partition);
            END IF;
        END LOOP;
    END LOOP;
    RETURN made;
END $$;
REVOKE ALL ON FUNCTION ensure_partitions(integer) FROM PUBLIC;
"""

#: What runs before a merchant is known, and nothing more than it needs.
_DOORS = """
-- The row behind an API key's public id; notes the use at most once a minute.
CREATE FUNCTION find_api_key(key_id text)
RETURNS TABLE (kind text, merchant_id uuid, mode text, secret_hash bytea, scopes text[],
               expires_at timestamptz, revoked_at timestamptz, present timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE api_keys k SET last_used_at = app_now()
     WHERE k.id = key_id AND (k.last_used_at IS NULL OR k.last_used_at < app_now() - interval '1 minute');
    RETURN QUERY SELECT k.kind, k.merchant_id, k.mode, k.secret_hash, k.scopes, k.expires_at, k.revoked_at, app_now()
                   FROM api_keys k WHERE k.id = key_id;
END $$;

-- Whose account a provider's webhook address names.
CREATE FUNCTION find_webhook_account(account_id uuid) RETURNS TABLE (merchant_id uuid, mode text, provider text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT a.merchant_id, a.mode, a.provider FROM provider_accounts a WHERE a.id = account_id
$$;

CREATE FUNCTION count_forged_webhook(account_id uuid) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    INSERT INTO forged_webhooks (provider_account_id, day) VALUES (account_id, app_now()::date)
    ON CONFLICT (provider_account_id, day) DO UPDATE SET count = forged_webhooks.count + 1
$$;
REVOKE ALL ON FUNCTION find_api_key(text), find_webhook_account(uuid), count_forged_webhook(uuid) FROM PUBLIC;
"""

#: Every table with merchant and mode is walled.
_WALLED = (
    "data_keys api_keys provider_accounts customers payments refunds transactions disputes jobs idempotency_keys "
    "inbox_events webhook_endpoints findings bodies events deliveries audit_log"
).split()

_POLICIES = """
ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;
-- The sub-selects are evaluated once a statement instead of once a row.
CREATE POLICY {table}_api ON {table} TO tollgate_api_rights
    USING (merchant_id = (SELECT nullif(current_setting('tollgate.merchant_id', true), '')::uuid)
           AND mode = (SELECT current_setting('tollgate.mode', true)));
-- The worker claims and sweeps across merchants; once it has set a merchant it is held to it too.
CREATE POLICY {table}_worker ON {table} TO tollgate_worker_rights
    USING ((SELECT coalesce(current_setting('tollgate.merchant_id', true), '') = '')
           OR (merchant_id = (SELECT nullif(current_setting('tollgate.merchant_id', true), '')::uuid)
               AND mode = (SELECT current_setting('tollgate.mode', true))));
"""

_BOTH = """
GRANT SELECT ON app_clock, merchants, alembic_version TO {role};
GRANT EXECUTE ON FUNCTION app_now() TO {role};
GRANT SELECT, INSERT ON data_keys, customers, payments, refunds, transactions, jobs, idempotency_keys,
    inbox_events, webhook_endpoints, findings, bodies, events, audit_log TO {role};
GRANT UPDATE ON payments, refunds, transactions, jobs, inbox_events, findings TO {role};
GRANT SELECT ON provider_accounts, disputes, deliveries TO {role};
GRANT USAGE ON SEQUENCE audit_number TO {role};
"""

_GRANTS = """
GRANT UPDATE ON webhook_endpoints, idempotency_keys TO tollgate_api_rights;
GRANT SELECT ON api_keys TO tollgate_api_rights;
GRANT EXECUTE ON FUNCTION find_api_key(text), find_webhook_account(uuid), count_forged_webhook(uuid)
    TO tollgate_api_rights;
GRANT INSERT, UPDATE ON disputes TO tollgate_worker_rights;
GRANT INSERT ON deliveries TO tollgate_worker_rights;
GRANT UPDATE ON webhook_endpoints, provider_accounts TO tollgate_worker_rights;
GRANT EXECUTE ON FUNCTION ensure_partitions(integer) TO tollgate_worker_rights;
"""


def upgrade() -> None:
    op.execute(_AUDIT)
    op.execute(_PARTITIONS)
    op.execute("SELECT ensure_partitions(6)")
    op.execute(_DOORS)
    for table in _WALLED:
        op.execute(_POLICIES.format(table=table))
    for role in ("tollgate_api_rights", "tollgate_worker_rights"):
        op.execute(f"GRANT USAGE ON SCHEMA public TO {role}")
        op.execute(_BOTH.format(role=role))
    op.execute(_GRANTS)


def downgrade() -> None:
    for role in ("tollgate_api_rights", "tollgate_worker_rights"):
        op.execute(f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {role}")
        op.execute(f"REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM {role}")
        op.execute(f"REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM {role}")
        op.execute(f"REVOKE USAGE ON SCHEMA public FROM {role}")
    for table in _WALLED:
        op.execute(f"DROP POLICY {table}_api ON {table}; DROP POLICY {table}_worker ON {table}")
        op.execute(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")
    op.execute("DROP FUNCTION find_api_key(text), find_webhook_account(uuid), count_forged_webhook(uuid)")
    op.execute("DROP FUNCTION ensure_partitions(integer)")
    op.execute("DROP FUNCTION refuse_change() CASCADE")
