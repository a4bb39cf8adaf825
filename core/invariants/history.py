"""I6: for each payment, transaction, refund and dispute the audit rows are one chain, from nothing to its status."""

from __future__ import annotations

from core.domain.statuses import TABLES
from core.invariants.violation import Check

#: What changes of are written down; jobs come and go too often.
SUBJECTS = {"payment": "payments", "transaction": "transactions", "refund": "refunds", "dispute": "disputes"}
#: Every step the status tables allow, as `subject:from:to`.
ALLOWED = [
    f"{subject}:{source or ''}:{target}"
    for subject in SUBJECTS
    for source, targets in TABLES[subject].items()
    for target in targets
]

_STEPS = (
    "SELECT a.subject_kind, a.subject_id, a.payment_id, a.number, a.from_status, a.to_status FROM audit_log a "
    f"WHERE a.to_status IS NOT NULL AND a.subject_kind IN ({', '.join(repr(name) for name in SUBJECTS)}) "
    "AND a.id >= :since AND a.subject_id >= :since"
)
_ROWS = " UNION ALL ".join(
    f"SELECT '{subject}' AS subject_kind, id AS subject_id, status FROM {table} WHERE id >= :since"
    for subject, table in SUBJECTS.items()
)
_REPORT = "report it: somebody changed rows past the program, or wrote to the log by hand"

CHECKS = (
    Check(
        "I6",
        "chain_broken",
        "an audit row begins where the one before it did not end",
        _REPORT,
        f"SELECT subject_kind, subject_id, payment_id, number, from_status, before FROM (SELECT s.*, lag(to_status) "
        f"OVER (PARTITION BY subject_id ORDER BY number) AS before FROM ({_STEPS}) s) c "
        "WHERE before IS DISTINCT FROM from_status",
    ),
    Check(
        "I6",
        "step_forbidden",
        "the log tells of a step that the status tables do not allow",
        _REPORT,
        f"SELECT subject_kind, subject_id, payment_id, number, from_status, to_status FROM ({_STEPS}) s WHERE NOT "
        "(subject_kind || ':' || coalesce(from_status, '') || ':' || to_status = ANY(CAST(:allowed AS text[])))",
    ),
    Check(
        "I6",
        "status_unlogged",
        "a row has another status than the log's last word on it",
        _REPORT,
        "SELECT r.subject_kind, r.subject_id, r.status, l.to_status AS logged "
        f"FROM ({_ROWS}) r LEFT JOIN (SELECT DISTINCT ON (subject_id) subject_id, to_status FROM ({_STEPS}) s "
        "ORDER BY subject_id, number DESC) l ON l.subject_id = r.subject_id "
        "WHERE l.to_status IS DISTINCT FROM r.status",
    ),
    Check(
        "I6",
        "number_doubled",
        "two audit rows have one number",
        _REPORT,
        "SELECT number, count(*) AS rows FROM audit_log WHERE id >= :since GROUP BY number HAVING count(*) > 1",
    ),
)
