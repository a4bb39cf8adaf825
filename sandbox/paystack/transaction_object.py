"""How a transaction reads in answers and events."""

from __future__ import annotations

from ..ledger import Json
from ..world import Desk
from . import authorizations, cards, money, times
from .domain import domain

PAID = ("success", "reversed")


def shown(desk: Desk, transaction: Json) -> Json:
    """The body that verify, fetch and list answer."""
    created = times.iso(transaction["created"])
    paid_at = times.iso(transaction["paid"]) if transaction["paid"] else None
    return {
        "id": transaction["id"],
        "domain": domain(desk),
        "status": transaction["status"],
        "reference": transaction["reference"],
        "receipt_number": None,
        "amount": transaction["amount"],
        "message": None,
        "gateway_response": transaction["gateway_response"],
        "paid_at": paid_at,
        "created_at": created,
        "channel": transaction["channel"],
        "currency": transaction["currency"],
        "ip_address": "127.0.0.1",
        "metadata": transaction["metadata"],
        "log": log(transaction),
        "fees": fees(transaction),
        "fees_split": None,
        "authorization": authorization(transaction),
        "customer": transaction["customer"],
        "plan": None,
        "split": {},
        "order_id": None,
        "paidAt": paid_at,
        "createdAt": created,
        "requested_amount": transaction["requested_amount"],
        "pos_transaction_data": None,
        "source": None,
        "fees_breakdown": None,
        "connect": None,
        "transaction_date": created,
        "plan_object": {},
        "subaccount": {},
        "integration": int(desk.account.id),
    }


def attempted(desk: Desk, transaction: Json) -> Json:
    """The shorter body that a charge without a page answers."""
    names = ("amount", "currency", "transaction_date", "status", "reference", "domain", "metadata", "gateway_response",
             "message", "channel", "fees", "authorization", "customer", "plan", "id")  # fmt: skip
    whole = shown(desk, transaction)
    return {name: whole[name] for name in names} | {"ip_address": None, "log": None}


def fees(transaction: Json) -> int | None:
    if transaction["status"] not in PAID:
        return None
    return money.fee(transaction["requested_amount"], transaction["currency"])


def authorization(transaction: Json) -> Json:
    """Empty until somebody tried to pay."""
    paid = transaction["status"] in PAID
    code = transaction["authorization_code"]
    if transaction["channel"] not in ("card", "preauth"):
        return authorizations.of_channel(code, transaction["channel"]) if paid else {}
    if transaction["card"] is None or not (paid or transaction["status"] == "failed"):
        return {}
    card = cards.typed(transaction["card"])
    return authorizations.shown(card, code, transaction["currency"], paid and card.reusable)


def log(transaction: Json) -> Json | None:
    """What the customer did on the page."""
    if not transaction["attempts"]:
        return None
    won = transaction["status"] == "success"
    history = [{"type": "action", "message": f"Attempted to pay with {transaction['channel']}", "time": 3}]
    history.append({"type": "success" if won else "error", "message": transaction["gateway_response"], "time": 4})
    return {
        "start_time": transaction["created"],
        "time_spent": 4,
        "attempts": transaction["attempts"],
        "authentication": cards.typed(transaction["card"]).step if transaction["card"] else None,
        "errors": transaction["errors"],
        "success": won,
        "mobile": False,
        "input": [],
        "channel": None,
        "history": history,
    }
