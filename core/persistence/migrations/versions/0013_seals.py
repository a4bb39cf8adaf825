"""Seals of the audit log: each names the records up to a number by their hashes, and the seal before it."""

from __future__ import annotations

from alembic import op

revision = "0013"
down_revision = "0012"

_SEALS = """
-- A seal covers every record numbered above `from_number`, up to `to_number`. `leaves` holds number and SHA-256 of each
-- (40 bytes); `hash` is over all columns but the signature. There is one chain: a second seal of a number is refused.
CREATE TABLE audit_seals (
    number bigint PRIMARY KEY CHECK (number > 0),
    form integer NOT NULL,
    from_number bigint NOT NULL,
    to_number bigint NOT NULL,
    records integer NOT NULL CHECK (records > 0),
    leaves bytea NOT NULL,
    previous bytea NOT NULL,
    public_key bytea NOT NULL,
    sealed_at timestamptz NOT NULL,
    hash bytea NOT NULL,
    signature bytea NOT NULL,
    CONSTRAINT seals_go_on CHECK (to_number > from_number)
);
-- Its hashes are as good as random: what does not shrink is not tried.
ALTER TABLE audit_seals ALTER COLUMN leaves SET STORAGE EXTERNAL;
CREATE INDEX audit_seals_records ON audit_seals (to_number);
CREATE TRIGGER audit_seals_append_only BEFORE UPDATE OR DELETE ON audit_seals
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audit_seals_no_truncate BEFORE TRUNCATE ON audit_seals
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
"""

_DOORS = """
-- When the oldest record was made that no seal covers yet, of all merchants; NULL where all are sealed.
CREATE FUNCTION oldest_unsealed() RETURNS timestamptz
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT a.created_at FROM audit_log a
     WHERE a.number > coalesce((SELECT s.to_number FROM audit_seals s ORDER BY s.number DESC LIMIT 1), 0)
     ORDER BY a.number LIMIT 1
$$;

-- What an administrator who may read the audit log searches, across merchants: the newest `most` of the records
-- numbered above `low` and up to `high` that fit. The span is the caller's to bound.
CREATE FUNCTION search_audit(low bigint, high bigint, most integer, wanted jsonb) RETURNS SETOF audit_log
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    RETURN QUERY SELECT a.* FROM audit_log a
     WHERE a.number > low AND a.number <= high
       AND (NOT wanted ? 'merchant' OR a.merchant_id = (wanted ->> 'merchant')::uuid)
       AND (NOT wanted ? 'mode' OR a.mode = wanted ->> 'mode')
       AND (NOT wanted ? 'payment' OR a.payment_id = (wanted ->> 'payment')::uuid)
       AND (NOT wanted ? 'subject' OR a.subject_id = (wanted ->> 'subject')::uuid)
       AND (NOT wanted ? 'subject_kind' OR a.subject_kind = wanted ->> 'subject_kind')
       AND (NOT wanted ? 'actor' OR a.actor = wanted ->> 'actor')
       AND (NOT wanted ? 'action' OR a.action = wanted ->> 'action')
       AND (NOT wanted ? 'request' OR a.request_id = wanted ->> 'request')
       AND (NOT wanted ? 'since' OR a.created_at >= (wanted ->> 'since')::timestamptz)
       AND (NOT wanted ? 'until' OR a.created_at < (wanted ->> 'until')::timestamptz)
     ORDER BY a.number DESC LIMIT most;
END $$;
REVOKE ALL ON FUNCTION oldest_unsealed(), search_audit(bigint, bigint, integer, jsonb) FROM PUBLIC;
"""

_GRANTS = """
GRANT SELECT ON audit_seals TO tollgate_api_rights, tollgate_worker_rights;
GRANT INSERT ON audit_seals TO tollgate_worker_rights;
GRANT SELECT ON SEQUENCE audit_number TO tollgate_worker_rights;
GRANT EXECUTE ON FUNCTION oldest_unsealed() TO tollgate_api_rights, tollgate_worker_rights;
GRANT EXECUTE ON FUNCTION search_audit(bigint, bigint, integer, jsonb) TO tollgate_api_rights;
"""


def upgrade() -> None:
    for statements in (_SEALS, _DOORS, _GRANTS):
        op.execute(statements)


def downgrade() -> None:
    op.execute("REVOKE SELECT ON SEQUENCE audit_number FROM tollgate_worker_rights")
    op.execute("DROP FUNCTION oldest_unsealed(), search_audit(bigint, bigint, integer, jsonb); DROP TABLE audit_seals")
