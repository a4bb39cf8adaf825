"""Seals that were anchored and then left: each has to be in the log still, or be told of by who went on without it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from core.audit.differences import Tampering
from core.audit.heads import Head
from core.persistence.database import Database
from core.persistence.queries import audit as rows


@dataclass(frozen=True, slots=True)
class Fork:
    """A person let the database go on behind an anchored seal. `note` says who, and in which record."""

    note: str


def look(database: Database, left: Collection[Head]) -> Iterator[Fork | Tampering]:
    """What became of each seal that the anchor was made to leave. The owner's: a person's record may be of any month.

    Whoever can write to the database can make it seem let go on, and the anchor then follows it: the seals it had kept
    are what is left to show that a log was cut.
    """
    with database.unscoped() as connection:
        home = rows.installation(connection)
        gone = [one for one in left if one.installation == home and rows.seal_hash(connection, one.number) != one.hash]
        resumed = rows.resumed(connection) if gone else []
    for one in gone:
        record = next((row for row in resumed if _goes_on_from(row) < one.number), None)
        if record is None:
            what = (
                f"seal {one.number} was anchored and is gone, and no record says who let the database go on without "
                "it: the log was cut"
            )
            yield Tampering("cut_tail", what, one.number)
        else:
            yield Fork(
                f"seal {one.number} was anchored and is gone: {record['actor']} let an older copy of the database go "
                f"on, says record {record['number']} of {record['created_at']:%Y-%m-%d %H:%M} UTC. Nobody but they "
                "can say whether that is true"
            )


def _goes_on_from(record: Any) -> int:
    """The newest seal that the older copy had; 0 if it had none."""
    told = (record["details"] or {}).get("goes_on_from_seal") or {}
    return int(told.get("number", 0))
