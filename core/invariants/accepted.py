"""I1: whatever was answered 202 has its job, and every job has ended, is under way, or waits for a person."""

from __future__ import annotations

from core.invariants.violation import Check

_RUN = "see whether workers run (`tollgate doctor`); a worker takes it up by itself once it is there"
_PERSON = "look at the payment (`tollgate payments show`) and its jobs, then requeue or resolve the job"
_SCOPES = "merchants m CROSS JOIN (VALUES ('test'), ('live')) AS v(mode)"
#: A job or an open finding of the payment: somebody will look at it, or somebody has been told to.
_CARED_FOR = (
    "EXISTS (SELECT FROM jobs j WHERE j.payment_id = p.id AND j.lane = 'payments' "
    "AND j.status IN ('queued', 'running', 'needs_review')) "
    "OR EXISTS (SELECT FROM findings f WHERE f.payment_id = p.id AND f.status = 'open')"
)

CHECKS = (
    Check(
        "I1",
        "key_without_job",
        "a request was answered 202, and its job is not there",
        "a row was lost or deleted by hand: compare with a backup, and ask the provider about the payment",
        "SELECT k.merchant_id, k.mode, k.payment_id, k.job_id FROM idempotency_keys k "
        "LEFT JOIN jobs j ON j.id = k.job_id "
        "WHERE k.status_code = 202 AND k.created_at >= :since_time AND j.id IS NULL",
    ),
    Check(
        "I1",
        "key_unanswered",
        "an idempotency key is kept without the answer that belongs to it",
        "an effect and its answer were not written together: report it; a repeat of the request gets nothing useful",
        "SELECT merchant_id, mode, payment_id, job_id FROM idempotency_keys "
        "WHERE status_code = 0 AND created_at >= :since_time",
    ),
    Check(
        "I1",
        "review_unexplained",
        "a job waits for a person, and nothing says why",
        _PERSON,
        "SELECT j.id AS job_id, j.payment_id, j.kind FROM jobs j WHERE j.status = 'needs_review' "
        "AND j.error->>'code' IS NULL AND NOT EXISTS "
        "(SELECT FROM findings f WHERE f.job_id = j.id AND f.status = 'open')",
    ),
    Check(
        "I1",
        "job_overdue",
        "a job is due, and no worker has taken it",
        _RUN,
        "SELECT id AS job_id, payment_id, kind, run_after FROM jobs WHERE status = 'queued' "
        "AND run_after < (SELECT app_now()) - make_interval(secs => :grace)",
    ),
    Check(
        "I1",
        "job_abandoned",
        "a job's lease ran out, and no worker has taken it over",
        _RUN,
        "SELECT id AS job_id, payment_id, kind, lease_until FROM jobs WHERE status = 'running' "
        "AND coalesce(lease_until, '-infinity') < (SELECT app_now()) - make_interval(secs => :grace)",
    ),
    Check(
        "I1",
        "job_under_way",
        "a job is due or running where all should be at rest",
        "wait until the workers are done, then check again",
        "SELECT id AS job_id, payment_id, kind, status FROM jobs "
        "WHERE status = 'running' OR (status = 'queued' AND run_after <= (SELECT app_now()))",
        settled_only=True,
    ),
    Check(
        "I1",
        "payment_uncared",
        "a payment is not at its end, and nobody will look at it again",
        "ask the provider about it: `POST /v1/payments/ID/sync`, then report how it came to this",
        f"SELECT p.id AS payment_id, p.status FROM {_SCOPES} JOIN payments p ON p.merchant_id = m.id "
        "AND p.mode = v.mode AND p.status IN ('processing', 'requires_action', 'authorized') "
        f"WHERE p.next_sync_at IS NULL AND NOT ({_CARED_FOR})",
    ),
    Check(
        "I1",
        "refund_uncared",
        "a refund is not at its end, and nobody will look at it again",
        "ask the provider about its payment: `POST /v1/payments/ID/sync`, then report how it came to this",
        "SELECT r.id AS refund_id, p.id AS payment_id, r.status FROM refunds r JOIN payments p ON p.id = r.payment_id "
        "WHERE r.status IN ('processing', 'requires_action') AND p.next_sync_at IS NULL "
        f"AND NOT ({_CARED_FOR})",
    ),
)
