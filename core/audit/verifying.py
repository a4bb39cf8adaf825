"""Is the log what was sealed? Every record is hashed again, every seal checked, the last compared with its anchor."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from core.audit import seals
from core.audit.differences import Differences, Tampering
from core.audit.heads import Head
from core.audit.seals import Seal
from core.audit.signing import is_signed
from core.persistence.database import Database
from core.persistence.queries import audit as rows

#: Records looked at in one go: some 15 MB, whatever the log's length.
BATCH = 20_000


class Archive(Protocol):
    """Months that are not in the database any more; see `core.audit.exports`."""

    def records(self, low: int, high: int) -> Iterable[rows.Record]:
        """Those numbered above `low` and up to `high`; asked in rising order."""


@dataclass(frozen=True, slots=True)
class Verified:
    """`unsealed` records wait for their first seal. Without `tamperings` all that was sealed is as it was."""

    records: int
    seals: int
    unsealed: int
    unsealed_for: float
    tamperings: Sequence[Tampering]
    notes: Sequence[str]


def verify(
    database: Database,
    keys: Collection[bytes],
    head: Head | None,
    *,
    archives: Sequence[Archive] = (),
    since: datetime | None = None,
    progress: Callable[[int], None] = lambda count: None,
) -> Verified:
    """`keys` are public keys known from outside the database; `head` what is anchored there. Raises SQLAlchemyError.

    With `since` the records of older seals are not read; the seals themselves always are.
    """
    with database.unscoped() as connection:
        home = rows.installation(connection)
    chain = Chain(seals.beginning(home), frozenset(keys), head)
    if head is not None and head.installation != home:
        chain.notes.append("the anchor is of another installation")
    differences = Differences()
    read = count = 0
    while batch := _next_seals(database, chain.number):
        due = [one for one in batch if chain.follows(one) and (since is None or one.sealed_at >= since)]
        for part in _covering_alike(due):
            count += _compare(database, part, archives, differences)
            progress(count)
        read += len(batch)
    with database.unscoped() as connection:
        unsealed, waited = rows.unsealed(connection, chain.to_number), seals.age(connection)
    chain.end()
    found = [*chain.tamperings, *differences.tamperings()]
    return Verified(count, read, unsealed, waited, found, chain.notes)


def _next_seals(database: Database, after: int) -> list[Seal]:
    with database.unscoped() as connection:
        return [seals.read(row) for row in rows.seals(connection, after, BATCH)]


def _covering_alike(due: Sequence[Seal]) -> Iterable[list[Seal]]:
    """Runs of seals that cover records without a gap, in one form."""
    run: list[Seal] = []
    for one in due:
        if run and (one.from_number != run[-1].to_number or one.form != run[-1].form):
            yield run
            run = []
        run.append(one)
    if run:
        yield run


def _compare(database: Database, run: Sequence[Seal], archives: Sequence[Archive], differences: Differences) -> int:
    sealed = b"".join(one.leaves for one in run)
    for last_try in (False, True):
        # What differs is read again: a month may have been taken off the table between two statements.
        actual = _read(database, run, archives if last_try else ())
        if seals.pack(actual) == sealed:
            differences.all_there()
            return len(actual)
    differences.compare([leaf for one in run for leaf in one.leaf_list()], actual)
    return len(actual)


def _read(database: Database, run: Sequence[Seal], archives: Sequence[Archive]) -> list[seals.Leaf]:
    low, high, form = run[0].from_number, run[-1].to_number, run[0].form
    if run[0].number == 1:  # numbers begin with 1: what is below was put in by hand
        low = rows.LOWEST
    with database.unscoped() as connection:
        tables = rows.sources(connection)
        found = [rows.records(connection, low, high, form, table=table) for table in tables]
    leaves = [leaf for part in found for leaf in seals.leaves_of(part)]
    known = {number for number, _ in leaves} if archives else set()
    for archive in archives:
        leaves += [leaf for leaf in seals.leaves_of(archive.records(low, high)) if leaf[0] not in known]
    if len(tables) > 1 or archives:
        leaves.sort()
    return leaves


@dataclass
class Chain:
    """The seals in their order, and what speaks against them."""

    previous: bytes
    keys: frozenset[bytes]
    head: Head | None
    number: int = 0
    to_number: int = 0
    tamperings: list[Tampering] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    _signed_by: bytes = b""
    _left: set[bytes] = field(default_factory=set)
    #: The first seal behind the last one that a known key has signed.
    _unvouched: Seal | None = None
    _at_head: bytes | None = None

    def follows(self, seal: Seal) -> bool:
        """Take the next one; True if its records can be compared with it."""
        fault = self._fault(seal)
        if fault is not None:
            self.tamperings.append(Tampering("forged_seal", f"seal {seal.number} {fault}", seal.number))
        elif seal.number != self.number + 1:
            which = f"seal {self.number + 1}" + (f" to {seal.number - 1}" if seal.number > self.number + 2 else "")
            self.tamperings.append(Tampering("missing_seal", f"{which} is missing", self.number + 1))
        elif seal.previous != self.previous or seal.from_number != self.to_number:
            what = f"seal {seal.number} does not follow on the one before it"
            self.tamperings.append(Tampering("forged_seal", what, seal.number))
        if self.head is not None and seal.number == self.head.number:
            self._at_head = seal.hash
        self.previous, self.number, self.to_number = seal.hash, seal.number, seal.to_number
        return fault is None

    def _fault(self, seal: Seal) -> str | None:
        if seal.form not in rows.FORMS:
            return f"is of form {seal.form}, which this program does not know"
        if seal.own_hash() != seal.hash:
            return "does not have the hash of what it says"
        if not is_signed(seal.public_key, seal.signature, seal.hash):
            return "has a signature that its key did not make"
        if len(seal.leaves) != 40 * seal.records:
            return "holds another number of hashes than it says"
        return self._keys(seal)

    def _keys(self, seal: Seal) -> str | None:
        """A key that is not known is vouched for by the next seal that a known one signed, since that is over this."""
        if seal.public_key in self.keys:
            self._unvouched = None
        elif self._unvouched is None:
            self._unvouched = seal
        if seal.public_key != self._signed_by:
            self._left.add(self._signed_by)
            self._signed_by = seal.public_key
        return "is signed with a key that another had taken over from" if seal.public_key in self._left else None

    def end(self) -> None:
        if not self.keys:
            self.notes.append("no public key is known from outside the database: whoever signed may be anybody")
        elif self._unvouched is not None:
            one = self._unvouched
            what = f"seal {one.number} and what follows are signed with a key that is not ours: {one.public_key.hex()}"
            self.tamperings.append(Tampering("forged_seal", what, one.number))
        if self.head is None:
            self.notes.append("no anchor is at hand: a log that was cut together with its seals would not be noticed")
        elif self.head.number > self.number:
            what = (
                f"the seals end at {self.number}, and the anchor has seen seal {self.head.number}: the log was cut, or "
                "this is an older copy of the database"
            )
            self.tamperings.append(Tampering("cut_tail", what, self.number + 1))
        elif self._at_head is not None and self._at_head != self.head.hash:
            what = f"seal {self.head.number} is another than the anchor has seen: it and what follows were made anew"
            self.tamperings.append(Tampering("forged_seal", what, self.head.number))
