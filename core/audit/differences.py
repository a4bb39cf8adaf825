"""What differs between the records that were sealed and those that are there, and what that says was done to them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from core.audit.seals import Leaf

Kind = Literal["changed", "removed", "inserted", "reordered", "cut_tail", "forged_seal", "missing_seal"]

#: Of each kind so many are kept apart; the rest is counted, so that a log that was emptied fills no memory.
KEPT = 5_000
#: Records or runs of them told of each kind.
TOLD = 20


@dataclass(frozen=True, slots=True)
class Tampering:
    """`number` is of the first record, or of the seal where it is about one; `count` how many records."""

    kind: Kind
    what: str
    number: int
    count: int = 1


@dataclass
class Differences:
    """Filled in the order of the numbers."""

    missing: list[Leaf] = field(default_factory=list)
    extra: list[Leaf] = field(default_factory=list)
    changed: list[tuple[int, bytes, bytes]] = field(default_factory=list)
    counted: Counter[str] = field(default_factory=Counter)
    #: Where the run of missing records begins that goes up to the last one seen.
    trailing: int | None = None

    def compare(self, expected: Sequence[Leaf], actual: Iterable[Leaf]) -> None:
        there: dict[int, list[bytes]] = {}
        for number, digest in actual:
            there.setdefault(number, []).append(digest)
        for number, digest in expected:
            found = there.pop(number, None)
            if found is None:
                self._keep("removed", self.missing, (number, digest))
                self.trailing = number if self.trailing is None else self.trailing
                continue
            self.trailing = None
            if digest in found:
                found.remove(digest)
            else:
                self._keep("changed", self.changed, (number, digest, found.pop(0)))
            for other in found:
                self._keep("inserted", self.extra, (number, other))
        for number in sorted(there):
            for digest in there[number]:
                self._keep("inserted", self.extra, (number, digest))

    def all_there(self) -> None:
        """The records up to here are as they were sealed."""
        self.trailing = None

    def _keep(self, kind: str, kept: list[object] | list[Leaf] | list[tuple[int, bytes, bytes]], one: object) -> None:
        self.counted[kind] += 1
        if len(kept) < KEPT:
            kept.append(one)  # type: ignore[arg-type]

    def tamperings(self) -> Iterator[Tampering]:
        moved = {digest: number for number, digest in self.missing} | {e: n for n, e, _ in self.changed}
        standing = [(number, digest) for number, _, digest in self.changed] + self.extra
        reordered = {number: moved[digest] for number, digest in standing if digest in moved}
        away = set(reordered.values())
        for number, was in sorted(reordered.items())[:TOLD]:
            yield Tampering("reordered", f"the record that was sealed as {was} stands at {number}", number)
        yield from self._of("changed", [n for n, _, _ in self.changed if n not in reordered], "was changed")
        yield from self._of("inserted", [n for n, _ in self.extra if n not in reordered], "was put in")
        yield from self._cut([number for number, _ in self.missing if number not in away])

    def _cut(self, numbers: list[int]) -> Iterator[Tampering]:
        cut = [] if self.trailing is None else [number for number in numbers if number >= self.trailing]
        yield from self._of("removed", numbers[: len(numbers) - len(cut)], "was taken out")
        if cut:
            what = f"the log was cut: the sealed records from {cut[0]} on are gone"
            yield Tampering("cut_tail", what, cut[0], len(cut))

    def _of(self, kind: Kind, numbers: Sequence[int], done: str) -> Iterator[Tampering]:
        runs = list(_runs(numbers))
        for first, last, count in runs[:TOLD]:
            name = f"record {first}" if first == last else f"each of the records {first} to {last} ({count})"
            yield Tampering(kind, f"{name} {done} after it was sealed", first, count)
        if len(runs) > TOLD or self.counted[kind] > KEPT:
            yield Tampering(kind, f"{self.counted[kind]} records in all: {done}", runs[-1][0], self.counted[kind])


def _runs(numbers: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """(first, last, how many) of those that stand side by side."""
    start = 0
    for place in range(1, len(numbers) + 1):
        if place == len(numbers) or numbers[place] != numbers[place - 1] + 1:
            yield numbers[start], numbers[place - 1], place - start
            start = place
