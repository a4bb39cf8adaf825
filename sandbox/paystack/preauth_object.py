"""How a preauthorization reads in answers and events."""

from __future__ import annotations

from ..ledger import Json
from ..world import Desk
from . import authorizations, cards, events, money, times
from .domain import domain

MERCHANT = "Sandbox Business"
# Under any other status no bank was asked yet, or it said no.
HELD = ("authorized", "capturing", "captured", "released", "capture_failed", "release_failed")


def shown(desk: Desk, hold: Json) -> Json:
    """The body that reserve and verify answer."""
    return {
        "id": hold["id"],
        "domain": domain(desk),
        "status": status(hold),
        "reference": hold["reference"],
        "amount": hold["amount"],
        "created_at": times.iso(hold["created"]),
        "transaction_id": hold["transaction"],
        "captured_at": _stamp(hold["captured"]),
        "captured_amount": _text(hold["captured_amount"]),
        "released_at": _stamp(hold["released"]),
        "expiry_date": _stamp(hold["expires"]),
        "currency": hold["currency"],
        "metadata": hold["metadata"],
        "fees": money.fee(hold["amount"], hold["currency"]),
        "authorization": authorization(hold),
        "customer": hold["customer"],
        "merchant_id": int(desk.account.id),
        "merchant_name": MERCHANT,
        "expire_action": hold["expire_action"],
        "split_code": None,
        "split": None,
    }


def listed(desk: Desk, hold: Json) -> Json:
    names = ("domain", "status", "reference", "amount", "created_at", "transaction_id", "captured_at", "released_at",
             "currency", "fees", "customer", "id")  # fmt: skip
    whole = shown(desk, hold)
    return {name: whole[name] for name in names}


def status(hold: Json) -> str:
    """A capture the bank has not answered reads `ongoing`, like a page that waits for its customer."""
    return "ongoing" if hold["status"] == "capturing" else str(hold["status"])


def authorization(hold: Json) -> Json:
    if hold["status"] not in HELD or hold["card"] is None:
        return {}
    card = cards.typed(hold["card"])
    return authorizations.shown(card, hold["authorization_code"], hold["currency"], card.reusable)


def tell(desk: Desk, type: str, hold: Json, message: str | None, transaction: Json | None = None) -> None:
    """As in Paystack's samples: the captured amount as text, the capture's transaction inside its success only."""
    whole = shown(desk, hold)
    names = ("id", "domain", "status", "reference", "amount", "currency", "metadata", "authorization", "customer",
             "merchant_id", "merchant_name", "captured_at", "captured_amount", "expire_action", "split_code",
             "split")  # fmt: skip
    data = {name: whole[name] for name in names} | {
        "metadata": hold["metadata"] or None,
        "message": message,
        "fees": 0 if type.startswith("capture") else whole["fees"],
        "transaction_id": _text(hold["transaction"]),
        "expiry_date": None if type == "capture.success" else whole["expiry_date"],
    }
    if not type.startswith("reserve"):
        data["expired_at"] = _stamp(hold["expired"])
    if transaction:
        data["transaction"] = transaction
    events.emit(desk, f"preauthorization.{type}", data)


def _stamp(moment: float | None) -> str | None:
    return None if moment is None else times.iso(moment)


def _text(value: int | None) -> str | None:
    return None if value is None else str(value)
