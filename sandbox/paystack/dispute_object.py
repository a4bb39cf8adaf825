"""How a dispute reads in answers and events."""

from __future__ import annotations

from ..ledger import Json
from ..world import Desk
from . import cards, events, times, transaction_object
from .domain import domain


def shown(desk: Desk, dispute: Json) -> Json:
    """The body that list and fetch answer."""
    transaction = desk.held("transaction", str(dispute["transaction"]))
    card = cards.typed(transaction["card"]) if transaction["card"] else None
    return {
        "id": dispute["id"],
        "refund_amount": dispute["refund_amount"],
        "currency": dispute["currency"],
        "status": dispute["status"],
        "resolution": dispute["resolution"],
        "domain": domain(desk),
        "transaction": _inside(desk, transaction),
        "transaction_reference": None,
        "merchant_transaction_reference": transaction["reference"],
        "category": "chargeback",
        "customer": transaction["customer"],
        "bin": card.number[:6] if card else None,
        "last4": card.number[-4:] if card else None,
        "dueAt": times.iso(dispute["due"]),
        "resolvedAt": _stamp(dispute["resolved"]),
        "evidence": dispute["evidence"],
        "attachments": dispute["attachments"],
        "note": dispute["note"],
        "history": [{**one, "createdAt": times.iso(one["createdAt"])} for one in dispute["history"]],
        "messages": [{**one, "createdAt": times.iso(one["createdAt"])} for one in dispute["messages"]],
        "integration": int(desk.account.id),
        "createdAt": times.iso(dispute["created"]),
        "updatedAt": times.iso(dispute["updated"]),
    }


def _inside(desk: Desk, transaction: Json) -> Json:
    """The transaction inside a dispute: without log, card or plan, the customer almost empty, as in the samples."""
    whole = transaction_object.shown(desk, transaction)
    names = ("id", "domain", "status", "reference", "amount", "message", "gateway_response", "paid_at", "created_at",
             "channel", "currency", "metadata", "fees", "fees_split", "order_id", "paidAt", "requested_amount",
             "pos_transaction_data")  # fmt: skip
    inside = {name: whole[name] for name in names}
    empty: Json = {
        "ip_address": None,
        "log": None,
        "authorization": {},
        "customer": {"international_format_phone": None},
    }
    return inside | empty | {"plan": {}, "subaccount": {}, "split": {}}


def resolved(desk: Desk, dispute: Json) -> Json:
    """The body that resolving answers: the transaction as a number, the last message as an object."""
    whole = shown(desk, dispute)
    for name in ("history", "messages", "customer"):
        del whole[name]
    last = dispute["messages"][-1]
    return whole | {
        "transaction": dispute["transaction"],
        "created_by": int(desk.account.id),
        "message": {"dispute": dispute["id"], "sender": last["sender"], "body": last["body"]},
    }


def tell(desk: Desk, what: str, dispute: Json) -> None:
    """In events the times of the dispute itself are spelled with an underscore."""
    data = shown(desk, dispute)
    for name in ("integration", "merchant_transaction_reference"):
        del data[name]
    data["created_at"], data["updated_at"] = data.pop("createdAt"), data.pop("updatedAt")
    events.emit(desk, f"charge.dispute.{what}", data)


def _stamp(moment: float | None) -> str | None:
    return None if moment is None else times.iso(moment)
