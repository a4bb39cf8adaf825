"""Stripe's lists: newest first, cursors by id, `has_more`."""

from __future__ import annotations

import re
from typing import Any

from ..http import Call
from ..ledger import Json
from .errors import StripeError, missing
from .objects import expand, shown

_NEWEST_FIRST, _OLDEST_FIRST = "created DESC, seq DESC", "created, seq"
_COMPARISONS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}


def page(
    call: Call, kind: str, params: Json, where: str = "", values: tuple[Any, ...] = (), parents: list[str] | None = None
) -> Json:
    """One page of an account's objects of a kind, under the usual list parameters."""
    desk = call.desk
    limit = params.get("limit", 10)
    if limit > 100:
        raise StripeError(
            400, "This value must be less than or equal to 100.", code="parameter_invalid_integer", param="limit"
        )
    conditions, bound = ["AND account = ?"], list[Any]([desk.account.id])
    if parents is not None:
        # The plus keeps SQLite from reading all of the account's objects: parents have few.
        among = "= ?" if len(parents) == 1 else f"IN ({', '.join('?' * len(parents))})"
        conditions, bound = [f"AND +account = ? AND parent {among}"], [desk.account.id, *parents]
    if where:
        conditions.append(where)
        bound += values
    created, times = within("created", "created", params.get("created"))
    conditions.append(created)
    bound += times
    order = _NEWEST_FIRST
    for cursor, sign in (("starting_after", "<"), ("ending_before", ">")):
        if params.get(cursor):
            place = desk.world.ledger.place_of(desk.account.id, kind, params[cursor])
            if place is None:
                raise missing(kind.replace("_", " "), params[cursor], cursor)
            conditions.append(f"AND (created, seq) {sign} (?, ?)")
            bound += place
            order = _OLDEST_FIRST if sign == ">" else order
    rows = list(desk.world.ledger.select(kind, " ".join(conditions), tuple(bound), f"{order} LIMIT {limit + 1}"))
    data = [shown(desk, row.body) for row in rows[:limit]]
    if order == _OLDEST_FIRST:
        data.reverse()
    result = {"object": "list", "data": data, "has_more": len(rows) > limit, "url": call.raw.path}
    for path in params.get("expand") or []:
        expand(desk, result, path.split("."), path)
    return result


def matching(given: Json, *names: str) -> tuple[str, tuple[Any, ...]]:
    """The condition that the named parameters, where given, equal the fields of the same name."""
    wanted = {name: given[name] for name in names if given.get(name)}
    return "".join(f" AND json_extract(body, '$.{name}') = ?" for name in wanted), tuple(wanted.values())


def within(name: str, column: str, asked: Any) -> tuple[str, list[int]]:
    """The condition of a parameter that is a time, or a hash of `gt`, `gte`, `lt`, `lte`."""
    if asked is None:
        return "", []
    conditions, times = "", []
    for comparison, value in asked.items() if isinstance(asked, dict) else [("", asked)]:
        sign = _COMPARISONS.get(comparison) if comparison else "="
        if sign is None or not re.fullmatch(r"\d{1,12}", str(value)):
            param = f"{name}[{comparison}]" if comparison else name
            raise StripeError(400, f"Invalid integer: {value}", code="parameter_invalid_integer", param=param)
        conditions += f" AND {column} {sign} ?"
        times.append(int(value))
    return conditions, times
