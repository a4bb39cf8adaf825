"""What a provider's word on a dispute means for its row and the payment's sums: pure, so that each case can be tested.

The plan it returns is written by `status_manager.apply_dispute` alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from core.domain.outcomes import DisputeFacts
from core.domain.statuses import may_step

Row = Mapping[Any, Any]

#: What merchants act on: a change is told again, under the status it has. An inquiry that became a chargeback keeps
#: its status, and takes the money all the same.
TOLD_AGAIN = ("amount", "currency", "refundable", "withheld", "evidence_due_by")


@dataclass(slots=True)
class DisputePlan:
    """The changes one reading asks for; a status that stays is None. `finding` is a kind with its details."""

    status: str | None = None
    values: dict[str, Any] = field(default_factory=dict)
    payment: dict[str, Any] = field(default_factory=dict)
    changed: tuple[str, ...] = ()  # of TOLD_AGAIN, on a dispute that was known
    stale: bool = False
    finding: tuple[str, dict[str, Any]] | None = None

    @property
    def told(self) -> bool:
        return self.status is not None or bool(self.changed)


def plan(payment: Row, dispute: Row | None, facts: DisputeFacts, now: datetime) -> DisputePlan:
    """`dispute` is our row, None when we hear of it for the first time."""
    made = DisputePlan()
    if dispute is not None and dispute["status"] != facts.status:
        if not may_step("dispute", dispute["status"], facts.status):
            made.stale = True
            if _counted(payment, _values(facts)) != _counted(payment, dispute):
                # The money has moved though our table says it cannot: a person has to know.
                told = {"ours": dispute["status"], "theirs": facts.status, "withheld": facts.withheld}
                made.finding = ("dispute_contradiction", told)
            return made
        made.status = facts.status
    elif dispute is None:
        made.status = facts.status
    made.values = _values(facts)
    if dispute is not None:
        made.values["reason"] = made.values["reason"] or dispute["reason"]
        made.changed = tuple(name for name in TOLD_AGAIN if made.values[name] != dispute[name])
    if dispute is not None and made.status == "needs_response":
        made.values["evidence_sent_at"] = None  # the bank asks anew: what was sent answered something else
    elif facts.evidence_sent and (dispute is None or dispute["evidence_sent_at"] is None):
        made.values["evidence_sent_at"] = now
    _count(made, payment, dispute)
    return made


def _values(facts: DisputeFacts) -> dict[str, Any]:
    return {
        "amount": facts.amount,
        "currency": facts.currency,
        "reason": None if facts.reason is None else facts.reason.replace("\x00", "")[:100],
        "refundable": facts.refundable,
        "withheld": facts.withheld,
        "evidence_due_by": facts.evidence_due_by,
    }


def _counted(payment: Row, dispute: Row) -> int:
    """What a dispute takes from the payment; another currency cannot be taken off its sums."""
    return dispute["amount"] if dispute["withheld"] and dispute["currency"] == payment["currency"] else 0


def _count(made: DisputePlan, payment: Row, dispute: Row | None) -> None:
    before = 0 if dispute is None else _counted(payment, dispute)
    change = _counted(payment, made.values) - before
    disputed = max(0, payment["amount_disputed"] + change)
    made.payment["amount_disputed"] = disputed
    taken = max(payment["amount_captured"], payment["amount_received"])
    if change > 0 and payment["amount_refunded"] + disputed > taken:
        sums = {"taken": taken, "refunded": payment["amount_refunded"], "disputed": disputed}
        made.finding = ("dispute_exceeds_payment", sums)
    elif made.values["withheld"] and made.values["currency"] != payment["currency"]:
        money = {"amount": made.values["amount"], "currency": made.values["currency"]}
        made.finding = ("dispute_other_currency", money)
