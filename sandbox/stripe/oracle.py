"""What really happened to the money, in words that both providers share."""

from __future__ import annotations

from collections import defaultdict

from ..ledger import Json
from ..world import Account, World


def read(world: World, account: Account | None) -> Json:
    """All charges and refunds, oldest first. Releases of held money are no refunds."""
    where, values = ("AND account = ?", (account.id,)) if account else ("", ())
    refunds = [row for row in world.ledger.select("refund", where, values) if not row.body.get("_release")]
    given_back: dict[str, int] = defaultdict(int)
    for row in refunds:
        if row.body["status"] in ("succeeded", "pending"):
            given_back[row.body["charge"]] += row.body["amount"]
    charges = [
        _charge(row.body, row.account, given_back[row.id]) for row in world.ledger.select("charge", where, values)
    ]
    listed = [_refund(row.body, row.account) for row in refunds]
    return {"charges": charges, "refunds": listed, "summary": summary(charges, listed)}


def _charge(charge: Json, account: str, given_back: int) -> Json:
    return {
        "id": charge["id"],
        "payment": charge["payment_intent"],
        "amount": charge["amount"],
        "currency": charge["currency"],
        "status": _status(charge),
        "captured": charge["captured"],
        "amount_captured": charge["amount_captured"],
        "amount_refunded": given_back,
        "idempotency_key": charge["_idempotency_key"],
        "metadata": charge["metadata"],
        "account": account,
        "created": charge["created"],
    }


def _status(charge: Json) -> str:
    if charge["status"] == "failed":
        return "failed"
    if charge["captured"]:
        return "succeeded"
    if charge.get("_expired"):
        return "expired"
    return "voided" if charge["refunded"] else "authorized"


def _refund(refund: Json, account: str) -> Json:
    return {
        "id": refund["id"],
        "payment": refund["payment_intent"],
        "charge": refund["charge"],
        "amount": refund["amount"],
        "currency": refund["currency"],
        "status": refund["status"],
        "reason": refund["reason"],
        "idempotency_key": refund.get("_idempotency_key"),
        "metadata": refund["metadata"],
        "account": account,
        "created": refund["created"],
    }


def summary(charges: list[Json], refunds: list[Json]) -> Json:
    captured: dict[str, int] = defaultdict(int)
    refunded: dict[str, int] = defaultdict(int)
    for charge in charges:
        if charge["status"] == "succeeded":
            captured[charge["currency"]] += charge["amount_captured"]
    for refund in refunds:
        if refund["status"] not in ("failed", "canceled"):
            refunded[refund["currency"]] += refund["amount"]
    return {
        "charges_succeeded": sum(charge["status"] == "succeeded" for charge in charges),
        "captured_by_currency": dict(captured),
        "refunded_by_currency": dict(refunded),
    }
