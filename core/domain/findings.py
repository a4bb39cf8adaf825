"""What a person may have to look at: how grave each kind is, what it says, what to do, and which repairs fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Severity = Literal["low", "medium", "high"]
#: `decide_job`: a job waits with it; `tollgate jobs` decides both. `take_over`: our books take the provider's status.
#: `refund_surplus`: money that is not ours goes back. `link`: the provider's object belongs to a payment of ours.
#: `ignore`: looked at, nothing to do. `done`: put right elsewhere.
Repair = Literal["decide_job", "take_over", "refund_surplus", "link", "ignore", "done"]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of finding. `suggestion` is the repair that is right most often."""

    severity: Severity
    means: str
    suggestion: Repair
    repairs: tuple[Repair, ...]


_BY_JOB: tuple[Repair, ...] = ("decide_job",)
_SEEN: tuple[Repair, ...] = ("done", "ignore")
_SURPLUS: tuple[Repair, ...] = ("refund_surplus", "done", "ignore")
_THEIRS: tuple[Repair, ...] = ("take_over", "done", "ignore")

#: Whole: a kind that is not here cannot be opened, and each has its entry in docs/runbook.md.
KINDS: Mapping[str, Kind] = {
    "outcome_unknown": Kind("high", "No look-up has found out what became of an operation", "decide_job", _BY_JOB),
    "refund_unconfirmed": Kind("high", "A refund may or may not have been made", "decide_job", _BY_JOB),
    "amount_mismatch": Kind("high", "The provider took another sum or currency than was asked for", "done", _THEIRS),
    "surplus_received": Kind("high", "Money came for a payment that had ended", "refund_surplus", _SURPLUS),
    "surplus_authorization": Kind("medium", "A hold came for a payment that had ended", "done", _SEEN),
    "surplus_refund": Kind("high", "More was given back than was asked for", "done", _SEEN),
    "operation_not_ours": Kind("medium", "A hold was captured or released at the provider's dashboard", "done", _SEEN),
    "refund_not_ours": Kind("low", "A refund was made at the provider's dashboard", "done", _SEEN),
    "unmatched_event": Kind("medium", "The provider tells of something that we do not know", "ignore", _SEEN),
    "provider_misconfigured": Kind("high", "The provider refuses an account's credentials", "done", _SEEN),
    "event_undelivered": Kind("medium", "A merchant's endpoint did not take an event", "done", _SEEN),
    "webhook_endpoint_gone": Kind("medium", "A merchant's endpoint says that it is gone", "done", _SEEN),
    "still_payable": Kind("high", "A declined charge could not be ended at the provider", "decide_job", _BY_JOB),
    "dispute_unread": Kind(
        "medium", "A dispute was told of, and the provider does not say how it stands", "decide_job", _BY_JOB
    ),
    "dispute_answer_unknown": Kind("high", "An answer to a dispute may or may not have arrived", "decide_job", _BY_JOB),
    "dispute_contradiction": Kind("medium", "A dispute stands otherwise than it can", "done", _SEEN),
    "dispute_exceeds_payment": Kind("high", "Disputes and refunds together exceed what was taken", "done", _SEEN),
    "refund_unmarked": Kind(
        "high",
        "A refund at the provider may be ours and does not say so",
        "decide_job",
        ("decide_job", "done", "ignore"),
    ),
    "dispute_other_currency": Kind("medium", "A dispute is in another currency than its payment", "done", _SEEN),
    "method_not_forgotten": Kind(
        "medium", "A deleted payment method may still be kept by the provider", "decide_job", _BY_JOB
    ),
    "person_not_forgotten": Kind(
        "medium", "An erased person's details may still be kept by the provider", "decide_job", _BY_JOB
    ),
    "unknown_charge": Kind(
        "high", "The provider has a charge with our mark that we do not know", "link", ("link", "done", "ignore")
    ),
    "foreign_charge": Kind(
        "medium",
        "Somebody else charged through an account that is called ours alone",
        "done",
        ("link", "done", "ignore"),
    ),
    "status_differs": Kind("high", "We call a charge succeeded, and the provider does not", "done", _THEIRS),
    "missing_at_provider": Kind(
        "high", "We call a charge succeeded, and the provider does not know it", "done", _THEIRS
    ),
    "statement_unmatched": Kind(
        "medium", "The provider's statement has a line that finds nothing of ours", "done", _THEIRS
    ),
    "statement_amount_differs": Kind(
        "high", "The provider's statement has another sum than our books", "take_over", _THEIRS
    ),
    "payout_differs": Kind("high", "The lines of a payout do not add up to what was paid out", "done", _SEEN),
    "payout_failed": Kind("high", "The bank sent a payout back", "done", _SEEN),
    "worker_lost": Kind("high", "Every worker that took a job died", "decide_job", _BY_JOB),
    "internal_error": Kind("high", "The code failed on a job again and again", "decide_job", _BY_JOB),
}
