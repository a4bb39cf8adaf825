"""Lists stand in the order of time, and what is asked for by customer or payment is found by an index."""

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


def downgrade() -> None:
    op.execute(_DOWN)
