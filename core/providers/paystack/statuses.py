"""The literal tables from Paystack's words for a status to what it comes to, one a kind of object and question."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from core.domain.outcomes import (
    ActionRequired,
    Canceled,
    Decline,
    DeclineCategory,
    Declined,
    Facts,
    LookUp,
    NotFound,
    Pending,
    Succeeded,
)
from core.providers.paystack.declines import decline_of

Data = Mapping[str, Any]
Made = Callable[[Data, Facts], LookUp]

_REFUND_FAILED = Decline(
    "refund_failed",
    DeclineCategory.UNKNOWN,
    "The refund did not reach the customer; Paystack credits the sum back to the balance.",
    provider_code="failed",
)
_TAKEN = Decline("already_captured", DeclineCategory.HARD, "The money has already been taken.")
_STILL_HELD = Decline(
    "release_failed",
    DeclineCategory.UNKNOWN,
    "The bank did not release the hold; it ends by itself when it expires.",
    provider_code="release_failed",
)


def succeeded(data: Data, facts: Facts) -> LookUp:
    return Succeeded(facts)


def pending(data: Data, facts: Facts) -> LookUp:
    return Pending(facts)


def still_open(data: Data, facts: Facts) -> LookUp:
    """Somebody has to act, at an address that was given before or in Paystack's dashboard."""
    return ActionRequired(facts, None)


def declined(data: Data, facts: Facts) -> LookUp:
    return Declined(facts, decline_of(data))


def refund_failed(data: Data, facts: Facts) -> LookUp:
    return Declined(facts, _REFUND_FAILED)


def already_taken(data: Data, facts: Facts) -> LookUp:
    return Declined(facts, _TAKEN)


def not_released(data: Data, facts: Facts) -> LookUp:
    return Declined(facts, _STILL_HELD)


def let_go(data: Data, facts: Facts) -> LookUp:
    return Canceled(facts, reason="released")


def not_yet(data: Data, facts: Facts) -> LookUp:
    return NotFound({"seen": "a hold on which this was not done", "status": str(data.get("status"))})


#: `data.status` of a transaction that a customer pays on a page (Paystack's page "Verify payments").
TRANSACTION_STATUSES: Mapping[str, Made] = {
    "success": succeeded,
    # Money was taken first; what went back is told by refunds and disputes.
    "reversed": succeeded,
    # An initialised page reads `abandoned` until it is paid, and a failed try on it may be followed by a good one.
    "abandoned": still_open,
    "failed": still_open,
    # Waits for the customer: for a password, or a transfer. Who leaves there leaves it so for ever.
    "ongoing": still_open,
    "pending": pending,
    "processing": pending,
    "queued": pending,
}

#: `data.status` of a transaction without a page: the charge of a saved card, the capture of a hold. One try, so a
#: failed one is final.
CHARGE_STATUSES: Mapping[str, Made] = {
    "success": succeeded,
    "reversed": succeeded,
    "abandoned": still_open,  # the bank wants the customer, who has not come
    "failed": declined,
    "ongoing": pending,
    "pending": pending,
    "processing": pending,
    "queued": pending,
}

#: The same while no answer to it was ever read: it may have been `paused`, on a page whose address is lost. Nobody can
#: pay there, so it is no different from a page that was left. It is never charged anew: its bank may still pay it.
UNANSWERED_CHARGE_STATUSES: Mapping[str, Made] = {**CHARGE_STATUSES, "ongoing": still_open}

#: `data.status` of a preauthorization, asked about the hold itself (Paystack's page "Preauthorization"). What was
#: captured, or could not be released, was held first.
HOLD_STATUSES: Mapping[str, Made] = {
    "authorized": succeeded,
    "captured": succeeded,
    "capture_failed": succeeded,
    "release_failed": succeeded,
    "released": let_go,
    "abandoned": still_open,
    "failed": still_open,  # on a page, as with transactions: the next card may be a good one
    "ongoing": still_open,
}

#: The same for a hold on a saved card, where one try decides.
CARD_HOLD_STATUSES: Mapping[str, Made] = {
    "authorized": succeeded,
    "captured": succeeded,
    "capture_failed": succeeded,
    "release_failed": succeeded,
    "released": let_go,
    "abandoned": still_open,
    "failed": declined,
    "ongoing": pending,
}

#: The same while no answer to it was ever read.
UNANSWERED_CARD_HOLD_STATUSES: Mapping[str, Made] = {**CARD_HOLD_STATUSES, "ongoing": still_open}

#: Asked about its capture. A hold that still stands says that none was done; one that is `ongoing` waits for the bank.
CAPTURE_STATUSES: Mapping[str, Made] = {
    "authorized": not_yet,
    "release_failed": not_yet,
    "ongoing": pending,
    "captured": succeeded,
    "capture_failed": declined,
    "released": let_go,
}

#: Asked about its release.
RELEASE_STATUSES: Mapping[str, Made] = {
    "authorized": not_yet,
    "capture_failed": not_yet,
    "ongoing": pending,
    "released": succeeded,
    "captured": already_taken,
    "release_failed": not_released,
}

#: `data.status` of a refund (Paystack's page "Refunds").
REFUND_STATUSES: Mapping[str, Made] = {
    "pending": pending,
    "processing": pending,
    "processed": succeeded,
    "failed": refund_failed,
    "needs-attention": still_open,  # the customer's bank details have to be given before Paystack goes on
}

DisputeStatus = Literal["needs_response", "under_review", "won", "lost", "closed"]

#: `status` of a dispute that is open (Paystack's page "Disputes"). `pending` turns into `awaiting-merchant-feedback`.
DISPUTE_STATUSES: Mapping[str, DisputeStatus] = {
    "pending": "needs_response",
    "awaiting-merchant-feedback": "needs_response",
    "awaiting-bank-feedback": "under_review",
}

#: `resolution` of one that is `resolved`; who gives in, or keeps silent until it is due, has lost.
DISPUTE_RESOLUTIONS: Mapping[str | None, DisputeStatus] = {
    "merchant-accepted": "lost",
    "auto-accepted": "lost",
    "declined": "won",
    None: "closed",
}
