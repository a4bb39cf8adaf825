"""Disputes: a customer asks the bank for the money back, the merchant accepts, contests, or lets the time run out."""

from __future__ import annotations

from ..ledger import Json
from ..world import Desk
from . import refunds, settlements, times, transactions
from .dispute_object import tell

FIRST_ID = 350_000
# When nobody answers: a reminder after a day, and after two days the bank takes silence for consent.
REMIND_AFTER = 24 * 3600
DUE_AFTER = 48 * 3600
# How long the customer's bank looks at evidence.
BANK_AFTER = 24 * 3600
WINNERS = ("merchant", "customer")


def order(desk: Desk, wanted: Json) -> Json:
    """What POST /_sandbox/disputes asks for; raises ValueError or LookupError saying what is wrong."""
    known = {"secret_key", "reference", "amount", "winner", "pending"}
    unknown = set(wanted) - known
    if unknown:
        raise ValueError(f"unknown field {', '.join(sorted(unknown))}; known: {', '.join(sorted(known))}")
    transaction = transactions.by_reference(desk, str(wanted.get("reference")))
    if transaction is None:
        raise LookupError(f"no transaction {wanted.get('reference')}")
    left = refunds.refundable(desk, transaction)
    amount = wanted.get("amount", left)
    if transaction["status"] != "success":
        raise ValueError("only a successful transaction can be disputed")
    if isinstance(amount, bool) or not isinstance(amount, int) or not 0 < amount <= left:
        raise ValueError(f"amount must be a whole number from 1 to {left}, what is left of the transaction")
    winner = wanted.get("winner", "merchant")
    if winner not in WINNERS:
        raise ValueError("winner must be merchant or customer: who wins if the merchant contests")
    dispute = open_dispute(desk, transaction, amount, winner, pending=bool(wanted.get("pending")))
    return {"id": dispute["id"], "status": dispute["status"], "due": times.iso(dispute["due"])}


def open_dispute(desk: Desk, transaction: Json, amount: int, winner: str, pending: bool) -> Json:
    """`pending`: Paystack looks at it first, for the settle time."""
    who = transaction["customer"]["email"]
    dispute: Json = {
        "id": FIRST_ID + desk.world.ledger.next_number(),
        "transaction": transaction["id"],
        "reference": transaction["reference"],
        "refund_amount": amount,
        "disputed": amount,
        "currency": transaction["currency"],
        "status": "pending" if pending else "awaiting-merchant-feedback",
        "resolution": None,
        "winner": winner,
        "due": desk.now + DUE_AFTER,
        "resolved": None,
        "evidence": None,
        "attachments": None,
        "note": None,
        "history": [{"status": "pending", "by": who, "createdAt": desk.now}],
        "messages": [{"sender": who, "body": "Customer complained about debit without value", "createdAt": desk.now}],
        "deducted": 0,
        "settled": None,
        "created": desk.now,
        "updated": desk.now,
    }
    desk.add("dispute", dispute, parent=str(transaction["id"]))
    tell(desk, "create", dispute)
    id = str(dispute["id"])
    if pending:
        desk.later("ask_merchant", id)
    desk.later("remind_of_dispute", id, REMIND_AFTER)
    desk.later("dispute_due", id, DUE_AFTER)
    return dispute


def move(desk: Desk, dispute: Json, status: str, by: str) -> None:
    dispute |= {"status": status, "updated": desk.now}
    dispute["history"].append({"status": status, "by": by, "createdAt": desk.now})
    desk.save("dispute", dispute)


def ask_merchant(desk: Desk, dispute_id: str) -> None:
    dispute = desk.held("dispute", dispute_id)
    if dispute["status"] == "pending":
        move(desk, dispute, "awaiting-merchant-feedback", "sandbox@example.com")


def remind(desk: Desk, dispute_id: str) -> None:
    dispute = desk.held("dispute", dispute_id)
    if dispute["status"] == "awaiting-merchant-feedback":
        tell(desk, "remind", dispute)


def due(desk: Desk, dispute_id: str) -> None:
    dispute = desk.held("dispute", dispute_id)
    if dispute["status"] in ("awaiting-merchant-feedback", "pending"):
        lose(desk, dispute, "auto-accepted")


def decide(desk: Desk, dispute_id: str) -> None:
    """The bank has read the merchant's evidence."""
    dispute = desk.held("dispute", dispute_id)
    if dispute["status"] != "awaiting-bank-feedback":
        return
    if dispute["winner"] == "customer":
        lose(desk, dispute, "auto-accepted")
    else:
        _resolve(desk, dispute, "declined")


def lose(desk: Desk, dispute: Json, resolution: str) -> None:
    """The customer gets the money; it is taken out of the next settlements."""
    transaction = desk.held("transaction", str(dispute["transaction"]))
    transaction["status"] = "reversed"
    desk.save("transaction", transaction)
    _resolve(desk, dispute, resolution)
    settlements.expect(desk)


def _resolve(desk: Desk, dispute: Json, resolution: str) -> None:
    dispute |= {"resolution": resolution, "resolved": desk.now}
    move(desk, dispute, "resolved", "sandbox@example.com")
    tell(desk, "resolve", dispute)
