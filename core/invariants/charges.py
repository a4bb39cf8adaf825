"""I2, in our books: one charge a payment, and whatever came in beside it has been reported."""

from __future__ import annotations

from core.invariants.violation import Check

CHECKS = (
    Check(
        "I2",
        "charged_twice",
        "a payment has more than one successful charge that is not marked as surplus",
        "compare with the provider's dashboard and refund what was taken twice; report it, an index forbids this",
        "SELECT payment_id, count(*) AS charges FROM transactions WHERE kind IN ('charge', 'authorize') "
        "AND status = 'succeeded' AND NOT surplus AND payment_id >= :since GROUP BY payment_id HAVING count(*) > 1",
    ),
    Check(
        "I2",
        "surplus_unreported",
        "money moved beside the payment's own charge, and no finding tells of it",
        "refund what was taken too much, and report it: a finding is written in the same commit",
        # A late capture that ends an authorized payment well is no surplus for anybody.
        "SELECT t.payment_id, t.id AS transaction_id, t.kind FROM transactions t WHERE t.surplus "
        "AND t.kind IN ('charge', 'authorize', 'refund') AND t.id >= :since AND NOT EXISTS (SELECT FROM findings f "
        "WHERE f.payment_id = t.payment_id AND f.transaction_id = t.id)",
    ),
    Check(
        "I2",
        "paid_without_charge",
        "a payment is authorized or succeeded, and no charge of it is",
        "ask the provider what it holds: `POST /v1/payments/ID/sync`, and report it",
        "SELECT p.id AS payment_id, p.status FROM payments p WHERE p.status IN ('authorized', 'succeeded') "
        "AND p.id >= :since AND NOT EXISTS (SELECT FROM transactions t WHERE t.payment_id = p.id "
        "AND t.kind IN ('charge', 'authorize') AND t.status = 'succeeded' AND NOT t.surplus)",
    ),
)
