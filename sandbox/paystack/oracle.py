"""What really happened to the money, in words that both providers share."""

from __future__ import annotations

from collections import defaultdict

from ..ledger import Json
from ..world import Account, World

# Nothing was taken under any other status.
STATUSES = {
    "success": "succeeded",
    "reversed": "succeeded",
    "failed": "failed",
    "ongoing": "pending",
    "abandoned": "pending",
}


def read(world: World, account: Account | None) -> Json:
    """Every transaction and refund, oldest first; one never paid is `pending`."""
    where, values = ("AND account = ?", (account.id,)) if account else ("", ())
    refunds = [_refund(row.body, row.account) for row in world.ledger.select("refund", where, values)]
    given_back: dict[str, int] = defaultdict(int)
    for refund in refunds:
        if refund["status"] != "failed":
            given_back[refund["charge"]] += refund["amount"]
    charges = [
        _charge(row.body, row.account, given_back[row.id]) for row in world.ledger.select("transaction", where, values)
    ]
    return {"charges": charges, "refunds": refunds, "summary": _summary(charges, refunds)}


def _charge(transaction: Json, account: str, given_back: int) -> Json:
    status = STATUSES[transaction["status"]]
    return {
        "id": str(transaction["id"]),
        "payment": transaction["reference"],
        "amount": transaction["amount"],
        "requested_amount": transaction["requested_amount"],
        "currency": transaction["currency"],
        "status": status,
        "captured": status == "succeeded",
        "amount_captured": transaction["amount"] if status == "succeeded" else 0,
        "amount_refunded": given_back,
        "attempts": transaction["attempts"],
        "idempotency_key": None,
        "metadata": transaction["metadata"],
        "account": account,
        "created": transaction["created"],
    }


def _refund(refund: Json, account: str) -> Json:
    return {
        "id": str(refund["id"]),
        "payment": refund["reference"],
        "charge": str(refund["transaction"]),
        "amount": refund["amount"],
        "currency": refund["currency"],
        "status": refund["status"],
        "merchant_note": refund["merchant_note"],
        "account": account,
        "created": refund["created"],
    }


def _summary(charges: list[Json], refunds: list[Json]) -> Json:
    captured: dict[str, int] = defaultdict(int)
    refunded: dict[str, int] = defaultdict(int)
    for charge in charges:
        if charge["status"] == "succeeded":
            captured[charge["currency"]] += charge["amount_captured"]
    for refund in refunds:
        if refund["status"] != "failed":
            refunded[refund["currency"]] += refund["amount"]
    return {
        "charges_succeeded": sum(charge["status"] == "succeeded" for charge in charges),
        "captured_by_currency": dict(captured),
        "refunded_by_currency": dict(refunded),
    }
