"""A stretch of the log as JSON lines, with what is needed to prove it without the database; and the proving."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from core.audit import seals
from core.audit.seals import Seal
from core.persistence.database import Database
from core.persistence.queries import audit as rows

VERSION = 1
#: (low, high, form): the records numbered above `low` and up to `high` that the reader may see and wants, in order.
Reader = Callable[[int, int, int], Iterable[rows.Record]]


@dataclass(frozen=True, slots=True)
class Span:
    """Numbers, both of them in it. `filters` is what was asked for beside that; without any an export is complete."""

    first: int
    last: int
    filters: Mapping[str, str] = field(default_factory=dict)


def lines(database: Database, span: Span, read: Reader) -> Iterator[str]:
    """The export. What no seal covers yet cannot be proved, and is left out; the last line says up to where it goes."""
    yield _line("export", version=VERSION, first=span.first, last=span.last, filters=dict(span.filters))
    after = count = reached = made = 0
    while True:
        with database.glance() as connection:
            found = rows.seals_covering(connection, span.first, span.last, after, 1)
        if not found:
            break
        seal = seals.read(found[0])
        after, made, reached = seal.number, made + 1, seal.to_number
        yield _line("seal", **_shown(seal))
        for number, text in read(max(seal.from_number, span.first - 1), min(seal.to_number, span.last), seal.form):
            count += 1
            named = dict(zip(rows.FORMS[seal.form], json.loads(text), strict=True))
            yield _line("record", number=number, record=named, text=text)
    yield _line("end", seals=made, records=count, sealed_up_to=min(reached, span.last))


def _line(kind: str, **told: Any) -> str:
    return json.dumps({"kind": kind, **told}, ensure_ascii=False) + "\n"


def _shown(seal: Seal) -> dict[str, Any]:
    return {
        "number": seal.number,
        "form": seal.form,
        "from_number": seal.from_number,
        "to_number": seal.to_number,
        "records": seal.records,
        "previous": seal.previous.hex(),
        "public_key": seal.public_key.hex(),
        "sealed_at": seal.sealed_at.isoformat(timespec="microseconds"),
        "hash": seal.hash.hex(),
        "signature": seal.signature.hex(),
        "leaves": base64.b64encode(seal.leaves).decode(),
    }


def _read_seal(line: Mapping[str, Any]) -> Seal:
    told = dict(line)
    del told["kind"]
    for name in ("previous", "public_key", "hash", "signature"):
        told[name] = bytes.fromhex(told[name])
    told["leaves"] = base64.b64decode(told["leaves"], validate=True)
    told["sealed_at"] = datetime.fromisoformat(told["sealed_at"])
    return Seal(**told)


class NoExport(Exception):
    """The file is none of ours, or a line of it is damaged; the text says which."""


def parsed(text: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Line by line. Raises NoExport."""
    for place, line in enumerate(text, 1):
        try:
            found = json.loads(line)
        except ValueError:
            raise NoExport(f"line {place} is no JSON") from None
        if not isinstance(found, dict) or not isinstance(found.get("kind"), str):
            raise NoExport(f"line {place} is no line of an export")
        if place == 1 and (found["kind"], found.get("version")) != ("export", VERSION):
            raise NoExport(f"it does not begin as an export of version {VERSION} does")
        yield found


@dataclass
class Checked:
    """`complete`: every record that was sealed between `first` and `last` is there; with filters that says nothing."""

    records: int = 0
    seals: int = 0
    first: int = 0
    last: int = 0
    complete: bool = False
    faults: list[str] = field(default_factory=list)


class Check:
    """Proves an export line by line, from the keys and the file alone; holds one seal at a time."""

    def __init__(self, keys: Collection[bytes]) -> None:
        self.found = Checked()
        self._keys = frozenset(keys)
        self._seal: Seal | None = None
        self._open: dict[int, bytes] = {}
        self._unvouched: Seal | None = None
        self._filters: Mapping[str, str] = {}
        self._missing = 0
        self._ended = False

    def take(self, line: Mapping[str, Any]) -> None:
        """Raises NoExport for a line that lacks what its kind has."""
        steps = {"export": self._begin, "seal": self._next_seal, "record": self._record, "end": self._end}
        if self._ended or line["kind"] not in steps:
            raise NoExport(f"a line {line['kind']} stands where none belongs")
        try:
            steps[line["kind"]](line)
        except (KeyError, TypeError, ValueError, binascii.Error):
            raise NoExport(f"a line {line['kind']} lacks something, or holds what it must not") from None

    def result(self) -> Checked:
        if not self._ended:
            self.found.faults.append("the file is cut: its last line is missing")
        if self._unvouched is not None:
            one = self._unvouched
            self.found.faults.append(
                f"seal {one.number} is signed with a key that was not given: {one.public_key.hex()}"
            )
        self.found.complete = not (self._filters or self._missing or self.found.faults)
        if self._missing and not self._filters:
            self.found.faults.append(f"{self._missing} records that were sealed are not in the file")
        return self.found

    def _begin(self, line: Mapping[str, Any]) -> None:
        self.found.first, self.found.last = int(line["first"]), int(line["last"])
        self._filters = dict(line["filters"])

    def _next_seal(self, line: Mapping[str, Any]) -> None:
        self._close()
        seal, before = _read_seal(line), self._seal
        if not seal.is_whole():
            self.found.faults.append(f"seal {seal.number} is not what its key signed")
        if before is not None and (seal.number != before.number + 1 or seal.previous != before.hash):
            self.found.faults.append(f"seal {seal.number} does not follow on seal {before.number}")
        if before is None and seal.from_number >= self.found.first:
            self.found.faults.append(f"the seals begin behind record {self.found.first}")
        if seal.public_key in self._keys:
            self._unvouched = None
        elif self._unvouched is None:
            self._unvouched = seal
        self._seal, self._open = seal, dict(seal.leaf_list())
        self.found.seals += 1

    def _record(self, line: Mapping[str, Any]) -> None:
        number, text = int(line["number"]), str(line["text"])
        self.found.records += 1
        if self._seal is None or self._open.pop(number, None) != seals.digest(text):
            self.found.faults.append(f"record {number} is not what was sealed, or stands here twice")
        elif line["record"] != dict(zip(rows.FORMS[self._seal.form], json.loads(text), strict=True)):
            self.found.faults.append(f"record {number} does not show what its sealed text says")

    def _end(self, line: Mapping[str, Any]) -> None:
        self._close()
        told = (int(line["seals"]), int(line["records"]))
        if told != (self.found.seals, self.found.records):
            self.found.faults.append(f"the file had {told[1]} records under {told[0]} seals, and has not now")
        reached = 0 if self._seal is None else self._seal.to_number
        if int(line["sealed_up_to"]) > reached:
            self.found.faults.append(f"the seals end at record {reached}")
        self.found.last = min(self.found.last, reached)
        self._ended = True

    def _close(self) -> None:
        self._missing += sum(self.found.first <= number <= self.found.last for number in self._open)
        self._open = {}


def check(text: Iterable[str], keys: Collection[bytes]) -> Checked:
    """Raises NoExport."""
    proving = Check(keys)
    for line in parsed(text):
        proving.take(line)
    return proving.result()


class ExportFile:
    """Records of an export, for months that are not in the database any more; read once, in rising order."""

    def __init__(self, path: Path) -> None:
        """Raises OSError."""
        self._file = path.open(encoding="utf-8")
        self._lines = parsed(self._file)
        self._next: rows.Record | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def records(self, low: int, high: int) -> Iterator[rows.Record]:
        """Raises NoExport."""
        while (found := self._next or self._read()) is not None:
            self._next = None
            if found[0] > high:
                self._next = found
                return
            if found[0] > low:
                yield found

    def _read(self) -> rows.Record | None:
        for line in self._lines:
            if line["kind"] == "record":
                return int(line["number"]), str(line["text"])
        return None
