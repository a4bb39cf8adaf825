"""Paystack's lists: pages by number, newest first, with their sums in `meta`."""

from __future__ import annotations

import math
from typing import Any

from ..http import Call
from ..ledger import Json
from . import params, times
from .errors import invalid


def rows(call: Call, kind: str, where: str, values: list[Any]) -> tuple[list[Json], Json]:
    """One page of bodies and the `meta` that goes with it."""
    asked = call.params
    per_page = min(params.whole(asked.get("perPage"), 50, "perPage"), 1000)
    page = params.whole(asked.get("page"), 1, "page")
    condition, bound = "AND account = ? " + where, [call.desk.account.id, *values]
    for name, sign in (("from", ">="), ("to", "<=")):
        if asked.get(name):
            condition += f" AND created {sign} ?"
            bound.append(_moment(asked[name], name))
    ledger = call.desk.world.ledger
    total = ledger.count(kind, condition, tuple(bound))
    skipped = (page - 1) * per_page
    found = ledger.select(kind, condition, tuple(bound), f"created DESC, seq DESC LIMIT {per_page} OFFSET {skipped}")
    meta = {
        "total": total,
        "skipped": skipped,
        "perPage": per_page,
        "page": page,
        "pageCount": math.ceil(total / per_page),
    }
    return [row.body for row in found], meta


def _moment(value: str, name: str) -> float:
    try:
        return times.seconds(value)
    except ValueError as error:
        raise invalid(f"{name} must be a date such as 2026-11-23T00:00:00.000Z") from error
