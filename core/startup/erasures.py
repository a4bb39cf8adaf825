"""The erasures in the anchor file: ids alone, by the day, so that a restored backup does not bring anybody back."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from core.startup import anchor
from core.startup.anchor import AnchorUnusable

_FIELD = "erasures"
#: Characters of an id: 16 bytes in base64 without padding.
_WIDTH = 22


@dataclass(frozen=True, slots=True)
class Erasure:
    """Whose data was destroyed, and when."""

    merchant_id: UUID
    mode: str
    customer_id: UUID
    erased_at: datetime


def known(path: Path) -> dict[tuple[UUID, str], set[UUID]]:
    """Customers by merchant and mode. Raises AnchorUnusable."""
    found: dict[tuple[UUID, str], set[UUID]] = {}
    for owners in _days(anchor.fields(path) or {}, path).values():
        for owner, packed in owners.items():
            merchant, _, mode = owner.partition(".")
            found.setdefault((UUID(merchant), mode), set()).update(_unpack(packed, path))
    return found


def add(path: Path, erasures: Iterable[Erasure], days: int, now: datetime) -> int:
    """Write down those that are not there yet, and drop days older than `days`; returns how many were new.

    A year of a hundred erasures a day is 0.8 MB. Raises AnchorUnusable when it could not be written.
    """
    wanted = list(erasures)
    added = 0

    def change(fields: Mapping[str, Any]) -> Mapping[str, Any] | None:
        nonlocal added
        kept = _days(fields, path)
        last = (now - timedelta(days=days)).date()
        fresh = {day: dict(owners) for day, owners in kept.items() if date.fromisoformat(day) >= last}
        there = {one for owners in fresh.values() for packed in owners.values() for one in _unpack(packed, path)}
        for one in wanted:
            if one.customer_id in there:
                continue
            owners = fresh.setdefault(one.erased_at.date().isoformat(), {})
            owner = f"{one.merchant_id}.{one.mode}"
            owners[owner] = owners.get(owner, "") + _pack(one.customer_id)
            there.add(one.customer_id)
            added += 1
        return None if fresh == kept else {**fields, _FIELD: fresh}

    anchor.change(path, change)
    return added


def _days(fields: Mapping[str, Any], path: Path) -> dict[str, dict[str, str]]:
    found = fields.get(_FIELD, {})
    if not isinstance(found, dict) or not all(isinstance(one, dict) for one in found.values()):
        raise AnchorUnusable(f"{path}: the list of erasures is damaged; put a copy of the file in its place")
    return found


def _pack(one: UUID) -> str:
    return base64.urlsafe_b64encode(one.bytes).decode().rstrip("=")


def _unpack(packed: str, path: Path) -> list[UUID]:
    try:
        parts = [packed[at : at + _WIDTH] for at in range(0, len(packed), _WIDTH)]
        return [UUID(bytes=base64.urlsafe_b64decode(f"{part}==")) for part in parts]
    except (ValueError, TypeError):
        raise AnchorUnusable(f"{path}: the list of erasures is damaged; put a copy of the file in its place") from None
