"""An export proves itself with a public key alone, and what was done to it is found."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.audit import exports, sealing, searching
from core.audit.exports import Checked, ExportFile, NoExport, Span
from core.audit.searching import Wanted
from core.audit.signing import Ed25519Signer
from tests.audit.conftest import SHOP, Book

Lines = list[dict[str, Any]]


@pytest.fixture
def sealed(book: Book) -> Book:
    """Thirty records under three seals, and two that wait."""
    for _ in range(3):
        book.write(9)
        book.write(1, "test.rare")
        book.seal()
    book.write(2)
    return book


def exported(book: Book, first: int, last: int, wanted: Wanted = Wanted()) -> Lines:  # noqa: B008 - frozen
    read = searching.reader(book.api, wanted)
    return [json.loads(line) for line in exports.lines(book.api, Span(first, last, wanted.told()), read)]


def checked(book: Book, lines: Lines, *keys: bytes) -> Checked:
    return exports.check((json.dumps(line) for line in lines), keys or [book.signer.public_key])


def test_a_stretch_is_proved_whole(sealed: Book) -> None:
    lines = exported(sealed, 5, 25)
    assert [line["number"] for line in lines if line["kind"] == "record"] == list(range(5, 26))
    found = checked(sealed, lines)
    assert (found.records, found.seals, found.first, found.last, found.complete, found.faults) == (
        21,
        3,
        5,
        25,
        True,
        [],
    )
    shown = next(line for line in lines if line["kind"] == "record")["record"]
    assert (shown["actor"], shown["details"]["amount"]) == ("key:abc", 1.5)


def test_what_is_not_sealed_yet_is_left_out_and_the_end_says_so(sealed: Book) -> None:
    lines = exported(sealed, 1, 32)
    assert sum(line["kind"] == "record" for line in lines) == 30
    found = checked(sealed, lines)
    assert (found.last, found.complete) == (30, True)


def test_an_excerpt_is_proved_without_showing_the_rest(sealed: Book) -> None:
    lines = exported(sealed, 1, 30, Wanted(merchant=SHOP.merchant_id, action="test.rare"))
    found = checked(sealed, lines)
    assert (found.records, found.complete, found.faults) == (3, False, [])
    assert "test.done" not in json.dumps(lines)


def change(place: int, **told: Any) -> Callable[[Lines], Any]:
    return lambda lines: lines[place].update(told)


def _changed_text(lines: Lines) -> None:
    lines[2]["text"] = lines[2]["text"].replace("key:abc", "key:abd")
    lines[2]["record"]["actor"] = "key:abd"


TAMPERINGS = {
    "a record's text": (_changed_text, "is not what was sealed"),
    "a record's face alone": (lambda lines: lines[2]["record"].update(actor="x"), "does not show"),
    "a record is taken out": (lambda lines: lines.pop(3), "records under"),
    "a record and its count": (lambda lines: (lines.pop(3), lines[-1].update(records=29)), "not in the file"),
    "a record stands twice": (lambda lines: lines.insert(3, lines[2]), "stands here twice"),
    "two records change places": (
        lambda lines: (lines[2].update(number=lines[3]["number"]), lines[3].update(number=lines[2]["number"] - 1)),
        "is not what was sealed",
    ),
    "the first seal with all of its": (lambda lines: lines.__delitem__(slice(1, 12)), "begin behind"),
    "a seal in the middle with all of its": (lambda lines: lines.__delitem__(slice(12, 23)), "does not follow"),
    "a seal's number of records": (change(1, to_number=11), "not what its key signed"),
    "the end is cut": (lambda lines: lines.pop(), "its last line is missing"),
    "the tail is cut and the end is not": (lambda lines: lines.__delitem__(slice(23, 34)), "the seals end at"),
}


@pytest.mark.parametrize("name", TAMPERINGS)
def test_what_was_done_to_it_is_found(sealed: Book, name: str) -> None:
    tamper, says = TAMPERINGS[name]
    lines = exported(sealed, 1, 30)
    assert checked(sealed, lines).faults == []
    tamper(lines)
    found = checked(sealed, lines)
    assert any(says in fault for fault in found.faults), found.faults
    assert not found.complete


def test_another_key_proves_nothing_and_a_later_known_one_vouches(sealed: Book) -> None:
    stranger, new = Ed25519Signer(b"s" * 32), Ed25519Signer(b"n" * 32)
    [fault] = checked(sealed, exported(sealed, 1, 30), stranger.public_key).faults
    assert "a key that was not given" in fault
    old, sealed.signer = sealed.signer, new
    sealing.seal(sealed.worker, new, [old.public_key])
    assert checked(sealed, exported(sealed, 1, 32), new.public_key).faults == []
    assert checked(sealed, exported(sealed, 1, 32), old.public_key).faults != []


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"kind": "record"}', '{"kind": "export", "version": 2}', '{"kind": "export", "version": 1}'],
)
def test_what_is_no_export_is_said_to_be_none(book: Book, text: str) -> None:
    if text == "":
        assert exports.check([], [book.signer.public_key]).faults == ["the file is cut: its last line is missing"]
    else:
        with pytest.raises(NoExport):
            exports.check([text], [book.signer.public_key])


def test_months_that_are_gone_are_verified_from_their_exports(sealed: Book, tmp_path: Path) -> None:
    read = searching.owners_reader(sealed.owner)
    file = tmp_path / "month.jsonl"
    file.write_text("".join(exports.lines(sealed.owner, Span(1, 20), read)))
    head = sealed.head()
    sealed.tamper("DELETE FROM audit_log WHERE number <= 20")
    assert [one.kind for one in sealed.verify(head).tamperings] == ["removed"]
    with ExportFile(file) as archive:
        found = sealed.verify(head, archives=[archive])
    assert (found.records, found.tamperings) == (30, [])
    file.write_text(file.read_text().replace("key:abc", "key:abd", 2))
    with ExportFile(file) as archive:
        assert [one.kind for one in sealed.verify(head, archives=[archive]).tamperings] == ["changed"]


def test_a_search_goes_through_the_log_in_bounded_stretches(sealed: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "SPAN", 8)
    numbers: list[int] = []
    before, pages = None, 0
    while True:
        page = searching.search(sealed.api, Wanted(action="test.rare"), 2, before)
        numbers += [one["number"] for one in page["data"]]
        before, pages = page["next"], pages + 1
        if not page["has_more"]:
            break
    assert (numbers, pages) == ([30, 20, 10], 4)
    assert [one["sealed"] for one in searching.search(sealed.api, Wanted(), 3)["data"]] == [False, False, True]
