"""For every check the smallest wrong that breaks it, done by the owner past the program."""

from __future__ import annotations

_NO_WALL_ON_LOG = "ALTER TABLE audit_log DISABLE TRIGGER USER"

#: Check -> statements of the owner, all in one transaction that the test takes back. `{paid}` is the id of that payment
#: of `healthy.fill`, and so on. Logins are not the owner's, so `wall_passed` has a test of its own.
WRONGS: dict[str, tuple[str, ...]] = {
    "key_without_job": ("DELETE FROM jobs WHERE payment_id = '{paid}' AND kind = 'create_payment'",),
    "key_unanswered": ("UPDATE idempotency_keys SET status_code = 0 WHERE payment_id = '{paid}'",),
    "review_unexplained": (
        "UPDATE jobs SET status = 'needs_review', error = NULL WHERE payment_id = '{paid}' AND kind = 'create_payment'",
    ),
    "job_overdue": (
        "UPDATE jobs SET status = 'queued', run_after = app_now() - interval '2 minutes' "
        "WHERE payment_id = '{paid}' AND kind = 'create_payment'",
    ),
    "job_abandoned": (
        "UPDATE jobs SET status = 'running', lease_until = app_now() - interval '2 minutes' "
        "WHERE payment_id = '{paid}' AND kind = 'create_payment'",
    ),
    "job_under_way": (
        "UPDATE jobs SET status = 'running', lease_until = app_now() + interval '1 minute' "
        "WHERE payment_id = '{paid}' AND kind = 'create_payment'",
    ),
    "payment_uncared": ("UPDATE payments SET next_sync_at = NULL WHERE id = '{held}'",),
    "refund_uncared": (
        "UPDATE refunds SET status = 'processing' WHERE payment_id = '{refunded}'",
        "UPDATE payments SET amount_refunded = 0 WHERE id = '{refunded}'",
        _NO_WALL_ON_LOG,
        "UPDATE audit_log SET to_status = 'processing' WHERE subject_kind = 'refund' AND payment_id = '{refunded}' "
        "AND from_status IS NULL",
        "DELETE FROM audit_log WHERE subject_kind = 'refund' AND payment_id = '{refunded}' AND from_status IS NOT NULL",
    ),
    "charged_twice": (
        "DROP INDEX transactions_one_charge",
        "INSERT INTO transactions (id, merchant_id, mode, payment_id, kind, number, status, provider, "
        "provider_account_id, provider_key, amount, currency, request_sealed) SELECT t.id_, merchant_id, mode, "
        "payment_id, 'authorize', 9, 'succeeded', provider, provider_account_id, 'again', amount, currency, "
        "request_sealed FROM transactions, (SELECT gen_random_uuid() AS id_) t WHERE payment_id = '{held}'",
        "INSERT INTO audit_log (id, merchant_id, mode, actor, action, subject_kind, subject_id, payment_id, to_status) "
        "SELECT gen_random_uuid(), merchant_id, mode, 'x', 'x', 'transaction', id, payment_id, 'sent' "
        "FROM transactions WHERE provider_key = 'again'",
        "INSERT INTO audit_log (id, merchant_id, mode, actor, action, subject_kind, subject_id, payment_id, "
        "from_status, to_status) SELECT gen_random_uuid(), merchant_id, mode, 'x', 'x', 'transaction', id, payment_id, "
        "'sent', 'succeeded' FROM transactions WHERE provider_key = 'again'",
    ),
    "surplus_unreported": (
        "UPDATE transactions SET surplus = true WHERE payment_id = '{refunded}' AND kind = 'refund'",
    ),
    "paid_without_charge": (
        "UPDATE transactions SET payment_id = '{declined}', number = 9, surplus = true WHERE payment_id = '{held}'",
        "INSERT INTO findings (id, merchant_id, mode, kind, dedupe_key, status, payment_id, transaction_id) "
        "SELECT gen_random_uuid(), merchant_id, mode, 'surplus_authorization', 'x', 'resolved', payment_id, id "
        "FROM transactions WHERE payment_id = '{declined}' AND surplus",
    ),
    "out_of_bounds": ("UPDATE payments SET amount_authorized = amount_captured - 1 WHERE id = '{paid}'",),
    "taken_differs": ("UPDATE payments SET amount_received = amount_received + 1 WHERE id = '{paid}'",),
    "refunded_differs": ("UPDATE payments SET amount_refunded = amount_refunded - 1 WHERE id = '{refunded}'",),
    "reserved_differs": ("UPDATE payments SET refund_reserved = refund_reserved - 1 WHERE id = '{refunded}'",),
    "disputed_differs": ("UPDATE payments SET amount_disputed = amount_disputed - 1 WHERE id = '{disputed}'",),
    "event_without_job": (
        "UPDATE inbox_events SET status = 'received', processed_at = NULL "
        "WHERE id = (SELECT id FROM inbox_events WHERE payment_id = '{paid}' LIMIT 1)",
    ),
    "event_unexplained": (
        "UPDATE inbox_events SET reason = NULL "
        "WHERE id = (SELECT id FROM inbox_events WHERE payment_id = '{paid}' LIMIT 1)",
    ),
    "chain_broken": (
        _NO_WALL_ON_LOG,
        "DELETE FROM audit_log WHERE subject_id = '{paid}' AND from_status IS NULL",
    ),
    "step_forbidden": (
        _NO_WALL_ON_LOG,
        "UPDATE audit_log SET to_status = 'failed' WHERE subject_id = '{paid}' AND from_status IS NOT NULL "
        "AND to_status = 'succeeded'",
        "INSERT INTO audit_log (id, merchant_id, mode, actor, action, subject_kind, subject_id, payment_id, "
        "from_status, to_status) SELECT gen_random_uuid(), merchant_id, mode, 'x', 'x', 'payment', id, id, 'failed', "
        "'succeeded' FROM payments WHERE id = '{paid}'",
    ),
    "status_unlogged": ("UPDATE payments SET status = 'canceled', next_sync_at = NULL WHERE id = '{held}'",),
    "number_doubled": (
        _NO_WALL_ON_LOG,
        "UPDATE audit_log SET number = (SELECT max(number) FROM audit_log WHERE subject_id = '{held}') "
        "WHERE subject_id = '{paid}' AND from_status IS NULL",
        "UPDATE audit_log SET number = number + 100000 WHERE subject_id = '{paid}' AND from_status IS NOT NULL",
    ),
    "wall_missing": ("ALTER TABLE refunds DISABLE ROW LEVEL SECURITY",),
    "policy_missing": ("DROP POLICY refunds_worker ON refunds",),
    "partition_open": (
        "DO $$ BEGIN EXECUTE format('GRANT SELECT ON %I TO tollgate_api_rights', (SELECT relname FROM pg_class "
        "WHERE relispartition AND relkind = 'r' AND relname LIKE 'events_%' LIMIT 1)); END $$",
    ),
}

#: Tables of which the healthy shop has no rows: one is made, with the mode of nobody's payment.
MADE = {
    "deliveries": "INSERT INTO deliveries (id, merchant_id, mode, event_id, endpoint_id, job_id, payment_id, attempt, "
    "outcome, duration_ms) SELECT gen_random_uuid(), e.merchant_id, e.mode, gen_random_uuid(), e.id, "
    "gen_random_uuid(), '{paid}', 1, 'delivered', 1 FROM webhook_endpoints e LIMIT 1",
    "findings": "INSERT INTO findings (id, merchant_id, mode, kind, dedupe_key, status, payment_id) SELECT "
    "gen_random_uuid(), merchant_id, mode, 'x', 'x', 'resolved', id FROM payments WHERE id = '{paid}'",
}
