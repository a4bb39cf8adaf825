"""Erasures that outlive a restore, bodies that can be redacted, and sealing keys that can be rotated and checked."""

from __future__ import annotations

from alembic import op

revision = "0012"
down_revision = "0011"

_ERASURES = """
-- Who was erased, by id: nothing here says who it was. The anchor file outside Postgres holds the same.
-- What names an erased person is redacted with the erasure; `redacted_at` is empty for those erased before that was so.
CREATE TABLE erasures (
    customer_id uuid PRIMARY KEY REFERENCES customers,
    merchant_id uuid NOT NULL,
    mode text NOT NULL CHECK (mode IN ('test', 'live')),
    erased_at timestamptz NOT NULL DEFAULT app_now(),
    redacted_at timestamptz
);
INSERT INTO erasures (customer_id, merchant_id, mode, erased_at)
    SELECT id, merchant_id, mode, erased_at FROM customers WHERE erased_at IS NOT NULL;
CREATE INDEX erasures_time ON erasures (erased_at);
CREATE INDEX erasures_unfinished ON erasures (customer_id) WHERE redacted_at IS NULL;
ALTER TABLE erasures ENABLE ROW LEVEL SECURITY;
CREATE POLICY erasures_api ON erasures TO tollgate_api_rights
    USING (merchant_id = (SELECT nullif(current_setting('tollgate.merchant_id', true), '')::uuid)
           AND mode = (SELECT current_setting('tollgate.mode', true)));
CREATE POLICY erasures_worker ON erasures TO tollgate_worker_rights
    USING ((SELECT coalesce(current_setting('tollgate.merchant_id', true), '') = '')
           OR (merchant_id = (SELECT nullif(current_setting('tollgate.merchant_id', true), '')::uuid)
               AND mode = (SELECT current_setting('tollgate.mode', true))));

-- Whoever pays was erased: what a provider still says of this payment is kept redacted.
ALTER TABLE payments ADD COLUMN payer_erased boolean NOT NULL DEFAULT false;
"""

_KEYS = """
-- Every version of a sealing key that was ever used, with a value by which the right key is told from a wrong one.
CREATE TABLE sealing_keys (
    kind text NOT NULL CHECK (kind IN ('kek', 'index')),
    version integer NOT NULL,
    check_value bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT app_now(),
    retired_at timestamptz,
    PRIMARY KEY (kind, version)
);

-- A walk that brings all rows to one version of a key; it goes on after `walked_to`, whoever takes it up.
CREATE TABLE key_rotations (
    id uuid PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('kek', 'index')),
    to_version integer NOT NULL,
    status text NOT NULL CHECK (status IN ('running', 'finished')),
    subject text NOT NULL,
    walked_to uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
    done bigint NOT NULL DEFAULT 0,
    total bigint NOT NULL,
    started_by text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT app_now(),
    updated_at timestamptz NOT NULL DEFAULT app_now(),
    finished_at timestamptz
);
CREATE UNIQUE INDEX key_rotations_one ON key_rotations (kind) WHERE status = 'running';

ALTER TABLE payment_methods ADD COLUMN index_key_version integer NOT NULL DEFAULT 1;
"""

_GRANTS = """
GRANT SELECT, INSERT, UPDATE ON erasures TO {role};
GRANT UPDATE (sealed) ON bodies TO {role};
GRANT UPDATE (data) ON events TO {role};
GRANT SELECT ON sealing_keys, key_rotations TO {role};
"""

_WORKERS = """
GRANT UPDATE (response) ON idempotency_keys TO tollgate_worker_rights;
GRANT UPDATE (kek_version, wrapped) ON data_keys TO tollgate_worker_rights;
GRANT INSERT, UPDATE ON sealing_keys, key_rotations TO tollgate_worker_rights;
"""

_DOWN = """
REVOKE UPDATE (kek_version, wrapped) ON data_keys FROM tollgate_worker_rights;
REVOKE UPDATE (response) ON idempotency_keys FROM tollgate_worker_rights;
REVOKE UPDATE (data) ON events FROM tollgate_api_rights, tollgate_worker_rights;
REVOKE UPDATE (sealed) ON bodies FROM tollgate_api_rights, tollgate_worker_rights;
ALTER TABLE payment_methods DROP COLUMN index_key_version;
ALTER TABLE payments DROP COLUMN payer_erased;
DROP TABLE key_rotations, sealing_keys, erasures;
"""


def upgrade() -> None:
    op.execute(_ERASURES)
    op.execute(_KEYS)
    for role in ("tollgate_api_rights", "tollgate_worker_rights"):
        op.execute(_GRANTS.format(role=role))
    op.execute(_WORKERS)


def downgrade() -> None:
    op.execute(_DOWN)
