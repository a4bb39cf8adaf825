"""Whose keys stand in a text that was found somewhere. For the owner; the text goes nowhere, and no key is repeated."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Any, Literal, TypedDict

from sqlalchemy.engine import Connection

from core.domain.key_form import Seen, hash_of, seen_in
from core.orchestration.api_keys import shown
from core.orchestration.context import Core
from core.persistence.database import present
from core.persistence.queries import api_keys as rows

Match = Literal["key", "prefix", "mistyped", "other_secret", "unknown"]

SENTENCES: Mapping[Match, str] = {
    "key": "this is a key of this installation, whole: whoever has read the text can use it while it is active",
    "prefix": "the beginning of a key of this installation; its secret does not stand there",
    "mistyped": "the checksum does not hold: cut off, mistyped or made up; the id is one of this installation",
    "other_secret": "the checksum holds and the id is known, but this is not its secret: made up, or of a copy",
    "unknown": "no key of this installation has this id: it belongs to another one, or is made up",
}


class Identified(TypedDict):
    """`prefix` is what may be shown of the found text; `checksum` is None where no secret stands there."""

    prefix: str
    checksum: bool | None
    match: Match
    key: dict[str, Any] | None


def identify(core: Core, text: str) -> list[Identified]:
    """In the order of the text, each found text once. `core` is opened with the owner's address."""
    with core.database.unscoped() as connection:
        return [_identified(connection, one) for one in seen_in(text)]


def _identified(connection: Connection, seen: Seen) -> Identified:
    row = rows.whole(connection, seen.id)
    prefix = f"tg_{seen.kind}_{seen.id}"
    if row is None or row["prefix"] != prefix:
        return {"prefix": prefix, "checksum": seen.whole, "match": "unknown", "key": None}
    match: Match = "prefix"
    if seen.whole is not None:
        ours = hmac.compare_digest(bytes(row["secret_hash"]), hash_of(seen.text))
        match = ("key" if ours else "other_secret") if seen.whole else "mistyped"
    return {"prefix": prefix, "checksum": seen.whole, "match": match, "key": shown(row, present(connection))}
