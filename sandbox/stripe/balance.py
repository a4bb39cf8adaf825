"""Balance transactions: what a charge or refund did to the account's money, fee included."""

from __future__ import annotations

from .. import ids
from ..http import Call
from ..ledger import Json
from ..world import Desk
from . import lists, money, params
from .errors import missing
from .objects import expanded

# Card money becomes available two days after the charge, as in a new US account.
AVAILABLE_AFTER = 2 * 86400


def record(desk: Desk, type: str, amount: int, source: Json) -> str:
    """Books a movement of `amount` minor units (negative when money leaves); answers its id."""
    fee = money.fee(amount) if type == "charge" else 0
    now = desk.now
    bypassed = source.get("_bypass_pending", False)
    details = [
        {"amount": fee, "application": None, "currency": source["currency"], "description": "Stripe processing fees",
         "type": "stripe_fee"}
    ]  # fmt: skip
    body: Json = {
        "id": ids.fresh("txn_3"),
        "object": "balance_transaction",
        "amount": amount,
        "available_on": now if bypassed else now + AVAILABLE_AFTER,
        "balance_type": "payments",
        "created": now,
        "currency": source["currency"],
        "description": source.get("description"),
        "exchange_rate": None,
        "fee": fee,
        "fee_details": details if fee else [],
        "net": amount - fee,
        "reporting_category": {"adjustment": "dispute"}.get(type, type),
        "source": source["id"],
        "status": "available" if bypassed else "pending",
        "type": type,
    }
    return str(desk.add("balance_transaction", body, parent=source["id"])["id"])


def _as_of_now(desk: Desk, body: Json) -> Json:
    return body | {"status": "available" if desk.now >= body["available_on"] else "pending"}


def retrieve(call: Call) -> Json:
    given = params.read(call.params, {"expand": params.texts})
    body = call.desk.get("balance_transaction", call.args[0])
    if body is None:
        raise missing("balance transaction", call.args[0], "id")
    return expanded(call.desk, _as_of_now(call.desk, body), given.get("expand"))


def list_transactions(call: Call) -> Json:
    given = params.read(
        call.params,
        {**params.LIST, "type": params.text, "source": params.text, "currency": params.text, "payout": params.text},
    )
    where, values = lists.matching(given, "type", "source", "currency")
    listed = lists.page(call, "balance_transaction", given, where, values)
    listed["data"] = [_as_of_now(call.desk, body) for body in listed["data"]]
    return listed
