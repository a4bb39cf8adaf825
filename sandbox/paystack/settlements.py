"""Settlements: every midnight (UTC), what was paid before it goes to the merchant's bank, less fees and deductions."""

from __future__ import annotations

from typing import Any

from ..http import Call
from ..ledger import Json
from ..world import Desk
from . import lists, money, times
from .domain import domain
from .errors import not_found
from .transaction_object import shown

DAY = 86400
FIRST_ID = 3_090_000
# From the making of a settlement to its arrival at the merchant's bank.
ARRIVES_AFTER = 3600


def expect(desk: Desk) -> None:
    """Something to settle happened: the next midnight will look at it."""
    midnight = (desk.now // DAY + 1) * DAY
    if desk.get("settlement_day", str(midnight)) is None:
        desk.add("settlement_day", {"id": midnight})
        desk.later("settle", str(midnight), midnight - desk.moment)


def settle(desk: Desk, midnight: str) -> None:
    for currency in desk.account.options["currencies"]:
        _settle_currency(desk, currency, int(midnight))


def _settle_currency(desk: Desk, currency: str, midnight: int) -> None:
    paid = _due(desk, "transaction", currency, "settlement", "paid", midnight, ("success", "reversed"))
    gross = sum(one["amount"] for one in paid)
    fees = sum(money.fee(one["requested_amount"], currency) for one in paid)
    owed = [
        *(("refund", one) for one in _due(desk, "refund", currency, "settled", "refunded", midnight, ("processed",))),
        *(("dispute", one) for one in _lost(desk, currency, midnight)),
    ]
    if not paid:
        return  # what is owed waits for the next payment
    number = FIRST_ID + desk.world.ledger.next_number()
    deductions = _deduct(desk, owed, gross - fees, number)
    body: Json = {
        "id": number,
        "status": "processing",
        "currency": currency,
        "total_amount": gross - fees,
        "effective_amount": gross - fees - deductions,
        "total_fees": fees,
        "total_processed": gross,
        "deductions": deductions,
        "settlement_date": midnight,
        "created": midnight,
    }
    desk.add("settlement", body)
    for one in paid:
        one["settlement"] = number
        desk.save("transaction", one)
    desk.later("settlement_arrives", str(number), ARRIVES_AFTER)


def _due(
    desk: Desk, kind: str, currency: str, mark: str, when: str, midnight: int, statuses: tuple[str, ...]
) -> list[Json]:
    """Objects of these statuses that happened before midnight and are not settled (in full) yet."""
    places = ", ".join("?" * len(statuses))
    where = (
        f"AND account = ? AND json_extract(body, '$.{mark}') IS NULL AND json_extract(body, '$.{when}') < ?"
        f" AND json_extract(body, '$.currency') = ? AND json_extract(body, '$.status') IN ({places})"
    )
    found = desk.world.ledger.select(kind, where, (desk.account.id, midnight, currency, *statuses))
    return [row.body for row in found]


def _lost(desk: Desk, currency: str, midnight: int) -> list[Json]:
    ended = _due(desk, "dispute", currency, "settled", "resolved", midnight, ("resolved",))
    return [one for one in ended if one["resolution"] != "declined"]


def _deduct(desk: Desk, owed: list[tuple[str, Json]], left: int, number: int) -> int:
    """Takes what is owed out of a settlement, oldest first; what does not fit stays for the next."""
    taken = 0
    for kind, one in owed:
        whole = one["refund_amount"] if kind == "dispute" else one["amount"]
        part = min(whole - one["deducted"], left - taken)
        one["deducted"] += part
        taken += part
        if one["deducted"] == whole:
            one["settled"] = number
        desk.save(kind, one)
    return taken


def arrive(desk: Desk, number: str) -> None:
    body = desk.held("settlement", number)
    body["status"] = "success"
    desk.save("settlement", body)


def _shown(desk: Desk, body: Json) -> Json:
    stamp = times.iso(body["created"])
    return {
        "id": body["id"],
        "domain": domain(desk),
        "status": body["status"],
        "currency": body["currency"],
        "integration": int(desk.account.id),
        "total_amount": body["total_amount"],
        "effective_amount": body["effective_amount"],
        "total_fees": body["total_fees"],
        "total_processed": body["total_processed"],
        "deductions": body["deductions"] or None,
        "settlement_date": times.iso(body["settlement_date"]),
        "settled_by": None,
        "createdAt": stamp,
        "updatedAt": stamp,
    }


def list_settlements(call: Call) -> Json:
    where, values = lists.narrowed(call, {"status": "status"})
    bodies, meta = lists.rows(call, "settlement", where, values)
    data = [_shown(call.desk, body) for body in bodies]
    return {"status": True, "message": "Settlements retrieved", "data": data, "meta": meta}


def list_transactions(call: Call) -> Json:
    settlement = call.desk.get("settlement", call.args[0])
    if settlement is None:
        raise not_found("Settlement not found")
    values: list[Any] = [settlement["id"]]
    bodies, meta = lists.rows(call, "transaction", " AND json_extract(body, '$.settlement') = ?", values)
    data = [shown(call.desk, body) for body in bodies]
    return {"status": True, "message": "Transactions retrieved", "data": data, "meta": meta}
