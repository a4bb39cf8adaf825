"""What was sealed and then changed is found, and said; each tampering by somebody who can do anything in Postgres."""

from __future__ import annotations

from datetime import timedelta

import pytest

from core.audit import sealing, seals
from core.audit.signing import Ed25519Signer
from core.audit.verifying import Verified, verify
from core.invariants import sealed as invariant
from core.persistence.database import present
from core.persistence.queries import audit as rows
from tests.audit.conftest import Book

STRANGER = Ed25519Signer(bytes(32))


def kinds(found: Verified) -> list[str]:
    return [one.kind for one in found.tamperings]


@pytest.fixture
def sealed(book: Book) -> Book:
    """Thirty records under three seals, the newest anchored."""
    for _ in range(3):
        book.write(10)
        assert book.seal().records == 10
    assert book.verify(book.head()).tamperings == []
    return book


def test_nothing_was_changed(sealed: Book) -> None:
    sealed.write(2)
    found = sealed.verify(sealed.head())
    assert (found.records, found.seals, found.unsealed, found.tamperings, found.notes) == (30, 3, 2, [], [])
    assert found.unsealed_for > 0


@pytest.mark.parametrize(
    "column", ["actor = 'x'", "details = '{}'", "created_at = created_at + interval '1 microsecond'", "after = '{}'"]
)
def test_a_record_that_was_changed(sealed: Book, column: str) -> None:
    sealed.tamper(f"UPDATE audit_log SET {column} WHERE number = 15")
    [found] = sealed.verify(sealed.head()).tamperings
    assert (found.kind, found.number, found.count) == ("changed", 15, 1)
    assert found.what == "record 15 was changed after it was sealed"


def test_records_that_were_removed(sealed: Book) -> None:
    sealed.tamper("DELETE FROM audit_log WHERE number IN (4, 12, 13)")
    found = sealed.verify(sealed.head()).tamperings
    assert [(one.kind, one.number, one.count) for one in found] == [("removed", 4, 1), ("removed", 12, 2)]


@pytest.mark.parametrize("number", [0, -5, 7, 30])
def test_a_record_that_was_put_in(sealed: Book, number: int) -> None:
    """Under a number that another has, or one below the first; as a copy of another that is altered."""
    columns = "id, merchant_id, mode, action, subject_kind, subject_id, created_at"
    chosen = columns.replace("id,", "gen_random_uuid(),", 1)
    sealed.tamper(
        f"INSERT INTO audit_log (number, actor, {columns}) SELECT {number}, 'x', {chosen} FROM audit_log LIMIT 1"
    )
    [found] = sealed.verify(sealed.head()).tamperings
    assert (found.kind, found.number) == ("inserted", number)


def test_a_record_that_was_put_into_a_gap(book: Book) -> None:
    with book.api.unscoped() as connection:
        connection.exec_driver_sql("SELECT nextval('audit_number')")  # as by somebody who rolled back
    book.write(3)
    book.seal()
    assert book.numbers() == [2, 3, 4]
    book.tamper("UPDATE audit_log SET number = 1 WHERE number = 4")
    found = book.verify(book.head()).tamperings
    assert [(one.kind, one.number) for one in found] == [("reordered", 1)]
    assert found[0].what == "the record that was sealed as 4 stands at 1"


def test_records_that_were_reordered(sealed: Book) -> None:
    sealed.tamper("UPDATE audit_log SET number = CASE number WHEN 3 THEN 25 ELSE 3 END WHERE number IN (3, 25)")
    found = sealed.verify(sealed.head()).tamperings
    assert [(one.kind, one.number) for one in found] == [("reordered", 3), ("reordered", 25)]


def test_a_tail_that_was_cut_from_the_records(sealed: Book) -> None:
    sealed.tamper("DELETE FROM audit_log WHERE number > 26")
    [found] = sealed.verify(sealed.head()).tamperings
    assert (found.kind, found.number, found.count) == ("cut_tail", 27, 4)


def test_a_tail_that_was_cut_with_its_seals(sealed: Book) -> None:
    head = sealed.head()
    sealed.tamper("DELETE FROM audit_log WHERE number > 20", "DELETE FROM audit_seals WHERE number = 3")
    [found] = sealed.verify(head).tamperings
    assert (found.kind, found.number) == ("cut_tail", 3)
    # Without an anchor nobody could know, and that is said.
    unanchored = sealed.verify(None)
    assert unanchored.tamperings == []
    assert any("anchor" in note for note in unanchored.notes)


def test_by_the_owner_who_switches_the_triggers_off(sealed: Book) -> None:
    head = sealed.head()
    with sealed.owner.unscoped() as connection:
        for table in ("audit_log", "audit_seals"):
            connection.exec_driver_sql(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        connection.exec_driver_sql("DELETE FROM audit_log WHERE number > 10")
        connection.exec_driver_sql("DELETE FROM audit_seals WHERE number > 1")
    sealed.write(40)
    sealed.seal()
    sealed.seal()
    assert kinds(sealed.verify(head)) == ["cut_tail"], "new records and a new seal hide nothing"


def test_a_log_that_was_sealed_anew_behind_a_cut(sealed: Book) -> None:
    head = sealed.head()
    sealed.tamper("DELETE FROM audit_log WHERE number > 10", "DELETE FROM audit_seals WHERE number > 1")
    for _ in range(3):
        sealed.write(10)
        sealed.seal()
    found = sealed.verify(head).tamperings
    assert [(one.kind, one.number) for one in found] == [("forged_seal", 3)]
    assert "another than the anchor has seen" in found[0].what


def forge(book: Book, signer: Ed25519Signer, number: int) -> None:
    """Replace a seal by one over the records as they are now."""
    with book.owner.unscoped() as connection:
        before = next((seals.read(row) for row in rows.seals(connection, number - 2, 1)), None) if number > 1 else None
        old = seals.read(rows.seals(connection, number - 1, 1)[0])
        found = rows.records(connection, old.from_number, old.to_number, 1)
        start = seals.beginning(rows.installation(connection))
        made = seals.make(before, start, list(seals.leaves_of(found)), old.to_number, present(connection), signer)
        connection.exec_driver_sql("ALTER TABLE audit_seals DISABLE TRIGGER USER")
        connection.exec_driver_sql(f"DELETE FROM audit_seals WHERE number = {number}")
        rows.insert_seal(connection, seals.values(made))
        connection.exec_driver_sql("ALTER TABLE audit_seals ENABLE TRIGGER USER")


def test_the_last_seal_forged_with_another_key(sealed: Book) -> None:
    sealed.tamper("UPDATE audit_log SET actor = 'x' WHERE number = 25")
    forge(sealed, STRANGER, 3)
    found = sealed.verify(None).tamperings
    assert [(one.kind, one.number) for one in found] == [("forged_seal", 3)]
    assert "a key that is not ours" in found[0].what


def test_a_seal_in_the_middle_forged_even_with_our_own_key(sealed: Book) -> None:
    sealed.tamper("UPDATE audit_log SET actor = 'x' WHERE number = 15")
    forge(sealed, sealed.signer, 2)
    found = sealed.verify(sealed.head()).tamperings
    assert [(one.kind, one.number) for one in found] == [("forged_seal", 3)]
    assert "does not follow" in found[0].what


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("leaves = set_byte(leaves, 50, get_byte(leaves, 50) # 1)", "the hash"),
        ("to_number = to_number + 1", "the hash"),
        ("sealed_at = sealed_at - interval '1 s'", "the hash"),
        ("signature = set_byte(signature, 5, get_byte(signature, 5) # 1)", "a signature"),
        ("form = 9", "form 9"),
    ],
)
def test_a_seal_that_was_changed(sealed: Book, change: str, says: str) -> None:
    sealed.tamper(f"UPDATE audit_seals SET {change} WHERE number = 2")
    found = sealed.verify(sealed.head()).tamperings
    assert (found[0].kind, found[0].number) == ("forged_seal", 2)
    assert says in found[0].what


def test_a_seal_that_was_taken_out(sealed: Book) -> None:
    sealed.tamper("DELETE FROM audit_seals WHERE number = 2")
    found = sealed.verify(sealed.head()).tamperings
    assert [(one.kind, one.number) for one in found] == [("missing_seal", 2)]


def test_nothing_is_sealed_on_top_of_a_forged_seal(sealed: Book) -> None:
    forge(sealed, STRANGER, 3)
    sealed.write()
    with pytest.raises(sealing.ChainBroken):
        sealed.seal()


def test_a_new_key_takes_over_and_the_old_one_never_comes_back(sealed: Book) -> None:
    old, sealed.signer = sealed.signer, Ed25519Signer(b"n" * 32)
    sealed.write()
    with pytest.raises(sealing.ChainBroken):
        sealing.seal(sealed.worker, sealed.signer)
    sealing.seal(sealed.worker, sealed.signer, [old.public_key])
    found = sealed.verify(sealed.head())
    assert found.tamperings == [], "the new key's seal vouches for those before it"
    sealed.write()
    with pytest.raises(sealing.KeyLeft):  # a worker that is not restarted yet
        sealing.seal(sealed.worker, old, [sealed.signer.public_key])
    with pytest.raises(sealing.KeyLeft):  # one that knows the new key by the anchor alone
        sealing.seal(sealed.worker, old, (), [sealed.signer.public_key])
    assert sealed.seal().records == 1
    forge(sealed, old, 5)
    found = verify(sealed.owner, [old.public_key, sealed.signer.public_key], None)
    assert kinds(found) == ["forged_seal"]


def test_another_installations_chain_is_none_of_ours(sealed: Book) -> None:
    head = sealed.head()
    sealed.tamper("UPDATE installation SET id = gen_random_uuid()")
    found = sealed.verify(head)
    assert kinds(found) == ["forged_seal"]
    assert any("another installation" in note for note in found.notes)


def test_an_empty_log_and_an_emptied_one(book: Book) -> None:
    assert book.verify(None).tamperings == []
    book.write(50)
    book.seal()
    book.tamper("DELETE FROM audit_log")
    [found] = book.verify(book.head()).tamperings
    assert (found.kind, found.number, found.count) == ("cut_tail", 1, 50)


def test_a_month_that_was_taken_off_is_read_where_it_is(book: Book) -> None:
    book.write(5)
    book.seal()
    book.tamper("UPDATE app_clock SET shift = interval '15 months'")
    with book.worker.unscoped() as connection:
        connection.exec_driver_sql("SELECT ensure_partitions(1)")
    book.write(5)
    book.seal()
    with book.worker.unscoped() as connection:
        assert connection.exec_driver_sql("SELECT detach_oldest_partition('audit_log', 13)").scalar_one()
        assert connection.exec_driver_sql("SELECT detach_oldest_partition('audit_log', 13)").scalar_one()
    assert len(book.numbers()) == 5, "the month of the first five is not in the table any more"
    found = book.verify(book.head())
    assert (found.records, found.tamperings) == (10, [])


def test_only_the_records_of_newer_seals_are_read_again(sealed: Book) -> None:
    sealed.tamper("UPDATE audit_log SET actor = 'x' WHERE number = 1")
    with sealed.owner.unscoped() as connection:
        now = present(connection)
    assert sealed.verify(sealed.head(), since=now - timedelta(hours=1)).records == 30
    assert sealed.verify(sealed.head(), since=now + timedelta(hours=1)).tamperings == []


def test_the_invariant_tells_it(sealed: Book) -> None:
    assert invariant.check(sealed.worker, [sealed.signer.public_key], sealed.head(), None) == []
    sealed.tamper("UPDATE audit_log SET actor = 'x' WHERE number = 15")
    for database in (sealed.worker, sealed.owner):
        [found] = invariant.check(database, (), None, None)
        assert (found.invariant, found.check, found.details["kind"]) == ("I6", "seals_broken", "changed")
