"""The chain of seals and its anchor: told outside Postgres, missed by an older copy, and forked only by a person."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

import pytest

from core.audit import sealing as sealers
from core.audit import seals
from core.audit.heads import Head, head_of
from core.audit.signing import Ed25519Signer
from core.orchestration import heads, installation, sealing
from core.persistence.queries import audit as rows
from tests.support.restoring import Restorable
from tests.support.world import World


@dataclass
class Elsewhere:
    """An anchor on another host, which is away at times."""

    head: Head | None = None
    away: bool = False

    def read(self) -> Head | None:
        return self.head

    def write(self, head: Head) -> None:
        if self.away:
            raise OSError("no route to host")
        self.head = head


def anchored(world: World) -> Head:
    found = heads.known(world.settings.anchor_file)
    assert found is not None
    return found


def seal(world: World) -> int:
    installation.keep_anchor(world.worker)
    return sealing.seal(world.worker)


def verify(world: World) -> list[str]:
    found = sealing.verify(world.admin, world.settings.anchor_file)
    return [one.kind for one in found.tamperings]


def test_each_seal_is_told_to_the_file_and_to_whoever_else_was_handed_in(place: Restorable) -> None:
    world, elsewhere = place.world, Elsewhere()
    core = replace(world.worker, head_keepers=(elsewhere,))
    world.pay()
    installation.keep_anchor(core)
    assert sealing.seal(core) > 0
    assert anchored(world) == elsewhere.head
    elsewhere.away = True
    world.pay()
    assert sealing.seal(core) > 0, "a keeper that is away stops no sealing"
    assert (anchored(world).number, elsewhere.head and elsewhere.head.number) == (2, 1)
    elsewhere.away = False
    assert sealing.seal(core) == 0
    assert elsewhere.head == anchored(world), "what was not told is told with the next run"
    assert verify(world) == []


def test_an_older_copy_is_paused_not_sealed_and_forks_only_when_a_person_lets_it_go_on(place: Restorable) -> None:
    world = place.world
    world.pay()
    assert seal(world) > 0
    kept = place.backup()
    world.pay()
    assert seal(world) > 0
    lost = anchored(world)
    place.restore(kept)
    assert verify(world) == ["cut_tail"], "until somebody says that it is an older copy"
    world.create()
    assert sealing.seal(world.worker) == 0
    assert world.rows("SELECT 1 FROM audit_seals") == [{"?column?": 1}]
    installation.resume(world.admin, "ada", "last night's backup", lost)
    assert sealing.seal(world.worker) > 0
    told = world.one("SELECT details FROM audit_log WHERE action = 'installation.resumed'")["details"]
    assert told["seal_left_behind"] == {"number": lost.number, "hash": lost.hash.hex()}
    assert told["goes_on_from_seal"]["number"] == 1
    assert installation.keep_anchor(world.worker) == 1
    sealing.seal(world.worker)
    assert anchored(world).number == 2
    assert anchored(world).hash != lost.hash
    assert verify(world) == []
    assert world.settings.anchor_file is not None
    kept_file = json.loads(world.settings.anchor_file.read_text())
    assert lost.hash.hex() in [one["hash"] for one in kept_file["seals_left_behind"]]


def test_a_log_cut_back_to_an_older_seal_is_paused_however_many_records_follow(place: Restorable) -> None:
    world = place.world
    world.pay()
    seal(world)
    world.pay()
    seal(world)
    with world.owner.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE audit_seals DISABLE TRIGGER USER")
        connection.exec_driver_sql("DELETE FROM audit_seals WHERE number = 2")
    assert installation.look(world.worker)
    because = world.one("SELECT paused_because FROM installation")["paused_because"]
    assert "seal 2" in because
    assert sealing.seal(world.worker) == 0


def test_a_seal_of_a_stranger_is_neither_built_upon_nor_anchored(
    place: Restorable, capfd: pytest.CaptureFixture[str]
) -> None:
    world = place.world
    world.pay()
    seal(world)
    before = anchored(world)
    with world.owner.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO audit_seals SELECT number + 1, form, to_number, to_number + 1, records, leaves, hash, "
            "decode(repeat('ab', 32), 'hex'), sealed_at, hash, signature FROM audit_seals"
        )
    world.pay()
    assert sealing.seal(world.worker) == 0
    assert "seals_forged" in capfd.readouterr().err
    assert anchored(world) == before
    assert verify(world) == ["forged_seal"]


def cut(world: World, after: int) -> None:
    """All seals and records behind one seal, as somebody does it who may do anything in Postgres."""
    with world.owner.begin() as connection:
        for table in ("audit_seals", "audit_log"):
            connection.exec_driver_sql(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        connection.exec_driver_sql(
            f"DELETE FROM audit_log WHERE number > (SELECT to_number FROM audit_seals WHERE number = {after})"
        )
        connection.exec_driver_sql(f"DELETE FROM audit_seals WHERE number > {after}")


def test_a_cut_log_that_only_looks_let_go_on_shows_for_ever(place: Restorable) -> None:
    """Who cuts the log can write that somebody resumed: the anchor follows, and what it was made to leave tells."""
    world = place.world
    world.pay()
    seal(world)
    world.pay()
    seal(world)
    lost = anchored(world)
    cut(world, 1)
    world.advance(1)
    with world.owner.begin() as connection:
        connection.exec_driver_sql("UPDATE installation SET resumed_at = app_now(), resumed_by = 'nobody'")
    for _ in range(2):
        world.pay()
        seal(world)
    assert anchored(world).number >= 2
    assert anchored(world).hash != lost.hash, "the anchor has followed"
    assert verify(world) == ["cut_tail"]


def test_who_let_an_older_copy_go_on_is_told_with_every_verification(place: Restorable) -> None:
    world = place.world
    world.pay()
    seal(world)
    kept = place.backup()
    world.pay()
    seal(world)
    place.restored_and_resumed(kept)
    world.pay()
    seal(world)
    found = sealing.verify(world.admin, world.settings.anchor_file)
    assert found.tamperings == []
    assert ["person:ada let an older copy" in note for note in found.notes] == [True]


def test_a_chain_that_was_made_anew_with_its_anchor_is_neither_sealed_upon_nor_believed(
    place: Restorable, capfd: pytest.CaptureFixture[str]
) -> None:
    """The anchor can be written without a key: that it names one makes nobody ours."""
    world, stranger = place.world, Ed25519Signer(b"s" * 32)
    world.pay()
    seal(world)
    with world.owner.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE audit_log DISABLE TRIGGER USER")
        connection.exec_driver_sql("ALTER TABLE audit_seals DISABLE TRIGGER USER")
        connection.exec_driver_sql("UPDATE audit_log SET actor = 'key:another' WHERE number = 1")
        connection.exec_driver_sql("DELETE FROM audit_seals")
    sealers.seal(world.worker.database, stranger)
    path = world.settings.anchor_file
    assert path is not None
    with world.admin.database.unscoped() as connection:
        last = seals.last(connection)
        assert last is not None
        forged = head_of(rows.installation(connection), last)
    told = json.loads(path.read_text())
    told["seal"] |= {"number": forged.number, "hash": forged.hash.hex(), "public_key": forged.public_key.hex()}
    path.write_text(json.dumps(told))
    assert anchored(world) == forged
    world.pay()
    assert sealing.seal(world.worker) == 0
    assert "seals_forged" in capfd.readouterr().err
    assert verify(world) == ["forged_seal"]
