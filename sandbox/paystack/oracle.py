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
    "pending": "pending",
    "processing": "pending",
}
# A hold whose release failed is still one; one whose capture failed is not.
_HELD = ("authorized", "capturing", "release_failed")


def read(world: World, account: Account | None) -> Json:
    """Everything that moved or held money, oldest first; a transaction never paid is `pending`."""
    where, values = ("AND account = ?", (account.id,)) if account else ("", ())
    refunds = [_refund(row.body, row.account) for row in world.ledger.select("refund", where, values)]
    given_back: dict[str, int] = defaultdict(int)
    for refund in refunds:
        if refund["status"] != "failed":
            given_back[refund["charge"]] += refund["amount"]
    charges = [
        _charge(row.body, row.account, given_back[row.id]) for row in world.ledger.select("transaction", where, values)
    ]
    rest = {
        kind: [shape(row.body, row.account) for row in world.ledger.select(name, where, values)]
        for kind, name, shape in (
            ("holds", "preauthorization", _hold),
            ("disputes", "dispute", _dispute),
            ("authorizations", "authorization", _authorization),
            ("settlements", "settlement", _settlement),
        )
    }
    return {"charges": charges, "refunds": refunds, **rest, "summary": _summary(charges, refunds)}


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
        "channel": transaction["channel"],
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


def _hold(hold: Json, account: str) -> Json:
    return {
        "id": str(hold["id"]),
        "payment": hold["reference"],
        "amount": hold["amount"],
        "currency": hold["currency"],
        "status": hold["status"],
        "held": hold["status"] in _HELD,
        "amount_captured": hold["captured_amount"] if hold["status"] == "captured" else 0,
        "charge": str(hold["transaction"]) if hold["transaction"] else None,
        "metadata": hold["metadata"],
        "account": account,
        "created": hold["created"],
    }


def _dispute(dispute: Json, account: str) -> Json:
    lost = dispute["status"] == "resolved" and dispute["resolution"] != "declined"
    return {
        "id": str(dispute["id"]),
        "payment": dispute["reference"],
        "charge": str(dispute["transaction"]),
        "amount": dispute["disputed"],
        "amount_lost": dispute["refund_amount"] if lost else 0,
        "currency": dispute["currency"],
        "status": dispute["status"],
        "resolution": dispute["resolution"],
        "account": account,
        "created": dispute["created"],
    }


def _authorization(kept: Json, account: str) -> Json:
    names = ("id", "customer", "reusable", "active", "created")
    return {name: kept[name] for name in names} | {"last4": kept["card"][-4:], "account": account}


def _settlement(settlement: Json, account: str) -> Json:
    names = ("status", "currency", "total_processed", "total_fees", "deductions", "effective_amount", "created")
    return {"id": str(settlement["id"]), **{name: settlement[name] for name in names}, "account": account}


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
