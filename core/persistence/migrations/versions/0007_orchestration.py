"""Routes, the history of accounts' health, the runs that compare books, statements line by line, and daily figures."""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"

_COLUMNS = """
-- How long the provider took for the last send of it, in milliseconds.
ALTER TABLE transactions ADD COLUMN call_ms integer;
-- Where the customer pays from (ISO 3166-1 alpha-2), as the merchant says; routes may ask for it.
ALTER TABLE payments ADD COLUMN country text;
-- What is at stake, in minor units of `currency`; `evidence` holds what `ours` and `theirs` say. Who has it in hand,
-- and who ended it how. A finding that is open and assigned is shown as assigned.
ALTER TABLE findings
    ADD COLUMN severity text NOT NULL DEFAULT 'medium',
    ADD COLUMN amount bigint,
    ADD COLUMN currency text,
    ADD COLUMN evidence jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN provider_account_id uuid,
    ADD COLUMN run_id uuid,
    ADD COLUMN assigned_to text,
    ADD COLUMN assigned_at timestamptz,
    ADD COLUMN resolved_by text,
    ADD COLUMN action text;
"""

_ROUTES = """
-- Versions of a merchant's routing; at most one is active, none is ever changed once it has been.
CREATE TABLE routes (
    id uuid PRIMARY KEY,
    merchant_id uuid NOT NULL REFERENCES merchants,
    mode text NOT NULL CHECK (mode IN ('test', 'live')),
    version integer NOT NULL,
    status text NOT NULL CHECK (status IN ('draft', 'active', 'retired')),
    definition jsonb NOT NULL,
    note text,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT app_now(),
    updated_at timestamptz NOT NULL DEFAULT app_now(),
    activated_by text,
    activated_at timestamptz,
    UNIQUE (merchant_id, mode, version)
);
CREATE UNIQUE INDEX routes_one_active ON routes (merchant_id, mode) WHERE status = 'active';
"""

_HEALTH = """
-- Each change of a breaker; the windows behind it are in Redis.
CREATE TABLE health_changes (
    id uuid PRIMARY KEY,
    merchant_id uuid NOT NULL REFERENCES merchants,
    mode text NOT NULL CHECK (mode IN ('test', 'live')),
    provider_account_id uuid NOT NULL REFERENCES provider_accounts,
    operation text NOT NULL,
    from_state text NOT NULL CHECK (from_state IN ('closed', 'open', 'half_open')),
    to_state text NOT NULL CHECK (to_state IN ('closed', 'open', 'half_open')),
    details jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT app_now()
);
CREATE INDEX health_changes_account ON health_changes (provider_account_id, created_at DESC);
"""

_RUNS = """
-- One comparison of one account over one window. `progress` says how far it has come, so that it goes on after a crash.
CREATE TABLE reconciliation_runs (
    id uuid PRIMARY KEY,
    merchant_id uuid NOT NULL REFERENCES merchants,
    mode text NOT NULL CHECK (mode IN ('test', 'live')),
    provider_account_id uuid NOT NULL REFERENCES provider_accounts,
    kind text NOT NULL CHECK (kind IN ('missed_events', 'two_way', 'statement')),
    status text NOT NULL CHECK (status IN ('queued', 'running', 'succeeded', 'failed')),
    window_from timestamptz NOT NULL,
    window_until timestamptz NOT NULL,
    progress jsonb NOT NULL DEFAULT '{}',
    counts jsonb NOT NULL DEFAULT '{}',
    sums jsonb NOT NULL DEFAULT '{}',
    findings integer NOT NULL DEFAULT 0,
    job_id uuid,
    started_by text NOT NULL,
    error jsonb,
    created_at timestamptz NOT NULL DEFAULT app_now(),
    updated_at timestamptz NOT NULL DEFAULT app_now(),
    finished_at timestamptz,
    CHECK (window_from < window_until)
);
CREATE UNIQUE INDEX reconciliation_runs_one ON reconciliation_runs (provider_account_id, kind)
    WHERE status IN ('queued', 'running');
CREATE INDEX reconciliation_runs_list ON reconciliation_runs (merchant_id, mode, created_at DESC, id DESC);
CREATE INDEX reconciliation_runs_account ON reconciliation_runs (provider_account_id, kind, window_until DESC);
"""

_STATEMENTS = """
-- The provider's own books, line by line, each matched to what it is about. Sums in minor units of `currency`, signed
-- as they move the balance. A line told again is the same row.
CREATE TABLE statement_lines (
    provider_account_id uuid NOT NULL REFERENCES provider_accounts,
    line_id text NOT NULL,
    merchant_id uuid NOT NULL,
    mode text NOT NULL CHECK (mode IN ('test', 'live')),
    kind text NOT NULL,
    amount bigint NOT NULL,
    fee bigint NOT NULL,
    net bigint NOT NULL,
    currency text NOT NULL,
    source text,
    payout text,
    -- 'matched': ours; 'foreign': does not bear our mark; 'unmatched': ought to be ours and is not found;
    -- 'account': about the account itself (payouts, fees of its own, adjustments).
    matched text NOT NULL CHECK (matched IN ('matched', 'foreign', 'unmatched', 'account')),
    payment_id uuid,
    transaction_id uuid,
    refund_id uuid,
    dispute_id uuid,
    booked_at timestamptz,
    available_at timestamptz,
    original_amount bigint,
    original_currency text,
    exchange_rate text,
    provider_kind text,
    -- Which run read it last and for which of its slices: each run counts a line once, also when it is repeated.
    run_id uuid,
    read_for timestamptz,
    -- What a finding was opened about, so that one that a person has ended is not opened again for the same.
    reported text,
    created_at timestamptz NOT NULL DEFAULT app_now(),
    updated_at timestamptz NOT NULL DEFAULT app_now(),
    PRIMARY KEY (provider_account_id, line_id),
    CHECK (net = amount - fee)
);
CREATE INDEX statement_lines_payout ON statement_lines (provider_account_id, payout, line_id)
    WHERE payout IS NOT NULL;
-- What may be taken out of later payouts.
CREATE INDEX statement_lines_owed ON statement_lines (provider_account_id, currency, booked_at)
    WHERE kind IN ('refund', 'refund_failure', 'dispute', 'dispute_reversal');
CREATE INDEX statement_lines_payment ON statement_lines (payment_id) WHERE payment_id IS NOT NULL;
CREATE INDEX statement_lines_booked ON statement_lines (provider_account_id, booked_at);
-- What was paid out, and the equation: gross - fees - refunds - disputes - adjustments = paid out.
CREATE TABLE payouts (
    provider_account_id uuid NOT NULL REFERENCES provider_accounts,
    payout text NOT NULL,
    merchant_id uuid NOT NULL,
    mode text NOT NULL CHECK (mode IN ('test', 'live')),
    status text NOT NULL CHECK (status IN ('matched', 'differs', 'incomplete', 'failed')),
    currency text NOT NULL,
    paid_out bigint NOT NULL,
    gross bigint NOT NULL DEFAULT 0,
    fees bigint NOT NULL DEFAULT 0,
    refunds bigint NOT NULL DEFAULT 0,
    disputes bigint NOT NULL DEFAULT 0,
    adjustments bigint NOT NULL DEFAULT 0,
    -- Where the provider takes refunds and disputes out of later payouts: how much it took out of this one, what was
    -- owed before, what is still owed after it; `opening` where nothing is known of the time before.
    deducted bigint,
    carried_in bigint NOT NULL DEFAULT 0,
    carried_over bigint NOT NULL DEFAULT 0,
    opening boolean NOT NULL DEFAULT false,
    difference bigint NOT NULL DEFAULT 0,
    -- What was charged in other currencies: {currency: {"lines", "original", "converted"}}.
    exchanged jsonb NOT NULL DEFAULT '{}',
    settled boolean NOT NULL DEFAULT false,
    failed_at timestamptz,
    reported text,
    lines integer NOT NULL DEFAULT 0,
    foreign_lines integer NOT NULL DEFAULT 0,
    foreign_net bigint NOT NULL DEFAULT 0,
    booked_at timestamptz,
    arrives_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT app_now(),
    updated_at timestamptz NOT NULL DEFAULT app_now(),
    PRIMARY KEY (provider_account_id, payout)
);
CREATE INDEX payouts_list ON payouts (merchant_id, mode, booked_at DESC, provider_account_id, payout);
CREATE INDEX payouts_account ON payouts (provider_account_id, currency, booked_at);
"""

_REPORTS = """
-- The figures of the payments of one day (UTC, by `payments.created_at`), ready to be added up. '' where a payment has
-- no provider or was routed by no rule. `latency` counts calls by upper bound in milliseconds.
CREATE TABLE daily_figures (
    merchant_id uuid NOT NULL,
    mode text NOT NULL CHECK (mode IN ('test', 'live')),
    day date NOT NULL,
    provider text NOT NULL,
    provider_account_id uuid NOT NULL,
    currency text NOT NULL,
    route text NOT NULL,
    payments bigint NOT NULL,
    succeeded bigint NOT NULL,
    failed bigint NOT NULL,
    canceled bigint NOT NULL,
    open bigint NOT NULL,
    amount bigint NOT NULL,
    captured bigint NOT NULL,
    received bigint NOT NULL,
    refunds bigint NOT NULL,
    refunded bigint NOT NULL,
    disputes bigint NOT NULL,
    disputed bigint NOT NULL,
    fees bigint NOT NULL,
    declines jsonb NOT NULL DEFAULT '{}',
    calls bigint NOT NULL,
    call_ms bigint NOT NULL,
    latency jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (merchant_id, mode, day, provider, provider_account_id, currency, route)
);
-- Which days have figures, and which of them have changed since: those are counted anew from the payments themselves.
CREATE TABLE report_days (
    merchant_id uuid NOT NULL,
    mode text NOT NULL CHECK (mode IN ('test', 'live')),
    day date NOT NULL,
    built_at timestamptz,
    changed_at timestamptz,
    PRIMARY KEY (merchant_id, mode, day)
);
CREATE INDEX report_days_changed ON report_days (changed_at) WHERE changed_at IS NOT NULL;
"""

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

_TABLES = ("routes", "health_changes", "reconciliation_runs", "statement_lines", "payouts", "daily_figures",
           "report_days")  # fmt: skip

_GRANTS = """
GRANT SELECT, INSERT, UPDATE ON routes TO tollgate_api_rights;
GRANT SELECT ON routes TO tollgate_worker_rights;
GRANT SELECT, INSERT ON health_changes TO tollgate_api_rights, tollgate_worker_rights;
GRANT SELECT, INSERT, UPDATE ON reconciliation_runs TO tollgate_api_rights, tollgate_worker_rights;
GRANT SELECT ON statement_lines, payouts, daily_figures TO tollgate_api_rights;
GRANT SELECT, INSERT, UPDATE ON statement_lines, payouts TO tollgate_worker_rights;
GRANT SELECT, INSERT, UPDATE ON daily_figures TO tollgate_worker_rights;
GRANT SELECT, INSERT, UPDATE ON report_days TO tollgate_api_rights, tollgate_worker_rights;
GRANT INSERT, UPDATE ON provider_accounts TO tollgate_api_rights;
"""


def upgrade() -> None:
    for statements in (_COLUMNS, _ROUTES, _HEALTH, _RUNS, _STATEMENTS, _REPORTS):
        op.execute(statements)
    for table in _TABLES:
        op.execute(_POLICIES.format(table=table))
    op.execute(_GRANTS)


def downgrade() -> None:
    op.execute("REVOKE INSERT, UPDATE ON provider_accounts FROM tollgate_api_rights")
    op.execute(f"DROP TABLE {', '.join(_TABLES)}")
    op.execute("ALTER TABLE transactions DROP COLUMN call_ms")
    op.execute("ALTER TABLE payments DROP COLUMN country")
    columns = "severity amount currency evidence provider_account_id run_id assigned_to assigned_at resolved_by action"
    op.execute(f"ALTER TABLE findings {', '.join(f'DROP COLUMN {name}' for name in columns.split())}")
