"""Stripe's lists: newest first, cursors by id, `has_more`."""

from __future__ import annotations

import re
from typing import Any

from ..http import Call
from ..ledger import Json
from .errors import StripeError, missing
from .objects import _expand, public

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
    for condition, value in _created(params.get("created")):
        conditions.append(condition)
        bound.append(value)
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
    data = [public(row.body) for row in rows[:limit]]
    if order == _OLDEST_FIRST:
        data.reverse()
    result = {"object": "list", "data": data, "has_more": len(rows) > limit, "url": call.raw.path}
    for path in params.get("expand") or []:
        _expand(desk, result, path.split("."), path)
    return result


def matching(given: Json, *names: str) -> tuple[str, tuple[Any, ...]]:
    """The condition that the named parameters, where given, equal the fields of the same name."""
    wanted = {name: given[name] for name in names if given.get(name)}
    return "".join(f" AND json_extract(body, '$.{name}') = ?" for name in wanted), tuple(wanted.values())


def _created(asked: Any) -> list[tuple[str, int]]:
    if asked is None:
        return []
    if isinstance(asked, str):
        asked = {"": asked}
    conditions = []
    for name, value in asked.items():
        sign = _COMPARISONS.get(name) if name else "="
        if sign is None or not re.fullmatch(r"\d{1,12}", str(value)):
            raise StripeError(
                400, f"Invalid integer: {value}", code="parameter_invalid_integer", param=f"created[{name}]"
            )
        conditions.append((f"AND created {sign} ?", int(value)))
    return conditions
