"""I4, in our books: every stored event was applied, ignored for a reason, or has a job that will see to it."""

from __future__ import annotations

from core.invariants.violation import Check

_LIVE = " UNION ALL ".join(
    f"SELECT target_id FROM jobs WHERE status = '{status}' AND kind = 'process_webhook'"
    for status in ("queued", "running", "needs_review")
)

CHECKS = (
    Check(
        "I4",
        "event_without_job",
        "a provider's event waits, and no job will see to it",
        "report it; meanwhile ask the provider about the payment: `POST /v1/payments/ID/sync`",
        f"WITH live AS ({_LIVE}) SELECT e.id AS inbox_id, e.provider, e.kind, e.status FROM inbox_events e "
        "LEFT JOIN live ON live.target_id = e.id WHERE e.status IN ('received', 'parked') AND live.target_id IS NULL",
    ),
    Check(
        "I4",
        "event_unexplained",
        "a provider's event was put aside, and nothing says why or when",
        "report it: the reason is written with the status",
        "SELECT id AS inbox_id, provider, kind, status FROM inbox_events WHERE id >= :since "
        "AND status IN ('applied', 'ignored') AND (processed_at IS NULL OR coalesce(reason, '') = '')",
    ),
)
