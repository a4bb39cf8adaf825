"""The tables: merchant and mode on every row, uniqueness never on a partitioned table."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None

_CLOCK = """
-- Tests and the demo move time by this one row; only the owner may write it.
CREATE TABLE app_clock (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    shift interval NOT NULL DEFAULT interval '0'
);
INSERT INTO app_clock DEFAULT VALUES;
CREATE FUNCTION app_now() RETURNS timestamptz LANGUAGE sql STABLE
    AS 'SELECT statement_timestamp() + (SELECT shift FROM app_clock)';
"""

_TENANTS = """
CREATE TABLE merchants (
    id uuid PRIMARY KEY,
    name text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 200),
    created_at timestamptz NOT NULL DEFAULT app_now()
);

-- One wrapped key per merchant and mode, one per customer. Deleting a customer's row erases the person.
CREATE TABLE data_keys (
    id uuid PRIMARY KEY,
    merchant_id uuid NOT NULL REFERENCES merchants,
    mode text NOT NULL CHECK (mode IN ('test', 'live')),
    owner_kind text NOT NULL CHECK (owner_kind IN ('merchant', 'customer')),
    owner_id uuid NOT NULL,
    kek_version integer NOT NULL,
    wrapped bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT app_now(),
    UNIQUE (merchant_id, mode, owner_kind, owner_id)
);

CREATE TABLE api_keys (
    id text PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('merchant', 'admin')),
    merchant_id uuid REFERENCES merchants,
    mode text CHECK (mode IN ('test', 'live')),
    name text NOT NULL,
    prefix text NOT NULL,
    secret_hash bytea NOT NULL CHECK (octet_length(secret_hash) = 32),
    scopes text[] NOT NULL,
    created_at timestamptz NOT NULL DEFAULT app_now(),
    expires_at timestamptz,
    revoked_at timestamptz,
    last_used_at timestamptz,
    CHECK ((kind = 'merchant') = (merchant_id IS NOT NULL AND mode IS NOT NULL))
);
CREATE INDEX api_keys_merchant ON api_keys (merchant_id, mode);

CREATE TABLE provider_accounts (
    id uuid PRIMARY KEY,
    merchant_id uuid NOT NULL REFERENCES merchants,
    mode text NOT NULL CHECK (mode IN ('test', 'live')),
    provider text NOT NULL,
    name text NOT NULL,
    identity text NOT NULL,
    status text NOT NULL CHECK (status IN ('enabled', 'draining', 'suspended', 'disabled')),
    priority integer NOT NULL DEFAULT 100,
    api_base text CHECK (api_base IS NULL OR mode = 'test'),
    credentials_sealed bytea NOT NULL,
    webhook_secrets_sealed bytea NOT NULL,
    settings jsonb NOT NULL DEFAULT '{}',
    suspended_reason text,
    created_at timestamptz NOT NULL DEFAULT app_now(),
    updated_at timestamptz NOT NULL DEFAULT app_now(),
    UNIQUE (merchant_id, mode, provider, identity)
);

CREATE TABLE customers (
    id uuid PRIMARY KEY,
    merchant_id uuid NOT NULL REFERENCES merchants,
    mode text NOT NULL CHECK (mode IN ('test', 'live')),
    sealed bytea,
    email_index bytea,
    index_key_version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT app_now(),
    erased_at timestamptz
);
CREATE INDEX customers_email ON customers (merchant_id, mode, email_index) WHERE email_index IS NOT NULL;
"""

_MONEY = """
CREATE TABLE payments (
    id uuid PRIMARY KEY,
    merchant_id uuid NOT NULL REFERENCES merchants,
    mode text NOT NULL CHECK (mode IN ('test', 'live')),
    customer_id uuid REFERENCES customers,
    status text NOT NULL
        CHECK (status IN ('processing', 'requires_action', 'authorized', 'succeeded', 'failed', 'canceled')),
    amount bigint NOT NULL CHECK (amount BETWEEN 1 AND 999999999999),
    currency text NOT NULL CHECK (char_length(currency) = 3),
    capture text NOT NULL CHECK (capture IN ('automatic', 'manual')),
    method text NOT NULL CHECK (method IN ('token', 'redirect', 'saved')),
    method_sealed bytea,
    provider_pin text,
    provider text,
    provider_account_id uuid REFERENCES provider_accounts,
    reference text,
    description text,
    metadata jsonb NOT NULL DEFAULT '{}',
    return_url text,
    next_action_sealed bytea,
    amount_authorized bigint NOT NULL DEFAULT 0 CHECK (amount_authorized >= 0),
    amount_captured bigint NOT NULL DEFAULT 0 CHECK (amount_captured >= 0),
    amount_received bigint NOT NULL DEFAULT 0 CHECK (amount_received >= 0),
    amount_refunded bigint NOT NULL DEFAULT 0 CHECK (amount_refunded >= 0),
    amount_disputed bigint NOT NULL DEFAULT 0 CHECK (amount_disputed >= 0),
    refund_reserved bigint NOT NULL DEFAULT 0,
    decline jsonb,
    failure_code text,
    route jsonb,
    event_sequence integer NOT NULL DEFAULT 0,
    expires_at timestamptz,
    watch_until timestamptz,
    next_sync_at timestamptz,
    sync_count integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT app_now(),
    updated_at timestamptz NOT NULL DEFAULT app_now(),
    -- What we ask back for never exceeds what was taken; even a bug cannot pass.
    CONSTRAINT refunds_within_captured
        CHECK (refund_reserved >= 0 AND refund_reserved <= GREATEST(amount_captured, amount_received))
);
CREATE INDEX payments_list ON payments (merchant_id, mode, id DESC);
CREATE INDEX payments_status ON payments (merchant_id, mode, status, id DESC);
CREATE INDEX payments_reference ON payments (merchant_id, mode, reference) WHERE reference IS NOT NULL;
CREATE INDEX payments_sync ON payments (next_sync_at) WHERE next_sync_at IS NOT NULL;
CREATE INDEX payments_expiry ON payments (expires_at) WHERE status = 'requires_action';

CREATE TABLE refunds (
    id uuid PRIMARY KEY,
    merchant_id uuid NOT NULL REFERENCES merchants,
    mode text NOT NULL CHECK (mode IN ('test', 'live')),
    payment_id uuid NOT NULL REFERENCES payments,
    status text NOT NULL CHECK (status IN ('processing', 'requires_action', 'succeeded', 'failed', 'canceled')),
    amount bigint NOT NULL CHECK (amount > 0),
    currency text NOT NULL,
    reason text,
    origin text NOT NULL CHECK (origin IN ('api', 'provider')),
    provider_id text,
    failure jsonb,
    created_at timestamptz NOT NULL DEFAULT app_now(),
    updated_at timestamptz NOT NULL DEFAULT app_now()
);
CREATE INDEX refunds_payment ON refunds (payment_id);
CREATE INDEX refunds_list ON refunds (merchant_id, mode, id DESC);

CREATE TABLE transactions (
    id uuid PRIMARY KEY,
    merchant_id uuid NOT NULL REFERENCES merchants,
    mode text NOT NULL CHECK (mode IN ('test', 'live')),
    payment_id uuid NOT NULL REFERENCES payments,
    refund_id uuid REFERENCES refunds,
    kind text NOT NULL CHECK (kind IN ('charge', 'authorize', 'capture', 'void', 'refund', 'save')),
    number integer NOT NULL,
    status text NOT NULL CHECK (status IN ('sent', 'pending', 'requires_action', 'succeeded', 'declined',
                                           'not_executed', 'unknown', 'canceled')),
    surplus boolean NOT NULL DEFAULT false,
    provider text NOT NULL,
    provider_account_id uuid NOT NULL REFERENCES provider_accounts,
    provider_key text NOT NULL CHECK (char_length(provider_key) <= 255),
    provider_id text,
    provider_charge_id text,
    amount bigint NOT NULL CHECK (amount > 0),
    currency text NOT NULL,
    amount_confirmed bigint,
    fee bigint,
    request_sealed bytea NOT NULL,
    send_count integer NOT NULL DEFAULT 0,
    first_sent_at timestamptz,
    last_sent_at timestamptz,
    -- True once any send could have reached the provider: then only proof can call it not executed.
    ambiguous boolean NOT NULL DEFAULT false,
    not_found_count integer NOT NULL DEFAULT 0,
    not_found_at timestamptz,
    lookup_count integer NOT NULL DEFAULT 0,
    -- Doubt about an ended transaction: it is asked about again, whatever its status.
    recheck_at timestamptz,
    decline jsonb,
    evidence jsonb,
    extra jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT app_now(),
    updated_at timestamptz NOT NULL DEFAULT app_now(),
    UNIQUE (payment_id, kind, number),
    UNIQUE (provider_account_id, provider_key)
);
-- Promise 3: one charge may be open or have succeeded; surplus money is recorded beside it.
CREATE UNIQUE INDEX transactions_one_charge ON transactions (payment_id)
    WHERE kind IN ('charge', 'authorize') AND NOT surplus
      AND status IN ('sent', 'pending', 'requires_action', 'unknown', 'succeeded');
-- One capture or release under way per payment: an ambiguous one is settled before the next is sent.
CREATE UNIQUE INDEX transactions_one_closing ON transactions (payment_id)
    WHERE kind IN ('capture', 'void') AND status IN ('sent', 'pending', 'requires_action', 'unknown');
CREATE INDEX transactions_provider_id ON transactions (provider_account_id, provider_id)
    WHERE provider_id IS NOT NULL;
CREATE INDEX transactions_provider_charge ON transactions (provider_account_id, provider_charge_id)
    WHERE provider_charge_id IS NOT NULL;
CREATE INDEX transactions_open ON transactions (last_sent_at) WHERE status IN ('sent', 'unknown');
CREATE INDEX transactions_refund ON transactions (refund_id) WHERE refund_id IS NOT NULL;

CREATE TABLE disputes (
    id uuid PRIMARY KEY,
    merchant_id uuid NOT NULL REFERENCES merchants,
    mode text NOT NULL CHECK (mode IN ('test', 'live')),
    payment_id uuid NOT NULL REFERENCES payments,
    transaction_id uuid NOT NULL REFERENCES transactions,
    status text NOT NULL CHECK (status IN ('needs_response', 'under_review', 'won', 'lost', 'closed')),
    amount bigint NOT NULL CHECK (amount > 0),
    currency text NOT NULL,
    reason text,
    provider_account_id uuid NOT NULL REFERENCES provider_accounts,
    provider_id text NOT NULL,
    evidence_due_by timestamptz,
    created_at timestamptz NOT NULL DEFAULT app_now(),
    updated_at timestamptz NOT NULL DEFAULT app_now(),
    UNIQUE (provider_account_id, provider_id)
);
"""

_WORK = """
CREATE TABLE jobs (
    id uuid PRIMARY KEY,
    merchant_id uuid NOT NULL REFERENCES merchants,
    mode text NOT NULL CHECK (mode IN ('test', 'live')),
    kind text NOT NULL,
    lane text NOT NULL CHECK (lane IN ('payments', 'webhooks', 'deliveries', 'maintenance')),
    status text NOT NULL
        CHECK (status IN ('queued', 'running', 'succeeded', 'failed', 'needs_review', 'canceled')),
    payment_id uuid,
    target_id uuid,
    endpoint_id uuid,
    arguments jsonb NOT NULL DEFAULT '{}',
    attempts integer NOT NULL DEFAULT 0,
    lease_losses integer NOT NULL DEFAULT 0,
    run_after timestamptz NOT NULL DEFAULT app_now(),
    lease_until timestamptz,
    fence bigint NOT NULL DEFAULT 0,
    worker text,
    error jsonb,
    created_at timestamptz NOT NULL DEFAULT app_now(),
    started_at timestamptz,
    finished_at timestamptz
);
CREATE INDEX jobs_due ON jobs (lane, run_after) WHERE status = 'queued';
CREATE INDEX jobs_leased ON jobs (lease_until) WHERE status = 'running';
CREATE INDEX jobs_payment ON jobs (payment_id) WHERE payment_id IS NOT NULL;
CREATE INDEX jobs_review ON jobs (created_at) WHERE status = 'needs_review';
-- One capture or cancel at a time; and one waiting look at a payment, so that webhooks coalesce.
CREATE UNIQUE INDEX jobs_one_closing ON jobs (payment_id)
    WHERE kind IN ('capture_payment', 'cancel_payment') AND status IN ('queued', 'running', 'needs_review');
CREATE UNIQUE INDEX jobs_one_sync ON jobs (payment_id) WHERE kind = 'sync_payment' AND status = 'queued';

CREATE TABLE idempotency_keys (
    merchant_id uuid NOT NULL REFERENCES merchants,
    mode text NOT NULL CHECK (mode IN ('test', 'live')),
    key text NOT NULL CHECK (char_length(key) BETWEEN 1 AND 255),
    fingerprint bytea NOT NULL,
    job_id uuid,
    payment_id uuid,
    status_code integer NOT NULL,
    location text,
    -- Kept as text is: a repeat gets the same body, in the same order.
    response json NOT NULL,
    created_at timestamptz NOT NULL DEFAULT app_now(),
    PRIMARY KEY (merchant_id, mode, key)
);

CREATE TABLE inbox_events (
    id uuid PRIMARY KEY,
    merchant_id uuid NOT NULL REFERENCES merchants,
    mode text NOT NULL CHECK (mode IN ('test', 'live')),
    provider text NOT NULL,
    provider_account_id uuid NOT NULL REFERENCES provider_accounts,
    dedupe_key text NOT NULL,
    kind text NOT NULL,
    provider_event_id text,
    provider_created_at timestamptz,
    status text NOT NULL CHECK (status IN ('received', 'applied', 'ignored', 'parked')),
    reason text,
    payment_id uuid,
    received_at timestamptz NOT NULL DEFAULT app_now(),
    processed_at timestamptz,
    UNIQUE (provider_account_id, dedupe_key)
);
CREATE INDEX inbox_payment ON inbox_events (payment_id) WHERE payment_id IS NOT NULL;
CREATE INDEX inbox_open ON inbox_events (received_at) WHERE status IN ('received', 'parked');

-- Forged webhooks leave nothing but this count.
CREATE TABLE forged_webhooks (
    provider_account_id uuid NOT NULL,
    day date NOT NULL,
    count bigint NOT NULL DEFAULT 1,
    PRIMARY KEY (provider_account_id, day)
);

CREATE TABLE webhook_endpoints (
    id uuid PRIMARY KEY,
    merchant_id uuid NOT NULL REFERENCES merchants,
    mode text NOT NULL CHECK (mode IN ('test', 'live')),
    url text NOT NULL,
    description text,
    event_types text[] NOT NULL,
    enabled boolean NOT NULL DEFAULT true,
    disabled_reason text,
    secrets_sealed bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT app_now(),
    updated_at timestamptz NOT NULL DEFAULT app_now(),
    deleted_at timestamptz
);
CREATE INDEX webhook_endpoints_merchant ON webhook_endpoints (merchant_id, mode) WHERE deleted_at IS NULL;

CREATE TABLE findings (
    id uuid PRIMARY KEY,
    merchant_id uuid NOT NULL REFERENCES merchants,
    mode text NOT NULL CHECK (mode IN ('test', 'live')),
    kind text NOT NULL,
    dedupe_key text NOT NULL,
    status text NOT NULL CHECK (status IN ('open', 'resolved')),
    payment_id uuid,
    transaction_id uuid,
    job_id uuid,
    inbox_id uuid,
    details jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT app_now(),
    resolved_at timestamptz,
    resolution text
);
CREATE UNIQUE INDEX findings_open ON findings (merchant_id, mode, kind, dedupe_key) WHERE status = 'open';
"""

_PARTITIONED = """
-- Raw bodies: of provider answers and webhooks, sealed. `owner_id` names the transaction or inbox event.
CREATE TABLE bodies (
    id uuid NOT NULL,
    merchant_id uuid NOT NULL,
    mode text NOT NULL,
    owner_kind text NOT NULL CHECK (owner_kind IN ('transaction', 'inbox_event')),
    owner_id uuid NOT NULL,
    sealed bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT app_now(),
    PRIMARY KEY (id, created_at)
) PARTITION BY RANGE (created_at);
CREATE INDEX bodies_owner ON bodies (owner_id);

CREATE TABLE events (
    id uuid NOT NULL,
    merchant_id uuid NOT NULL,
    mode text NOT NULL,
    type text NOT NULL,
    payment_id uuid,
    sequence integer NOT NULL,
    data jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT app_now(),
    PRIMARY KEY (id, created_at)
) PARTITION BY RANGE (created_at);
CREATE INDEX events_list ON events (merchant_id, mode, id DESC);
CREATE INDEX events_payment ON events (payment_id, sequence);

CREATE TABLE deliveries (
    id uuid NOT NULL,
    merchant_id uuid NOT NULL,
    mode text NOT NULL,
    event_id uuid NOT NULL,
    endpoint_id uuid NOT NULL,
    job_id uuid NOT NULL,
    payment_id uuid,
    attempt integer NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('delivered', 'failed', 'refused')),
    http_status integer,
    error text,
    duration_ms integer NOT NULL,
    created_at timestamptz NOT NULL DEFAULT app_now(),
    PRIMARY KEY (id, created_at)
) PARTITION BY RANGE (created_at);
CREATE INDEX deliveries_event ON deliveries (event_id);
CREATE INDEX deliveries_payment ON deliveries (payment_id) WHERE payment_id IS NOT NULL;

-- `number` orders the log for the seals; it has gaps where a transaction rolled back.
CREATE SEQUENCE audit_number;
CREATE TABLE audit_log (
    id uuid NOT NULL,
    number bigint NOT NULL DEFAULT nextval('audit_number'),
    merchant_id uuid NOT NULL,
    mode text NOT NULL,
    actor text NOT NULL,
    action text NOT NULL,
    subject_kind text NOT NULL,
    subject_id uuid NOT NULL,
    payment_id uuid,
    from_status text,
    to_status text,
    cause text,
    request_id text,
    details jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT app_now(),
    PRIMARY KEY (id, created_at)
) PARTITION BY RANGE (created_at);
CREATE INDEX audit_payment ON audit_log (payment_id, number) WHERE payment_id IS NOT NULL;
CREATE INDEX audit_number_order ON audit_log (number);
"""

_TABLES = (
    "audit_log deliveries events bodies findings webhook_endpoints forged_webhooks inbox_events idempotency_keys "
    "jobs disputes transactions refunds payments customers provider_accounts api_keys data_keys merchants"
).split()


def upgrade() -> None:
    for statements in (_CLOCK, _TENANTS, _MONEY, _WORK, _PARTITIONED):
        op.execute(statements)


def downgrade() -> None:
    for table in _TABLES:
        op.execute(f"DROP TABLE {table}")
    op.execute("DROP SEQUENCE audit_number; DROP FUNCTION app_now(); DROP TABLE app_clock")
