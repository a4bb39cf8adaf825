"""How long each table's rows are kept, why, and what removes them: the table that docs/operations.md prints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kept:
    """`setting` names how long, in its own unit; None is for ever. `removed_by` says what takes rows away."""

    setting: str | None
    reason: str
    removed_by: str = ""


_DETACHED = "its months are detached, and dropped `keep_detached` days later"

#: Every table. One that is not named here fails a test, so that nobody adds a table without deciding.
KEPT: Mapping[str, Kept] = {
    "bodies": Kept("keep_bodies", "evidence in a dispute; a webhook that is not read yet keeps its month", _DETACHED),
    "events": Kept("keep_events", "listed, delivered again; one not delivered yet keeps its month", _DETACHED),
    "deliveries": Kept("keep_deliveries", "answers a merchant who asks what was sent", _DETACHED),
    "audit_log": Kept("keep_audit", "proves who did what", "its months are detached and stay, to be archived by you"),
    "audit_seals": Kept(None, "proves that the log was not changed, months that were taken off included"),
    "jobs": Kept(
        "keep_jobs", "webhooks, deliveries and look-ups by the clock; a job that a caller asked for is kept for ever, "
        "since its idempotency key leads to it", "deleted in batches of a thousand",
    ),
    "findings": Kept("keep_findings", "resolved ones; open ones wait for a person", "deleted in batches of a thousand"),
    "forged_webhooks": Kept("keep_forged_counts", "a count by day", "deleted"),
    "idempotency_keys": Kept(None, "a key leads to its payment for ever and can never make a second one"),
    "inbox_events": Kept(None, "Paystack's events bear no time: one repeated after a year must not be new"),
    "payments": Kept(None, "the books"),
    "transactions": Kept(None, "the books; late money is matched by them"),
    "refunds": Kept(None, "the books"),
    "disputes": Kept(None, "the books"),
    "customers": Kept(None, "until they are erased; an id and nothing else stays"),
    "erasures": Kept(None, "a backup from before an erasure must not undo it; ids alone"),
    "sealing_keys": Kept(None, "a wrong or missing key is told by it"),
    "key_rotations": Kept(None, "a few rows: what was rotated when"),
    "provider_customers": Kept(None, "where a customer has to be forgotten too"),
    "payment_methods": Kept(None, "until they are forgotten; an empty row stays"),
    "data_keys": Kept(None, "without it nothing sealed can be read; a customer's goes when they are erased"),
    "routes": Kept(None, "payments name the version that routed them"),
    "health_changes": Kept(None, "a few rows a day: why payments went where they went"),
    "reconciliation_runs": Kept(None, "a few rows a day: what was compared, and what came of it"),
    "statement_lines": Kept(None, "the books, as the provider keeps them"),
    "payouts": Kept(None, "the books, as the provider keeps them"),
    "daily_figures": Kept(None, "a few rows a day"),
    "report_days": Kept(None, "a row a day"),
    "merchants": Kept(None, "everything names one"),
    "provider_accounts": Kept(None, "transactions name theirs"),
    "api_keys": Kept(None, "the audit log names them, also when they are revoked"),
    "administrators": Kept(None, "the audit log names them, also when they are disabled"),
    "administrator_sessions": Kept(None, "a row a login: who was there, from where, and until when"),
    "administrator_spare_codes": Kept(None, "ten rows an administrator, used ones too: none opens twice"),
    "administrator_devices": Kept(None, "a row a browser"),
    "installation_keys": Kept(None, "without them administrators' codes cannot be read"),
    "webhook_endpoints": Kept(None, "deliveries name theirs, also when they are deleted"),
    "unknown_words": Kept(None, "a few rows, counted"),
    "app_clock": Kept(None, "one row"),
    "installation": Kept(None, "one row"),
    "alembic_version": Kept(None, "one row"),
    "detached_partitions": Kept(None, "a row a month: says what was taken off and when it was dropped"),
    "retention_progress": Kept(None, "one row"),
    "schedule_runs": Kept(None, "a row an entry of the schedule"),
}  # fmt: skip

#: The tables cut by month, in the order in which their old months are taken off.
BY_MONTH = ("bodies", "events", "deliveries", "audit_log")
