"""Payouts: every midnight (UTC) what has become available is sent to the bank, a payout a currency."""

from __future__ import annotations

from collections import defaultdict

from .. import ids
from ..http import Call
from ..ledger import Json
from ..world import Desk
from . import events, lists, params
from .errors import missing
from .objects import expanded

DAY = 86400


def plan(desk: Desk, available_on: int) -> str:
    """The day on which money available then is paid out; balance transactions are filed under it."""
    midnight = available_on - available_on % DAY + DAY
    day = f"payout_day_{midnight}"
    if desk.get("payout_day", day) is None:
        desk.add("payout_day", {"id": day, "carried": []})
        desk.world.timers.add(desk.account.id, "pay_out", day, float(midnight))
    return day


def pay_out(desk: Desk, day: str) -> None:
    """What is below zero is carried to the next day on which something becomes available."""
    due: dict[str, list[Json]] = defaultdict(list)
    carried = desk.held("payout_day", day)["carried"]
    left: list[str] = []
    for filed in (day, *carried):
        for moved in desk.children("balance_transaction", filed):
            due[moved["currency"]].append(moved)
    for currency, moves in due.items():
        total = sum(moved["net"] for moved in moves)
        if total > 0:
            _send(desk, currency, total, moves)
        else:
            left = [day, *carried]
    if left:
        _carry(desk, day, left)


def _carry(desk: Desk, day: str, left: list[str]) -> None:
    following = desk.held("payout_day", plan(desk, int(day.rpartition("_")[2])))
    following["carried"] = sorted({*following["carried"], *left})
    desk.save("payout_day", following)


def _send(desk: Desk, currency: str, amount: int, moves: list[Json]) -> None:
    payout = _new(desk, currency, amount)
    desk.add("payout", payout)
    payout["balance_transaction"] = _book(desk, payout, "payout", -amount, payout["id"])
    desk.save("payout", payout)
    for moved in moves:
        # Filed under its payout from now on, no later day finds it again.
        desk.world.ledger.move(desk.account.id, "balance_transaction", moved["id"], payout["id"])
    events.emit(desk, "payout.created", payout)
    desk.later("payout_arrives", payout["id"], DAY)


def _new(desk: Desk, currency: str, amount: int) -> Json:
    moment = desk.world.timers.moment or desk.now
    return {
        "id": ids.fresh("po_1"),
        "object": "payout",
        "amount": amount,
        "application_fee": None,
        "application_fee_amount": None,
        "arrival_date": int(moment) + DAY,
        "automatic": True,
        "balance_transaction": None,
        "created": desk.now,
        "currency": currency,
        "description": "STRIPE PAYOUT",
        "destination": "ba_1" + ids.derived(desk.account.id + currency, 23),
        "failure_balance_transaction": None,
        "failure_code": None,
        "failure_message": None,
        "livemode": False,
        "metadata": {},
        "method": "standard",
        "original_payout": None,
        "payout_method": None,
        "reconciliation_status": "in_progress",
        "reversed_by": None,
        "source_type": "card",
        "statement_descriptor": None,
        "status": "in_transit",
        "trace_id": {"status": "pending", "value": None},
        "type": "bank_account",
    }


def _book(desk: Desk, payout: Json, type: str, amount: int, filed: str) -> str:
    """The movement of the payout itself. One that came back is paid out again with a later day's money."""
    now = desk.now
    body: Json = {
        "id": ids.fresh("txn_1"),
        "object": "balance_transaction",
        "amount": amount,
        "available_on": now,
        "balance_type": "payments",
        "created": now,
        "currency": payout["currency"],
        "description": payout["description"],
        "exchange_rate": None,
        "fee": 0,
        "fee_details": [],
        "net": amount,
        "reporting_category": "payout" if type == "payout" else "payout_reversal",
        "source": payout["id"],
        "status": "available",
        "type": type,
    }
    return str(desk.add("balance_transaction", body, parent=filed)["id"])


def arrive(desk: Desk, payout_id: str) -> None:
    payout = desk.held("payout", payout_id)
    if desk.account.options.get("payouts_fail"):
        _fail(desk, payout)
        return
    payout |= {"status": "paid", "trace_id": {"status": "supported", "value": ids.derived(payout_id, 15)}}
    desk.save("payout", payout)
    events.emit(desk, "payout.paid", payout)
    desk.later("reconcile_payout", payout_id)


def _fail(desk: Desk, payout: Json) -> None:
    """The bank sends it back: the money is in the balance again."""
    filed = plan(desk, desk.now)
    payout |= {
        "status": "failed",
        "failure_code": "account_closed",
        "failure_message": "The bank account has been closed.",
        "failure_balance_transaction": _book(desk, payout, "payout_failure", payout["amount"], filed),
    }
    desk.save("payout", payout)
    events.emit(desk, "payout.failed", payout)


def reconcile(desk: Desk, payout_id: str) -> None:
    """From now on Stripe says which movements the payout is made of."""
    payout = desk.held("payout", payout_id)
    payout["reconciliation_status"] = "completed"
    desk.save("payout", payout)
    events.emit(desk, "payout.reconciliation_completed", payout)


def retrieve(call: Call) -> Json:
    given = params.read(call.params, {"expand": params.texts})
    payout = call.desk.get("payout", call.args[0])
    if payout is None:
        raise missing("payout", call.args[0], "id")
    return expanded(call.desk, payout, given.get("expand"))


def list_payouts(call: Call) -> Json:
    spec = {**params.LIST, "arrival_date": params.anything, "destination": params.text, "status": params.text}
    given = params.read(call.params, spec)
    where, values = lists.matching(given, "status", "destination")
    arrival, bound = lists.within("arrival_date", "json_extract(body, '$.arrival_date')", given.get("arrival_date"))
    return lists.page(call, "payout", given, where + arrival, (*values, *bound))
