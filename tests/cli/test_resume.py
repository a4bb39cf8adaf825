"""`tollgate resume`: says what it found, asks, and adopts the database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.commands.resume import resume
from cli.errors import Refused
from core.orchestration import installation
from core.persistence.queries import installation as rows
from core.startup.anchor import Anchor, read, write
from tests.support.worker import write_keys
from tests.support.world import World


@pytest.fixture
def file(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An anchor file that is 40 records ahead of a paused world."""
    path = tmp_path / "anchor.json"
    monkeypatch.setenv("MIGRATION_DATABASE_URL", world.urls.owner)
    monkeypatch.setenv("DATABASE_URL", world.urls.api)
    monkeypatch.setenv("WORKER_DATABASE_URL", world.urls.worker)
    monkeypatch.setenv("REDIS_URL", world.settings.redis_url)
    monkeypatch.setenv("TOLLGATE_KEY_FILE", str(write_keys(world, tmp_path / "keys.json")))
    monkeypatch.setenv("TOLLGATE_ANCHOR_FILE", str(path))
    with world.worker.database.unscoped() as connection:
        standing = rows.standing(connection)
        rows.pause(connection, "it is an older copy")
    write(path, Anchor(standing["id"], standing["audit_number"] + 40, standing["present"]), adopt=True)
    yield path
    if paused(world):
        installation.resume(world.admin, "tests", "the test is over")


def paused(world: World) -> bool:
    with world.worker.database.unscoped() as connection:
        return installation.is_paused(connection)


def call(tmp_path: Path, *arguments: str, text: str = "") -> tuple[str, BaseException | None]:
    done = CliRunner().invoke(resume, ["--data-dir", str(tmp_path / "data"), *arguments], input=text)
    return done.output, done.exception


def test_it_says_what_it_found_and_asks(world: World, file: Path, tmp_path: Path) -> None:
    shown, _ = call(tmp_path, "--reason", "restored", text="n\n")
    assert "it is an older copy" in shown
    assert "About 40 audit records are missing" in shown
    assert paused(world), "whoever says no changes nothing"
    shown, error = call(tmp_path, "--reason", "restored", text="y\n")
    assert error is None, shown
    assert not paused(world)
    adopted = read(file)
    assert adopted is not None
    with world.worker.database.unscoped() as connection:
        assert adopted.audit_number == rows.standing(connection)["audit_number"]


def test_without_a_reason_or_a_pause_it_is_refused(world: World, file: Path, tmp_path: Path) -> None:
    _, error = call(tmp_path, "--reason", "  ", "--yes")
    assert isinstance(error, Refused)
    assert call(tmp_path, "--reason", "restored", "--yes")[1] is None
    _, error = call(tmp_path, "--reason", "restored", "--yes")
    assert isinstance(error, Refused)
    assert "not paused" in str(error)


def test_who_has_no_name_on_this_machine_gives_one(
    world: World, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a container, whose user is a number."""

    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found: 1000")

    monkeypatch.setattr("getpass.getuser", nameless)
    _, error = call(tmp_path, "--reason", "restored", "--yes")
    assert isinstance(error, Refused)
    assert "--actor" in str(error)
    assert paused(world)
    assert call(tmp_path, "--reason", "restored", "--yes", "--actor", "ada")[1] is None
    assert world.one("SELECT resumed_by FROM installation")["resumed_by"] == "ada"
