"""Sealing what was committed, off the hot path: nobody who writes records waits for it.

Numbers are drawn before a record can be seen, and transactions commit in another order: a record with a lower number
may come after one with a higher. Who inserts into the log holds a lock on it (`ROW EXCLUSIVE`, which hinders nobody)
from before the number is drawn until after its commit can be seen. So the last number that was drawn is read first,
then who holds that lock; once these have ended, no record up to that number can come any more.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy.engine import Connection

from core.audit import seals
from core.audit.seals import Seal
from core.audit.signing import Signer
from core.persistence.database import Database, present
from core.persistence.queries import audit as rows
from core.points import reached

#: As the points name it, which are else of jobs.
KIND = "seal"
#: Records under one seal, 40 bytes of it each: what is read, hashed and written in a fraction of a second.
MOST = 10_000
#: Seconds a run waits for those who write; Postgres ends ours after 15 idle ones, and the next run tries again.
PATIENCE = 4.0
#: Seconds a run goes on sealing; the rest is left to the next.
LONGEST_RUN = 8.0
_LOOK_AGAIN = 0.02


@dataclass(frozen=True, slots=True)
class Sealed:
    """What a run did; `head` is the newest seal there is. `waits` where writers held it up."""

    seals: int
    records: int
    head: Seal | None
    waits: bool = False


@dataclass(frozen=True, slots=True)
class Keys:
    """Who signs, the public keys on whose seals it goes on, and those that were anchored."""

    signer: Signer
    known: frozenset[bytes]
    anchored: frozenset[bytes] = frozenset()


class ChainBroken(Exception):
    """The newest seal is none of ours: one more on top of it would vouch for it."""


class KeyLeft(Exception):
    """Another key has taken over from ours: this process has not heard of the new one yet."""


def seal(
    database: Database,
    signer: Signer,
    known: Collection[bytes] = (),
    anchored: Collection[bytes] = (),
    most: int = MOST,
) -> Sealed:
    """Seal all that no earlier record can join any more; of several at once one does.

    `known` are public keys that may have signed the newest seal, beside the signer's. One of `anchored` may be newer
    than ours; but whoever can write to the database and the anchor could have put it there, so nothing is sealed on
    it. Raises ChainBroken, KeyLeft and SQLAlchemyError.
    """
    keys = Keys(signer, frozenset({signer.public_key, *known}), frozenset(anchored))
    upto = settled_number(database, PATIENCE)
    if upto is None:
        with database.unscoped() as connection:
            return Sealed(0, 0, _last(connection, keys), waits=True)
    end = time.monotonic() + LONGEST_RUN
    made = count = 0
    while True:
        done, head = _seal_next(database, keys, upto, most)
        if done:
            made, count = made + 1, count + done
        if done < most or time.monotonic() > end:
            return Sealed(made, count, head)


def settled_number(database: Database, patience: float) -> int | None:
    """A number up to which every record is committed or never comes; None if one was written for longer than that."""
    with database.glance() as connection:
        drawn = rows.last_number(connection)
    with database.glance() as connection:
        writing = rows.writers(connection)
    end = time.monotonic() + patience
    while writing:
        if time.monotonic() > end:
            return None
        time.sleep(_LOOK_AGAIN)
        with database.glance() as connection:
            writing &= rows.writers(connection)
    return drawn


def _last(connection: Connection, keys: Keys) -> Seal | None:
    """Raises ChainBroken, KeyLeft."""
    found = seals.last(connection)
    if found is not None and found.public_key in keys.anchored - keys.known:
        _refuse_left(connection, keys.signer)
    if found is not None and (found.public_key not in keys.known or not found.is_whole()):
        raise ChainBroken(f"seal {found.number} was not made with a key of this installation; nothing is sealed on it")
    return found


def _refuse_left(connection: Connection, signer: Signer) -> None:
    """While a new key is brought to one worker after the other, the old one must not sign behind it. Raises KeyLeft."""
    if rows.has_signed(connection, signer.public_key):
        raise KeyLeft("the newest seal is signed with a newer key than this process has")


def _seal_next(database: Database, keys: Keys, upto: int, most: int) -> tuple[int, Seal | None]:
    """One seal over the next records up to a settled number: how many it covers, and the newest seal there is then."""
    signer = keys.signer
    with database.unscoped() as connection:
        if not rows.become_sealer(connection):
            return 0, _last(connection, keys)
        before = _last(connection, keys)
        if before is not None and before.public_key != signer.public_key:
            _refuse_left(connection, signer)
        low = 0 if before is None else before.to_number
        found = rows.records(connection, low, upto, rows.FORM, most=most)
        if not found:
            return 0, before
        to_number = found[-1][0] if len(found) == most else upto
        start = seals.beginning(rows.installation(connection))
        made = seals.make(before, start, list(seals.leaves_of(found)), to_number, present(connection), signer)
        rows.insert_seal(connection, seals.values(made))
        reached("seal.written", KIND)
    reached("seal.committed", KIND)
    return len(found), made
