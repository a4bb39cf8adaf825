"""Customers with what providers keep of them, saved methods, disputes that can be answered, words we do not know."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"

_CUSTOMERS = """
ALTER TABLE customers ADD COLUMN reference text, ADD COLUMN metadata jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN updated_at timestamptz NOT NULL DEFAULT app_now();
CREATE INDEX customers_list ON customers (merchant_id, mode, created_at DESC, id DESC);
CREATE INDEX customers_reference ON customers (merchant_id, mode, reference) WHERE reference IS NOT NULL;

-- The provider's object for a customer of ours. The key is the lock: one row, one provider key, one object.
CREATE TABLE provider_customers (
    customer_id uuid NOT NULL REFERENCES customers,
    provider_account_id uuid NOT NULL REFERENCES provider_accounts,
    merchant_id uuid NOT NULL,
    mode text NOT NULL CHECK (mode IN ('test', 'live')),
    provider_key text NOT NULL CHECK (char_length(provider_key) <= 255),
    provider_id text,
    first_sent_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT app_now(),
    updated_at timestamptz NOT NULL DEFAULT app_now(),
    PRIMARY KEY (customer_id, provider_account_id)
);

-- Token and card are sealed under the customer's own key: with the key goes what we could charge anew.
CREATE TABLE payment_methods (
    id uuid PRIMARY KEY,
    merchant_id uuid NOT NULL,
    mode text NOT NULL CHECK (mode IN ('test', 'live')),
    customer_id uuid NOT NULL REFERENCES customers,
    payment_id uuid,
    provider text NOT NULL,
    provider_account_id uuid NOT NULL REFERENCES provider_accounts,
    kind text NOT NULL,
    status text NOT NULL CHECK (status IN ('active', 'forgetting', 'forgotten')),
    sealed bytea,
    token_index bytea NOT NULL,
    fingerprint_index bytea,
    created_at timestamptz NOT NULL DEFAULT app_now(),
    updated_at timestamptz NOT NULL DEFAULT app_now(),
    forgotten_at timestamptz
);
CREATE INDEX payment_methods_customer ON payment_methods (customer_id, created_at DESC, id DESC);
CREATE INDEX payment_methods_token ON payment_methods (provider_account_id, token_index);
-- One card saved twice is one method.
CREATE UNIQUE INDEX payment_methods_one_card ON payment_methods (customer_id, provider_account_id, fingerprint_index)
    WHERE status = 'active' AND fingerprint_index IS NOT NULL;
CREATE UNIQUE INDEX payment_methods_one_token ON payment_methods (customer_id, provider_account_id, token_index)
    WHERE status = 'active';
"""

_MONEY = """
ALTER TABLE payments ADD COLUMN payment_method_id uuid, ADD COLUMN save_method boolean NOT NULL DEFAULT false,
    ADD COLUMN off_session boolean NOT NULL DEFAULT false;
CREATE INDEX payments_method ON payments (payment_method_id) WHERE payment_method_id IS NOT NULL;

ALTER TABLE disputes ADD COLUMN provider text, ADD COLUMN refundable boolean NOT NULL DEFAULT false,
    ADD COLUMN withheld boolean NOT NULL DEFAULT true, ADD COLUMN evidence_sealed bytea,
    ADD COLUMN evidence_sent_at timestamptz;
UPDATE disputes d SET provider = t.provider FROM transactions t WHERE t.id = d.transaction_id;
ALTER TABLE disputes ALTER COLUMN provider SET NOT NULL;
CREATE INDEX disputes_payment ON disputes (payment_id);
CREATE INDEX disputes_list ON disputes (merchant_id, mode, created_at DESC, id DESC);

-- Words of providers that stand in no table of ours, counted; they hold nothing of a merchant or a person.
CREATE TABLE unknown_words (
    provider text NOT NULL,
    kind text NOT NULL,
    word text NOT NULL CHECK (char_length(word) BETWEEN 1 AND 100),
    count bigint NOT NULL DEFAULT 1,
    first_seen_at timestamptz NOT NULL DEFAULT app_now(),
    last_seen_at timestamptz NOT NULL DEFAULT app_now(),
    PRIMARY KEY (provider, kind, word)
);
"""

_WALLED = ("provider_customers", "payment_methods")

_POLICIES = """
ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;
CREATE POLICY {table}_api ON {table} TO tollgate_api_rights
    USING (merchant_id = (SELECT nullif(current_setting('tollgate.merchant_id', true), '')::uuid)
           AND mode = (SELECT current_setting('tollgate.mode', true)));
CREATE POLICY {table}_worker ON {table} TO tollgate_worker_rights
    USING ((SELECT coalesce(current_setting('tollgate.merchant_id', true), '') = '')
           OR (merchant_id = (SELECT nullif(current_setting('tollgate.merchant_id', true), '')::uuid)
               AND mode = (SELECT current_setting('tollgate.mode', true))));
"""

_DOORS = """
-- Erasing a person is deleting their key: no role may delete any other key, or another merchant's.
CREATE FUNCTION destroy_customer_key(customer uuid) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    DELETE FROM data_keys k
     WHERE k.owner_kind = 'customer' AND k.owner_id = customer
       AND k.merchant_id = nullif(current_setting('tollgate.merchant_id', true), '')::uuid
       AND k.mode = current_setting('tollgate.mode', true);
    RETURN FOUND;
END $$;
REVOKE ALL ON FUNCTION destroy_customer_key(uuid) FROM PUBLIC;
"""

_GRANTS = """
GRANT SELECT, INSERT, UPDATE ON provider_customers, payment_methods TO {role};
GRANT UPDATE ON customers, disputes TO {role};
GRANT SELECT ON unknown_words TO {role};
GRANT EXECUTE ON FUNCTION destroy_customer_key(uuid) TO {role};
"""

_DOWN = """
DROP FUNCTION destroy_customer_key(uuid);
REVOKE UPDATE ON customers FROM tollgate_api_rights, tollgate_worker_rights;
REVOKE UPDATE ON disputes FROM tollgate_api_rights;
DROP TABLE unknown_words, payment_methods, provider_customers;
DROP INDEX disputes_list;
DROP INDEX disputes_payment;
ALTER TABLE disputes DROP COLUMN provider, DROP COLUMN refundable, DROP COLUMN withheld, DROP COLUMN evidence_sealed,
    DROP COLUMN evidence_sent_at;
ALTER TABLE payments DROP COLUMN payment_method_id, DROP COLUMN save_method, DROP COLUMN off_session;
DROP INDEX customers_reference;
DROP INDEX customers_list;
ALTER TABLE customers DROP COLUMN reference, DROP COLUMN metadata, DROP COLUMN updated_at;
"""


def upgrade() -> None:
    op.execute(_CUSTOMERS)
    op.execute(_MONEY)
    op.execute(_DOORS)
    for table in _WALLED:
        op.execute(_POLICIES.format(table=table))
    for role in ("tollgate_api_rights", "tollgate_worker_rights"):
        op.execute(_GRANTS.format(role=role))
    op.execute("GRANT INSERT, UPDATE ON unknown_words TO tollgate_worker_rights")


def downgrade() -> None:
    op.execute(_DOWN)
