"""I3, in our books: refunded at most what was captured, captured at most what was authorized, and sums that add up.

Where a provider says otherwise the sum is kept as it says, and a finding tells of it; then nothing is broken here.
"""

from __future__ import annotations

from core.invariants.violation import Check

_TOLD = "EXISTS (SELECT FROM findings f WHERE f.payment_id = p.id)"
_REPORT = "compare the payment with the provider's dashboard, then report it: a sum was written without its rows"

CHECKS = (
    Check(
        "I3",
        "out_of_bounds",
        "more was given back than taken, or more taken than authorized, and no finding tells of it",
        "stop refunds of this payment; compare it with the provider's dashboard",
        "SELECT p.id AS payment_id, p.amount_authorized, p.amount_captured, p.amount_received, p.amount_refunded, "
        "p.amount_disputed FROM payments p WHERE p.id >= :since AND (p.amount_captured > p.amount_authorized "
        "OR p.amount_refunded + p.amount_disputed > greatest(p.amount_captured, p.amount_received)) "
        f"AND NOT {_TOLD}",
    ),
    Check(
        "I3",
        "taken_differs",
        "what a payment received is not what its charges and captures add up to",
        _REPORT,
        "SELECT p.id AS payment_id, p.amount_captured, p.amount_received, coalesce(t.taken, 0) AS taken "
        "FROM payments p LEFT JOIN (SELECT payment_id, sum(amount) AS taken FROM transactions "
        "WHERE kind IN ('charge', 'capture') AND status = 'succeeded' AND payment_id >= :since GROUP BY payment_id) t "
        "ON t.payment_id = p.id WHERE p.id >= :since "
        f"AND (p.amount_received <> coalesce(t.taken, 0) OR p.amount_captured > p.amount_received) AND NOT {_TOLD}",
    ),
    Check(
        "I3",
        "refunded_differs",
        "what a payment gave back is not what its refunds add up to",
        _REPORT,
        # A refund we had called failed, and that was paid after all, stays failed: its transaction is surplus.
        "SELECT p.id AS payment_id, p.amount_refunded, coalesce(r.refunded, 0) AS refunded FROM payments p "
        "LEFT JOIN (SELECT r.payment_id, sum(r.amount) AS refunded FROM refunds r WHERE r.payment_id >= :since "
        "AND (r.status = 'succeeded' OR (r.status <> 'succeeded' AND EXISTS (SELECT FROM transactions t "
        "WHERE t.refund_id = r.id AND t.status = 'succeeded' AND t.surplus))) GROUP BY r.payment_id) r "
        "ON r.payment_id = p.id WHERE p.id >= :since AND p.amount_refunded <> coalesce(r.refunded, 0)",
    ),
    Check(
        "I3",
        "reserved_differs",
        "what is set aside for refunds is not what the refunds asked for through us add up to",
        _REPORT,
        "SELECT p.id AS payment_id, p.refund_reserved, coalesce(r.reserved, 0) AS reserved FROM payments p "
        "LEFT JOIN (SELECT payment_id, sum(amount) AS reserved FROM refunds WHERE payment_id >= :since "
        "AND origin = 'api' AND status IN ('processing', 'requires_action', 'succeeded') GROUP BY payment_id) r "
        "ON r.payment_id = p.id WHERE p.id >= :since AND p.refund_reserved <> coalesce(r.reserved, 0)",
    ),
    Check(
        "I3",
        "disputed_differs",
        "what a payment's disputes hold back is not what they add up to",
        _REPORT,
        "SELECT p.id AS payment_id, p.amount_disputed, coalesce(d.disputed, 0) AS disputed FROM payments p "
        "LEFT JOIN (SELECT payment_id, currency, sum(amount) AS disputed FROM disputes WHERE withheld "
        "AND payment_id >= :since GROUP BY payment_id, currency) d ON d.payment_id = p.id AND d.currency = p.currency "
        "WHERE p.id >= :since AND p.amount_disputed <> coalesce(d.disputed, 0)",
    ),
)
