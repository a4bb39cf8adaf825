"""An older copy of the database lets nobody in again: ended keys, disabled people and sessions stay what they were."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cli.commands.resume import resume
from core.domain.identifiers import public_id
from core.domain.key_form import read_key
from core.orchestration import api_keys, installation
from core.orchestration.administrators import roster
from core.orchestration.administrators.roster import By
from core.orchestration.context import Core
from core.startup import withdrawals
from tests.dashboard.people import browser_for, make_person, session_for
from tests.support.restoring import Restorable
from tests.support.waiting import wait_until
from tests.support.worker import write_keys
from tests.support.world import World

BY = By("cli:ada")


def id_of(key: str) -> str:
    found = read_key(key)
    assert found is not None
    return found[1]


def file_of(world: World) -> Path:
    assert world.settings.anchor_file is not None
    return world.settings.anchor_file


def elsewhere(core: Core) -> Core:
    """The same on a machine that keeps no anchor file."""
    return replace(core, settings=core.settings.model_copy(update={"anchor_file": None}))


def opens(world: World, key: str) -> bool:
    path = "/admin/v1/merchants" if key.startswith("tg_admin_") else "/v1/payments"
    answer = world.get(path, key=key)
    assert answer.status_code in (200, 401), answer.text
    return answer.status_code == 200


def go_on(world: World) -> None:
    installation.resume(world.admin, "ada", "restored from the backup of last night")
    installation.keep_anchor(world.worker)


def key_row(world: World, key: str) -> Mapping[str, Any]:
    return world.one("SELECT revoked_at, expires_at, ended_by FROM api_keys WHERE id = :id", id=id_of(key))


def told_again(world: World) -> list[tuple[str, str]]:
    rows = world.rows(
        "SELECT action, actor FROM audit_log WHERE details ->> 'again' = 'restored' ORDER BY number",
    )
    return [(row["action"], row["actor"]) for row in rows]


@pytest.mark.parametrize("kind", ["test", "admin"])
def test_a_key_revoked_after_the_backup_opens_nothing_not_even_to_read(place: Restorable, kind: str) -> None:
    world = place.world
    key, other, chief = world.make_key(kind), world.make_key(kind), world.make_key("admin")
    assert opens(world, key)
    kept = place.backup()
    merchant = f"/merchants/{public_id('merchant', world.merchant_id)}" if kind == "test" else ""
    query = {"mode": "test"} if kind == "test" else {}
    path = f"/admin/v1{merchant}/api_keys/{id_of(key)}/revoke"
    assert world.post(path, {"reason": "it leaked"}, params=query, key=chief).status_code == 200
    assert set(withdrawals.known(file_of(world)).keys) == {id_of(key)}, "at once, by the gate"
    world.pay()
    installation.keep_anchor(world.worker)
    place.restore(kept)
    assert key_row(world, key)["revoked_at"] is None, "the backup knows nothing of it"
    assert not opens(world, key), "also before anybody has noticed"
    assert installation.look(world.worker)
    assert not opens(world, key)
    assert opens(world, other)
    go_on(world)
    assert key_row(world, key)["revoked_at"] is not None
    assert told_again(world) == [("api_key.revoked", "system")]
    file_of(world).write_text('{"version": 1}')
    assert not opens(world, key)
    assert opens(world, other)


def test_a_rotated_key_ends_when_its_overlap_is_over(place: Restorable) -> None:
    world = place.world
    key, early = world.make_key("test"), world.make_key("test")
    kept = place.backup()
    api_keys.rotate(world.admin, id_of(key), overlap=timedelta(hours=24))
    api_keys.expire(world.admin, id_of(early), timedelta(hours=1))
    world.pay()
    installation.keep_anchor(world.worker)
    world.advance(2 * 3600)
    place.restore(kept)
    assert installation.look(world.worker)
    assert (opens(world, key), opens(world, early)) == (True, False)
    go_on(world)
    assert (opens(world, key), opens(world, early)) == (True, False)
    assert (key_row(world, key)["revoked_at"], key_row(world, key)["expires_at"] is None) == (None, False)
    assert sorted(told_again(world)) == [("api_key.expired", "system"), ("api_key.revoked", "system")]
    world.advance(23 * 3600)
    assert not opens(world, key)


def test_a_disabled_administrator_and_an_ended_session_do_not_come_back(place: Restorable) -> None:
    world = place.world
    gone, stays = make_person(world, "admin", "gone@example.com"), make_person(world, "admin", "stays@example.com")
    theirs, ours = browser_for(world, "admin", gone), browser_for(world, "admin", stays)
    for browser in (theirs, ours):
        assert browser.get("/dashboard/people", follow=False).status_code == 200
    kept = place.backup()
    roster.disable(world.admin, gone, BY)
    assert withdrawals.known(file_of(world)).administrators == {gone}
    world.pay()
    installation.keep_anchor(world.worker)
    place.restore(kept)
    assert installation.look(world.worker), "a worker notices, whose login reads no administrators"
    shut_out = lambda one: one.get("/dashboard/people", follow=False).status_code != 200  # noqa: E731
    wait_until(lambda: shut_out(theirs) and shut_out(ours), "the gate to hear of it", 5)
    standing = world.one("SELECT disabled_at FROM administrators WHERE id = :id", id=gone)
    assert standing["disabled_at"] is not None
    assert world.rows("SELECT 1 FROM administrator_sessions WHERE ended_at IS NULL") == []
    assert sorted(action for action, _ in told_again(world)) == [
        "administrator.disabled", "administrator.sessions_ended", "administrator.sessions_ended",
    ]  # fmt: skip
    back = browser_for(world, "admin", stays)
    assert not shut_out(back), "whoever logs in while it is paused may look"
    go_on(world)
    assert shut_out(back)


def test_the_gate_sees_to_it_before_it_shows_anything(place: Restorable) -> None:
    world = place.world
    gone = make_person(world, "viewer", "gone@example.com")
    session_for(world, gone)
    kept = place.backup()
    roster.disable(world.admin, gone, BY)
    world.pay()
    installation.keep_anchor(world.worker)
    place.restore(kept)
    installation.look_at_start(world.api, keep=False)
    found = world.one("SELECT disabled_at FROM administrators WHERE id = :id", id=gone)
    assert found["disabled_at"] is not None
    assert world.rows("SELECT 1 FROM administrator_sessions WHERE ended_at IS NULL") == []


def test_what_was_ended_on_another_machine_comes_into_the_file_within_a_tick(place: Restorable) -> None:
    world = place.world
    key, late = world.make_key("test"), world.make_key("live")
    gone, back = make_person(world, "viewer"), make_person(world, "viewer")
    there = elsewhere(world.admin)
    api_keys.revoke(there, id_of(key))
    api_keys.expire(there, id_of(late), timedelta(days=1))
    roster.disable(there, gone, BY)
    roster.disable(there, back, BY)
    assert not file_of(world).exists()
    installation.keep_anchor(world.worker)
    known = withdrawals.known(file_of(world))
    assert (set(known.keys), known.administrators) == ({id_of(key), id_of(late)}, {gone, back})
    roster.enable(there, back, BY)
    installation.keep_anchor(world.worker)
    assert withdrawals.known(file_of(world)).administrators == {gone}
    before = file_of(world).read_text().partition("withdrawn")[2]
    installation.keep_anchor(world.worker)
    assert file_of(world).read_text().partition("withdrawn")[2] == before
    world.advance(31 * 86400)
    roster.disable(there, back, BY)
    shorter = world.settings.model_copy(update={"keep_erasures": 30})
    installation.keep_anchor(replace(world.worker, settings=shorter))
    known = withdrawals.known(file_of(world))
    assert (set(known.keys), known.administrators) == (set(), {back}), "older than any backup that may be restored"


def test_a_key_is_revoked_also_where_the_file_cannot_be_written(place: Restorable) -> None:
    world = place.world
    key = world.make_key("test")
    file_of(world).write_text("no anchor")
    api_keys.revoke(world.admin, id_of(key))
    assert not opens(world, key)
    file_of(world).unlink()
    installation.keep_anchor(world.worker)
    assert set(withdrawals.known(file_of(world)).keys) == {id_of(key)}


def test_resuming_says_who_is_let_in_and_names_whom_it_shut_out(
    place: Restorable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = place.world
    key, gone = world.make_key("admin"), make_person(world, "admin", "gone@example.com")
    make_person(world, "admin", "stays@example.com")
    kept = place.backup()
    api_keys.revoke(world.admin, id_of(key))
    roster.disable(world.admin, gone, BY)
    world.pay()
    installation.keep_anchor(world.worker)
    place.restore(kept)
    assert installation.look(world.worker)
    given = {
        "MIGRATION_DATABASE_URL": world.urls.owner, "DATABASE_URL": world.urls.api,
        "WORKER_DATABASE_URL": world.urls.worker, "REDIS_URL": world.settings.redis_url,
        "TOLLGATE_KEY_FILE": str(write_keys(world, tmp_path / "keys.json")),
        "TOLLGATE_ANCHOR_FILE": str(file_of(world)),
    }  # fmt: skip
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    arguments = ["--data-dir", str(tmp_path / "data"), "--reason", "restored", "--actor", "ada"]
    for answer in ("n\n", "y\n"):
        shown = CliRunner().invoke(resume, arguments, input=answer).output
        assert f"{id_of(key)} (“test key”, of administrators)" in shown, "said each time, and done once"
        assert "gone@example.com" in shown
        assert "0 keys of administrators, 1 administrators and 1 keys of merchants" in shown
        assert "tollgate keys list" in shown
    assert sorted(told_again(world)) == [("administrator.disabled", "system"), ("api_key.revoked", "system")]
    assert world.one("SELECT paused_at FROM installation")["paused_at"] is None
