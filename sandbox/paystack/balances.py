"""The balance: what payments left after fees, refunds, lost disputes and settlements, movement by movement."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any

from ..http import Call
from ..ledger import Json
from ..world import Desk
from . import money, params, times
from .domain import domain


def _movements(desk: Desk) -> list[tuple[float, str, int, str, str, int]]:
    """(when, currency, difference, reason, model, its number), oldest first."""
    found: list[tuple[float, str, int, str, str, int]] = []
    for one in _all(desk, "transaction"):
        if one["status"] in ("success", "reversed"):
            net = one["amount"] - money.fee(one["requested_amount"], one["currency"])
            found.append((one["paid"], one["currency"], net, "Successful charge", "Transaction", one["id"]))
    for one in _all(desk, "refund"):
        what = one["currency"], "Refund", one["id"]
        found.append((one["created"], what[0], -one["amount"], "Refund of a transaction", *what[1:]))
        if one["status"] == "failed":
            found.append((one["ended"] or one["created"], what[0], one["amount"], "Refund failed", *what[1:]))
    for one in _all(desk, "dispute"):
        if one["status"] == "resolved" and one["resolution"] != "declined":
            lost = -one["refund_amount"]
            found.append((one["resolved"], one["currency"], lost, "Dispute lost", "Dispute", one["id"]))
    for one in _all(desk, "settlement"):
        paid_out = -one["effective_amount"]
        found.append((one["created"], one["currency"], paid_out, "Settlement", "Settlement", one["id"]))
    return sorted(found, key=lambda movement: movement[0])


def _all(desk: Desk, kind: str) -> list[Json]:
    rows = desk.world.ledger.select(kind, "AND account = ?", (desk.account.id,))
    return [row.body for row in rows]


def balance(call: Call) -> Json:
    sums: dict[str, int] = defaultdict(int)
    for _, currency, difference, *_ in _movements(call.desk):
        sums[currency] += difference
    currencies = call.desk.account.options["currencies"]
    data = [{"currency": name, "balance": sums[name]} for name in currencies]
    return {"status": True, "message": "Balances retrieved", "data": data}


def ledger(call: Call) -> Json:
    """Newest first; `balance` is what there was after the movement."""
    desk, asked = call.desk, call.params
    sums: dict[str, int] = defaultdict(int)
    rows: list[Json] = []
    for number, (when, currency, difference, reason, model, row) in enumerate(_movements(desk), 1):
        sums[currency] += difference
        stamp = times.iso(when)
        rows.append(
            {
                "integration": int(desk.account.id),
                "domain": domain(desk),
                "balance": sums[currency],
                "currency": currency,
                "difference": difference,
                "reason": reason,
                "model_responsible": model,
                "model_row": row,
                "id": number,
                "createdAt": stamp,
                "updatedAt": stamp,
            }
        )
    rows = [row for row in reversed(rows) if _within(row, asked)]
    per_page, page = params.whole(asked.get("perPage"), 50, "perPage"), params.whole(asked.get("page"), 1, "page")
    skipped = (page - 1) * per_page
    meta = {
        "total": len(rows),
        "skipped": skipped,
        "perPage": per_page,
        "page": page,
        "pageCount": math.ceil(len(rows) / per_page),
    }
    data = rows[skipped : skipped + per_page]
    return {"status": True, "message": "Balance ledger retrieved", "data": data, "meta": meta}


def _within(row: Json, asked: dict[str, Any]) -> bool:
    # Stamps of one length and zone sort as text; a bare date is a beginning of one.
    after = not asked.get("from") or row["createdAt"] >= str(asked["from"])
    return after and (not asked.get("to") or row["createdAt"][: len(str(asked["to"]))] <= str(asked["to"]))
