"""A sandbox's ledger in words that both providers share: what was taken or held, given back, disputed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Row = Mapping[str, Any]

#: What a hold of Paystack's amounts to; every other word is a hold that never came to be.
_HOLDS: Mapping[str, str] = {
    "authorized": "authorized",
    "capturing": "authorized",
    "release_failed": "authorized",
    "captured": "succeeded",
    "released": "voided",
    "capture_failed": "ended",
}
#: The provider's word for a refund -> ours.
REFUNDS: Mapping[str, Mapping[str, str]] = {
    "stripe": {
        "pending": "processing",
        "requires_action": "requires_action",
        "succeeded": "succeeded",
        "failed": "failed",
        "canceled": "canceled",
    },
    "paystack": {
        "pending": "processing",
        "processing": "processing",
        "processed": "succeeded",
        "needs-attention": "requires_action",
        "failed": "failed",
    },
}
#: The provider's word for a dispute, for Paystack's resolved ones with the resolution -> ours.
DISPUTES: Mapping[str, Mapping[str, str]] = {
    "stripe": {
        "warning_needs_response": "needs_response",
        "warning_under_review": "under_review",
        "warning_closed": "closed",
        "needs_response": "needs_response",
        "under_review": "under_review",
        "won": "won",
        "lost": "lost",
        "prevented": "closed",
    },
    "paystack": {
        "pending": "needs_response",
        "awaiting-merchant-feedback": "needs_response",
        "awaiting-bank-feedback": "under_review",
        "resolved:merchant-accepted": "lost",
        "resolved:auto-accepted": "lost",
        "resolved:declined": "won",
        "resolved:None": "closed",
    },
}
#: Whose events carry no id of their own, so that they can only be counted.
UNNAMED_EVENTS = frozenset({"paystack"})
#: The best a start came to is what counts: a page may be tried with several cards.
RANK = ("pending", "failed", "ended", "expired", "voided", "authorized", "succeeded")
#: Money was taken or is held.
MOVED = frozenset({"authorized", "succeeded"})
#: The provider said yes once, whatever came after.
AGREED = MOVED | {"ended", "expired", "voided"}


@dataclass(frozen=True, slots=True)
class Charge:
    """One try at the money. `object_id` is what its refunds name; the marks are ours, None where there is none."""

    id: str | None
    object_id: str
    payment: str | None
    transaction: str | None
    amount: int
    currency: str
    state: str
    taken: int


@dataclass(frozen=True, slots=True)
class Side:
    """A refund or a dispute: `status` in our words, or the provider's where we have none."""

    id: str
    object_id: str
    amount: int
    status: str


def charges(provider: str, ledger: Mapping[str, Sequence[Row]]) -> list[Charge]:
    """What bears our marks or stands for itself; the charge by which a hold is captured is told with the hold."""
    holds = {one["payment"]: one for one in ledger.get("holds", ())}
    found = [_charge(one, one["status"]) for one in ledger["charges"] if one["payment"] not in holds]
    return found + [_charge({**one, "id": None}, _HOLDS.get(one["status"], "pending")) for one in holds.values()]


def _charge(row: Row, state: str) -> Charge:
    marks = row["metadata"] if isinstance(row["metadata"], Mapping) else {}
    return Charge(
        id=row["id"],
        object_id=str(row["payment"]),
        payment=marks.get("tollgate_payment"),
        transaction=marks.get("tollgate_transaction"),
        amount=int(row["amount"]),
        currency=str(row["currency"]).upper(),
        state=state,
        taken=int(row["amount_captured"]) if state == "succeeded" else 0,
    )


def refunds(provider: str, ledger: Mapping[str, Sequence[Row]]) -> list[Side]:
    return [_side(one, REFUNDS[provider].get(one["status"], one["status"])) for one in ledger["refunds"]]


def disputes(provider: str, ledger: Mapping[str, Sequence[Row]]) -> list[Side]:
    words = DISPUTES[provider]
    found = []
    for one in ledger["disputes"]:
        word = f"resolved:{one.get('resolution')}" if one["status"] == "resolved" else one["status"]
        object_id = one.get("payment_intent") or one.get("payment")
        found.append(_side({**one, "payment": object_id}, words.get(word, word)))
    return found


def _side(row: Row, status: str) -> Side:
    return Side(str(row["id"]), str(row["payment"]), int(row["amount"]), status)
