"""`tollgate sealing`: the keys that seal what is secret get new versions, and every row is brought to them."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args

import click
from sqlalchemy.exc import SQLAlchemyError

from cli.commands import options, output
from cli.errors import Refused
from cli.files import write_private
from cli.login import login
from cli.target import find, owner_core
from core.orchestration import rotation
from core.orchestration.context import Core
from core.orchestration.sealing import seal, seals_hang_on
from core.persistence import key_sources
from core.persistence.key_sources import KeyUnavailable, Kind, StoredKeys

KINDS = click.Choice(get_args(Kind))
#: Seconds after a new version was written, until every process that reads the file has seen it.
HEARD = 3 * key_sources.BELIEVED


@click.group()
def sealing() -> None:
    """Rotate the sealing keys: `kek` wraps the data keys, `index` finds people by their e-mail address."""


@sealing.command()
@options.data_dir
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
def status(data_dir: Path, as_json: bool) -> None:
    """Show the versions, what is still under each, and how far a rotation has come."""
    with owner_core(data_dir) as core:
        found = rotation.status(core, counted=True)
    if as_json:
        click.echo(json.dumps(found))
        return
    rows = []
    for one in found["keys"]:
        kept = sum(found["rows"][table].get(one["version"], 0) for table in rotation.SUBJECTS[one["kind"]])
        rows.append([one["kind"], one["version"], "yes" if one["current"] else "", kept, _standing(one, kept)])
    output.print_table(["key", "version", "current", "rows", ""], rows)
    for one in found["rotations"]:
        if one["status"] == "running":
            click.echo(told(one))


def _standing(one: Mapping[str, Any], kept: int) -> str:
    if not one["at_hand"]:
        return "missing" if kept or one["retired_at"] is None else "dropped"
    if one["retired_at"] is not None and not kept:
        return f"not needed any more: tollgate sealing drop {one['kind']} {one['version']}"
    return ""


@sealing.command()
@options.data_dir
@click.argument("kind", type=KINDS)
def add(data_dir: Path, kind: Kind) -> None:
    """Write a new version into the key file. It is not used before `tollgate sealing rotate`.

    Where several machines have copies of the file, bring this one to all of them first.
    """
    path = _file(data_dir)
    keys = _read(path)
    more, version = key_sources.with_version(keys, kind)
    with owner_core(data_dir) as core, _recorded(core, "added", kind, version, path, keys):
        _write(path, more)
    click.echo(f"{path} has version {version} of the {kind} key. Back it up apart from the database, and bring it")
    click.echo(f"to every machine; then: tollgate sealing rotate {kind}")


@contextlib.contextmanager
def _recorded(
    core: Core, verb: Literal["added", "dropped"], kind: Kind, version: int, path: Path, before: StoredKeys
) -> Iterator[None]:
    """The file is changed with its record in the audit log, or put back."""
    try:
        with rotation.changing(core, verb, kind, version, f"cli:{login()}"):
            yield
    except SQLAlchemyError:
        _write(path, before)
        raise


@sealing.command()
@options.data_dir
@click.argument("kind", type=KINDS)
@click.option("--actor", help="Who decides; the name you are logged in under if not given.")
@click.option("--detach", is_flag=True, help="Leave the walk to the workers.")
def rotate(data_dir: Path, kind: Kind, actor: str | None, detach: bool) -> None:
    """Make the newest version current, and bring every row to it.

    Nothing stops meanwhile. Killed, it is carried on by the workers, or by the same command. Where several machines
    have copies of the file, bring this one to all of them again: only here the version is current.
    """
    if not os.environ.get("TOLLGATE_KEYS"):
        _make_current(data_dir, kind)
    with owner_core(data_dir) as core:
        number = rotation.begin(core, kind, f"person:{actor or login()}")
        _say_where_it_is_current(data_dir, kind, core)
        if detach:
            click.echo(told(rotation.progress(core, number)))
            return
        end = rotation.follow(core, number, time.sleep, _teller())
    click.echo(f"Everything is under version {end['version']}; older ones are not needed any more.")
    click.echo(f"Keep them as long as you keep backups of today; then: tollgate sealing drop {kind} VERSION")


def _make_current(data_dir: Path, kind: Kind) -> None:
    """In the file; done already where the walk could not begin the last time."""
    path = _file(data_dir)
    keys = _read(path)
    current, known = keys.versions().of(kind)
    if max(known) == current:
        return
    with owner_core(data_dir) as core:  # else the walk that is under way would never come to its end
        rotation.require_free(core, kind, max(known))
    since = time.time() - path.stat().st_mtime
    if since < HEARD:  # who is running must be able to read a version before the first row is written under it
        time.sleep(HEARD - since)
    _write(path, key_sources.with_current(keys, kind, max(known)))


def _say_where_it_is_current(data_dir: Path, kind: Kind, core: Core) -> None:
    """Machines with a copy of the file go on writing under the old version, and are refused at their next start."""
    version = core.vault.keys.versions().of(kind)[0]
    if os.environ.get("TOLLGATE_KEYS"):
        click.echo(f"Version {version} must be current in TOLLGATE_KEYS of every process, or the walk does not end.")
        return
    click.echo(f"Version {version} is current in {_file(data_dir)}, on this machine alone. Where other machines have")
    click.echo(
        "copies of the file, bring it to every one of them now: until then they write under the old version, the"
    )
    click.echo("walk does not end, and after its end they are refused at their next start.")


def _teller() -> Callable[[Mapping[str, Any]], None]:
    last = [0.0]

    def tell(now: Mapping[str, Any]) -> None:
        if time.monotonic() - last[0] >= 1 or now["status"] == "finished":
            last[0] = time.monotonic()
            click.echo(told(now))

    return tell


def told(one: Mapping[str, Any]) -> str:
    """How far a rotation is, in a line."""
    share = 100 if not one["total"] else min(100, round(100 * one["done"] / one["total"]))
    where = "waiting for the last look" if one["at"] == "verify" else f"in {one['at']}"
    where = "finished" if one["status"] == "finished" else where
    return f"{one['kind']} key to version {one['version']}: {one['done']} of {one['total']} rows, {share} %, {where}"


@sealing.command()
@options.data_dir
@click.argument("kind", type=KINDS)
@click.argument("version", type=int)
def drop(data_dir: Path, kind: Kind, version: int) -> None:
    """Take an old version out of the key file. Refused while a row needs it.

    A backup from before its rotation cannot be read without it.
    """
    path = _file(data_dir)
    keys = _read(path)
    with owner_core(data_dir) as core:
        _refuse_needed(core, kind, version)
        try:
            rest = key_sources.without_version(keys, kind, version)
        except KeyUnavailable as error:
            raise Refused(f"{kind} key: {error}") from None
        with _recorded(core, "dropped", kind, version, path, keys):
            _write(path, rest)
    click.echo(f"{path} has no version {version} of the {kind} key any more.")


def _refuse_needed(core: Core, kind: Kind, version: int) -> None:
    found = rotation.status(core, counted=True)
    kept = sum(found["rows"][table].get(version, 0) for table in rotation.SUBJECTS[kind])
    if kept:
        raise Refused(f"{kept} rows need version {version} of the {kind} key: tollgate sealing rotate {kind}")
    if any(one["kind"] == kind and one["status"] == "running" for one in found["rotations"]):
        raise Refused(f"a rotation of the {kind} key is under way: wait for its end")
    if kind == "kek":
        _refuse_signer(core, version)


def _refuse_signer(core: Core, version: int) -> None:
    """What waits for a seal gets it now, under the current version: one that it signs vouches for those before."""
    for _ in range(3):
        if not seals_hang_on(core, version):
            return
        if not seal(core):
            time.sleep(1)  # another may be at it
    raise Refused(
        f"the newest seal of the audit log is signed with version {version}: try again in a minute, when the workers "
        "have made the next one"
    )


def _file(data_dir: Path) -> Path:
    if os.environ.get("TOLLGATE_KEYS"):
        raise Refused("the sealing keys come from TOLLGATE_KEYS: change them there (docs/operations.md, Keys)")
    return find(data_dir).key_file


def _read(path: Path) -> StoredKeys:
    try:
        return key_sources.read_key_file(path)
    except KeyUnavailable as error:
        raise Refused(str(error)) from None


def _write(path: Path, keys: StoredKeys) -> None:
    try:
        write_private(path, key_sources.write_keys(keys))
    except OSError as error:
        raise Refused(f"{path} cannot be written: {error.strerror}") from None
