"""Paystack's lists: newest first, by page number with sums in `meta`, or by cursor."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Mapping
from typing import Any

from ..http import Call
from ..ledger import Json
from . import params, times
from .errors import invalid


def narrowed(call: Call, filters: Mapping[str, str]) -> tuple[str, list[Any]]:
    """A condition for those of `filters` (parameter: where the body keeps it) that were asked for."""
    where, values = "", list[Any]()
    for name, path in filters.items():
        if call.params.get(name):
            where += f" AND CAST(json_extract(body, '$.{path}') AS TEXT) = ?"
            values.append(str(call.params[name]))
    return where, values


def between(call: Call, where: str, values: list[Any]) -> tuple[str, list[Any]]:
    """The account's own, made from `from` to `to`."""
    condition, bound = "AND account = ? " + where, [call.desk.account.id, *values]
    for name, sign in (("from", ">="), ("to", "<=")):
        if call.params.get(name):
            condition += f" AND created {sign} ?"
            bound.append(_moment(call.params[name], name))
    return condition, bound


def rows(call: Call, kind: str, where: str, values: list[Any]) -> tuple[list[Json], Json]:
    """One page of bodies and the `meta` that goes with it."""
    asked = call.params
    per_page = min(params.whole(asked.get("perPage") or asked.get("per_page"), 50, "perPage"), 1000)
    condition, bound = between(call, where, values)
    if str(asked.get("use_cursor", "")).lower() == "true":
        return _by_cursor(call, kind, condition, bound, per_page)
    page = params.whole(asked.get("page"), 1, "page")
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


def _by_cursor(call: Call, kind: str, condition: str, bound: list[Any], per_page: int) -> tuple[list[Json], Json]:
    """`next` and `previous` name the last and first row seen; a cursor is good for the list that gave it."""
    back = bool(call.params.get("previous")) and not call.params.get("next")
    cursor = call.params.get("previous") if back else call.params.get("next")
    if cursor:
        condition += f" AND seq {'>' if back else '<'} ?"
        bound.append(_read_cursor(str(cursor)))
    order = "seq" if back else "seq DESC"
    # One more than asked for tells whether there is a next page.
    found = list(call.desk.world.ledger.select(kind, condition, tuple(bound), f"{order} LIMIT {per_page + 1}"))
    more, found = len(found) > per_page, found[:per_page]
    if back:
        found.reverse()
    meta: Json = {"next": None, "previous": None, "perPage": per_page}
    if found and (more or back):
        meta["next"] = _cursor(found[-1].seq)
    if found and (more if back else bool(cursor)):
        meta["previous"] = _cursor(found[0].seq)
    return [row.body for row in found], meta


def _cursor(seq: int) -> str:
    return base64.b64encode(f"undefined:{seq}".encode()).decode()


def _read_cursor(text: str) -> int:
    try:
        return int(base64.b64decode(text, validate=True).decode().rpartition(":")[2])
    except (binascii.Error, ValueError) as error:
        raise invalid("Invalid cursor passed", "Pass next or previous as the list before gave it") from error


def _moment(value: str, name: str) -> float:
    try:
        return times.seconds(value)
    except ValueError as error:
        raise invalid(f"{name} must be a date such as 2026-11-23T00:00:00.000Z") from error
