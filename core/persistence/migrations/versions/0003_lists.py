"""Lists stand in the order of time, what is asked for is found by an index, and no row asks after its merchant."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"

_UP = """
DROP INDEX payments_list;
CREATE INDEX payments_list ON payments (merchant_id, mode, created_at DESC, id DESC);
DROP INDEX payments_status;
CREATE INDEX payments_status ON payments (merchant_id, mode, status, created_at DESC, id DESC);
DROP INDEX payments_reference;
CREATE INDEX payments_reference ON payments (merchant_id, mode, reference, created_at DESC, id DESC)
    WHERE reference IS NOT NULL;
CREATE INDEX payments_customer ON payments (customer_id, created_at DESC, id DESC) WHERE customer_id IS NOT NULL;
DROP INDEX refunds_list;
CREATE INDEX refunds_list ON refunds (merchant_id, mode, created_at DESC, id DESC);
CREATE INDEX findings_payment ON findings (payment_id) WHERE payment_id IS NOT NULL;
"""

# No merchant is ever deleted, and the walls let nobody write another's rows. The check of each new row locked the
# merchant's, so that all of a merchant's traffic met on one row.
_ASKED = "payments transactions refunds jobs idempotency_keys inbox_events customers".split()

_DOWN = """
DROP INDEX findings_payment;
DROP INDEX refunds_list;
CREATE INDEX refunds_list ON refunds (merchant_id, mode, id DESC);
DROP INDEX payments_customer;
DROP INDEX payments_reference;
CREATE INDEX payments_reference ON payments (merchant_id, mode, reference) WHERE reference IS NOT NULL;
DROP INDEX payments_status;
CREATE INDEX payments_status ON payments (merchant_id, mode, status, id DESC);
DROP INDEX payments_list;
CREATE INDEX payments_list ON payments (merchant_id, mode, id DESC);
"""


def upgrade() -> None:
    op.execute(_UP)
    for table in _ASKED:
        op.execute(f"ALTER TABLE {table} DROP CONSTRAINT {table}_merchant_id_fkey")


def downgrade() -> None:
    for table in _ASKED:
        op.execute(f"ALTER TABLE {table} ADD FOREIGN KEY (merchant_id) REFERENCES merchants")
    op.execute(_DOWN)
