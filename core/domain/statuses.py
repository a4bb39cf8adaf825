"""Which status may follow which: five literal tables, read by the status manager and by `jobs.py`."""

from __future__ import annotations

from collections.abc import Mapping

Table = Mapping[str | None, frozenset[str]]


def _table(rows: Mapping[str | None, str]) -> Table:
    return {source: frozenset(targets.split()) for source, targets in rows.items()}


#: `None` is "does not exist yet": the first status is a step like any other.
PAYMENT = _table(
    {
        None: "processing",
        "processing": "requires_action authorized succeeded failed canceled",
        "requires_action": "processing requires_action authorized succeeded failed canceled",
        # A capture or void under way is a transaction; the payment stays authorized meanwhile.
        "authorized": "succeeded failed canceled",
        "succeeded": "",
        "failed": "",
        "canceled": "",
    }
)

TRANSACTION = _table(
    {
        None: "sent",
        "sent": "pending requires_action succeeded declined not_executed unknown canceled",
        "unknown": "pending requires_action succeeded declined not_executed canceled",
        "pending": "unknown requires_action succeeded declined not_executed canceled",
        "requires_action": "unknown pending succeeded declined not_executed canceled",
        # Late money is never denied: it is recorded as surplus.
        "declined": "succeeded",
        "not_executed": "succeeded",
        "canceled": "succeeded",
        "succeeded": "",
    }
)

#: Steps of a transaction that are allowed only when the row is marked `surplus` in the same write.
SURPLUS_ONLY = frozenset({("declined", "succeeded"), ("not_executed", "succeeded"), ("canceled", "succeeded")})

REFUND = _table(
    {
        None: "processing",
        "processing": "requires_action succeeded failed",
        "requires_action": "processing succeeded failed canceled",
        "succeeded": "failed",
        "failed": "",
        "canceled": "",
    }
)

DISPUTE = _table(
    {
        None: "needs_response under_review won lost closed",
        "needs_response": "under_review won lost closed",
        "under_review": "needs_response won lost closed",
        # Only the provider's appeal moves between these two.
        "won": "lost",
        "lost": "won",
        "closed": "",
    }
)

JOB = _table(
    {
        None: "queued",
        "queued": "running canceled",
        "running": "running succeeded failed needs_review queued",
        "needs_review": "queued succeeded failed",
        "succeeded": "",
        "failed": "",
        "canceled": "",
    }
)

TABLES: Mapping[str, Table] = {
    "payment": PAYMENT,
    "transaction": TRANSACTION,
    "refund": REFUND,
    "dispute": DISPUTE,
    "job": JOB,
}

#: Charge-like transactions in these statuses occupy the payment's one place for a charge.
OPEN_OR_SUCCEEDED = frozenset({"sent", "pending", "requires_action", "unknown", "succeeded"})
OPEN_TRANSACTION = OPEN_OR_SUCCEEDED - {"succeeded"}
FINAL_PAYMENT = frozenset({"succeeded", "failed", "canceled"})
FINAL_JOB = frozenset({"succeeded", "failed", "canceled"})
OPEN_DISPUTE = frozenset({"needs_response", "under_review"})
CHARGE_KINDS = frozenset({"charge", "authorize"})


class InvalidStep(Exception):
    """The status table does not allow this step."""

    def __init__(self, subject: str, source: str | None, target: str) -> None:
        super().__init__(f"a {subject} cannot go from {source or 'nothing'} to {target}")
        self.subject, self.source, self.target = subject, source, target


def may_step(subject: str, source: str | None, target: str) -> bool:
    return target in TABLES[subject].get(source, frozenset())


def check_step(subject: str, source: str | None, target: str) -> None:
    """Raises InvalidStep unless the literal table of `subject` allows source -> target."""
    if not may_step(subject, source, target):
        raise InvalidStep(subject, source, target)
