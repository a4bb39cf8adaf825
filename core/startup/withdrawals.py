"""Ended API keys and disabled administrators in the anchor file, by id and day: no backup opens to them again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

from core.startup import anchor
from core.startup.anchor import AnchorUnusable

_FIELD, _DAYS, _READ = "withdrawn", "days", "read"
_KEYS, _PEOPLE = "keys", "administrators"


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """What was taken away at `at`: a key's or an administrator's id. A key may work on until `ends`.

    With `given_back` an administrator was let in again.
    """

    kind: Literal["key", "administrator"]
    subject: str
    at: datetime
    ends: datetime | None = None
    given_back: bool = False


@dataclass(frozen=True, slots=True)
class Progress:
    """Up to which number the audit log was read, of a database that was last let go on at `resumed_at`."""

    number: int = 0
    resumed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """All that the file holds: from when on each key is refused, and who may not come in."""

    keys: Mapping[str, datetime]
    administrators: frozenset[UUID]
    read: Progress


def known(path: Path) -> Known:
    """Raises AnchorUnusable."""
    try:
        days, read = _content(anchor.fields(path) or {})
        keys = {key: datetime.fromisoformat(ends) for day in days.values() for key, ends in day[_KEYS].items()}
        people = frozenset(UUID(one) for day in days.values() for one in day[_PEOPLE])
        return Known(keys, people, read)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise _damaged(path, error) from None


def add(path: Path, withdrawals: Iterable[Withdrawal], oldest: date = date.min, read: Progress | None = None) -> int:
    """Write them down in their order, and drop days before `oldest`; returns how many changed something.

    `read` says how far the log has been read for them. Raises AnchorUnusable when it could not be written.
    """
    wanted = list(withdrawals)
    changed = 0

    def change(fields: Mapping[str, Any]) -> Mapping[str, Any] | None:
        nonlocal changed
        kept, before = _content(fields)
        fresh = {
            day: {_KEYS: dict(found[_KEYS]), _PEOPLE: list(found[_PEOPLE])}
            for day, found in kept.items()
            if date.fromisoformat(day) >= oldest
        }
        for one in wanted:
            changed += _put(fresh, one)
        fresh = {day: found for day, found in fresh.items() if found[_KEYS] or found[_PEOPLE]}
        if fresh == kept and read in (None, before):
            return None
        told = read or before
        resumed = None if told.resumed_at is None else told.resumed_at.isoformat()
        return {**fields, _FIELD: {_DAYS: fresh, _READ: {"to": told.number, "resumed_at": resumed}}}

    try:
        anchor.change(path, change)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise _damaged(path, error) from None
    return changed


def _put(days: dict[str, dict[str, Any]], one: Withdrawal) -> bool:
    """False if it was known: an end is only moved to earlier, and the newest word about a person holds."""
    own: dict[str, Any] = {_KEYS: {}, _PEOPLE: []}
    if one.kind == "key":
        ends = one.ends or one.at
        holding = next((day for day in days.values() if one.subject in day[_KEYS]), None)
        if holding is not None:
            if datetime.fromisoformat(holding[_KEYS][one.subject]) <= ends:
                return False
            del holding[_KEYS][one.subject]
        days.setdefault(one.at.date().isoformat(), own)[_KEYS][one.subject] = ends.isoformat()
        return True
    holding = next((day for day in days.values() if one.subject in day[_PEOPLE]), None)
    if (holding is not None) != one.given_back:
        return False
    if holding is not None:
        holding[_PEOPLE].remove(one.subject)
    else:
        days.setdefault(one.at.date().isoformat(), own)[_PEOPLE].append(one.subject)
    return True


def _content(fields: Mapping[str, Any]) -> tuple[dict[str, dict[str, Any]], Progress]:
    """What is kept by the day, and how far the log was read. Raises what a damaged file makes it raise."""
    found = fields.get(_FIELD, {})
    told = found.get(_READ) or {}
    resumed = told.get("resumed_at")
    read = Progress(int(told.get("to", 0)), None if resumed is None else datetime.fromisoformat(resumed))
    days = {day: {_KEYS: dict(one[_KEYS]), _PEOPLE: list(one[_PEOPLE])} for day, one in found.get(_DAYS, {}).items()}
    return days, read


def _damaged(path: Path, error: Exception) -> AnchorUnusable:
    if isinstance(error, AnchorUnusable):
        return error
    return AnchorUnusable(f"{path}: the list of ended keys and people is damaged; put a copy of the file in its place")
