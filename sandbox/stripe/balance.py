"""Balance transactions: what a charge or refund did to the account's money, fee included."""

from __future__ import annotations

from .. import ids
from ..http import Call
from ..ledger import Json
from ..world import Desk
from . import lists, money, params, payouts
from .errors import missing
from .objects import expanded

# Card money becomes available two days after the charge, as in a new US account.
AVAILABLE_AFTER = 2 * 86400


def record(desk: Desk, type: str, amount: int, source: Json) -> str:
    """Books a movement of `amount` minor units (negative when money leaves); answers its id."""
    fee, said = _fee(type, amount)
    now = desk.now
    bypassed = source.get("_bypass_pending", False)
    details = [
        {"amount": fee, "application": None, "currency": source["currency"], "description": said, "type": "stripe_fee"}
    ]
    available = now if bypassed else now + AVAILABLE_AFTER
    body: Json = {
        "id": ids.fresh("txn_3"),
        "object": "balance_transaction",
        "amount": amount,
        "available_on": available,
        "balance_type": "payments",
        "created": now,
        "currency": source["currency"],
        "description": source.get("description"),
        "exchange_rate": None,
        "fee": fee,
        "fee_details": details if fee else [],
        "net": amount - fee,
        "reporting_category": _category(type, amount),
        "source": source["id"],
        "status": "available" if bypassed else "pending",
        "type": type,
    }
    return str(desk.add("balance_transaction", body, parent=payouts.plan(desk, available))["id"])


def _category(type: str, amount: int) -> str:
    """What the movement was about (docs.stripe.com/reports/reporting-categories)."""
    if type == "adjustment":
        return "dispute" if amount < 0 else "dispute_reversal"
    return {"payment": "charge", "payment_refund": "refund"}.get(type, type)


def _fee(type: str, amount: int) -> tuple[int, str]:
    """A fee on what comes in; a dispute costs one, which comes back with the money of a dispute that was won."""
    if type in ("charge", "payment"):
        return money.fee(amount), "Stripe processing fees"
    if type == "adjustment":
        return (money.DISPUTE_FEE if amount < 0 else -money.DISPUTE_FEE), "Dispute fee"
    return 0, ""


def retrieve(call: Call) -> Json:
    given = params.read(call.params, {"expand": params.texts})
    body = call.desk.get("balance_transaction", call.args[0])
    if body is None:
        raise missing("balance transaction", call.args[0], "id")
    return expanded(call.desk, body, given.get("expand"))


def list_transactions(call: Call) -> Json:
    given = params.read(
        call.params,
        {**params.LIST, "type": params.text, "source": params.text, "currency": params.text, "payout": params.text},
    )
    where, values = lists.matching(given, "type", "source", "currency")
    payout = given.get("payout")
    if payout and call.desk.get("payout", payout) is None:
        raise missing("payout", payout, "payout")
    return lists.page(call, "balance_transaction", given, where, values, parents=[payout] if payout else None)
