"""What really happened to the money, in words that both providers share."""

from __future__ import annotations

from collections import defaultdict

from ..ledger import Json
from ..world import Account, World

_DISPUTE = ("id", "charge", "payment_intent", "amount", "currency", "status", "reason", "metadata", "created")
_CUSTOMER = ("id", "email", "name", "metadata", "deleted", "created", "_idempotency_key")
_METHOD = ("id", "type", "customer", "_detached_from", "_card", "metadata", "created")
_PAYOUT = ("id", "amount", "currency", "status", "reconciliation_status", "created")


def read(world: World, account: Account | None) -> Json:
    """All that happened, oldest first. Releases of held money are no refunds."""
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
    return {
        "charges": charges,
        "refunds": listed,
        "disputes": _shown(world, "dispute", _DISPUTE, where, values),
        "customers": _shown(world, "customer", _CUSTOMER, where, values),
        # Those that were kept for a customer once; the others were good for one payment.
        "payment_methods": _shown(world, "payment_method", _METHOD, where + " AND parent NOTNULL", values),
        "payouts": _shown(world, "payout", _PAYOUT, where, values),
        "summary": summary(charges, listed),
    }


def _shown(world: World, kind: str, names: tuple[str, ...], where: str, values: tuple[str, ...]) -> list[Json]:
    """The named fields of every object of a kind; those that begin with `_` go by their plain names."""
    return [
        {**{name.lstrip("_"): row.body.get(name) for name in names}, "account": row.account}
        for row in world.ledger.select(kind, where, values)
    ]


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
    if charge["status"] == "pending":
        return "pending"
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
