"""`tollgate keys`: makes, lists, rotates and ends API keys, and says whose a leaked one is."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar, get_args

import click

from cli.commands import options, output
from cli.errors import Refused
from cli.files import write_private
from cli.login import login
from cli.target import owner_core, telling_core
from core.domain.identifiers import InvalidIdentifier, parse_id
from core.domain.key_form import NewKey
from core.domain.roles import ROLES
from core.orchestration import api_keys, key_search
from core.orchestration.key_grants import Granter
from core.persistence.vault import new_keys

COLUMNS = ("id", "kind", "mode", "merchant", "name", "state", "created_at", "last_used_at", "expires_at", "revoked_at")
#: What a text may have that is searched for keys: a log file, not a disk.
LONGEST_TEXT = 50_000_000

Command = TypeVar("Command", bound=Callable[..., Any])


@click.group()
def keys() -> None:
    """Create, list, rotate, end and identify API keys, and make the file of sealing keys."""


def acting(command: Command) -> Command:
    """The options of every command that changes something."""
    for option in (
        options.data_dir,
        click.option("--reason", help="Why, in a sentence. Kept in the audit log."),
        click.option("--actor", help="Who decides; the name you are logged in under if not given."),
        click.option("--json", "as_json", is_flag=True, help="Print one line of JSON."),
    ):
        command = option(command)
    return command


def _by(actor: str | None, reason: str | None) -> Granter:
    return Granter(f"cli:{actor or login()}", reason=reason)


@keys.command()
@click.option("--kind", type=click.Choice(get_args(api_keys.Kind)), required=True, help="Decides the mode.")
@click.option("--merchant", help="The merchant it acts for (mer_…); not for an admin key.")
@click.option("--name", required=True, help="What it is for, as lists show it.")
@click.option("--scope", "scopes", multiple=True, help="May be given again; `payments:*` stands for several.")
@click.option("--role", type=click.Choice(tuple(ROLES)), help="Of an admin key: the scopes of this role.")
@click.option("--days", type=click.IntRange(1, 3650), help="Ends after so many days; never if not given.")
@acting
def create(
    data_dir: Path,
    kind: api_keys.Kind,
    merchant: str | None,
    name: str,
    scopes: tuple[str, ...],
    role: str | None,
    days: int | None,
    reason: str | None,
    actor: str | None,
    as_json: bool,
) -> None:
    """Make a key and print it, for the only time.

    With neither --scope nor --role it may do all that keys of its kind may, except to show people's data in clear
    (customers:reveal).
    """
    if role is not None and (kind != "admin" or scopes):
        raise Refused("--role is for an admin key, and instead of --scope")
    try:
        merchant_id = None if merchant is None else parse_id("merchant", merchant)
    except InvalidIdentifier:
        raise Refused("--merchant must be an id that begins with mer_") from None
    with owner_core(data_dir) as core:
        made = api_keys.create(
            core,
            kind=kind,
            merchant_id=merchant_id,
            name=name,
            scopes=ROLES[role] if role is not None else scopes or None,
            lifetime=None if days is None else timedelta(days=days),
            by=_by(actor, reason),
        )
    _tell_new(made, as_json)


def _tell_new(made: NewKey, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"id": made.id, "key": made.text}))
    else:
        click.echo(made.text)
        click.echo(f"This is key {made.id}. It is shown this once: keep it now.", err=True)


@keys.command(name="list")
@options.data_dir
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
def list_(data_dir: Path, as_json: bool) -> None:
    """List all keys, without their secrets."""
    with owner_core(data_dir) as core:
        found = api_keys.list_keys(core)
    if as_json:
        click.echo(json.dumps(found))
    else:
        headings = [column.removesuffix("_at").replace("_", " ") for column in COLUMNS]
        output.print_table(headings, ([row[column] for column in COLUMNS] for row in found))


@keys.command()
@click.argument("key_id")
@click.option(
    "--overlap", type=options.Span(), default="24h", show_default=True, help="The old key works so long beside it."
)
@click.option("--days", type=click.IntRange(1, 3650), help="Ends after so many days; like the old one if not given.")
@acting
def rotate(
    data_dir: Path,
    key_id: str,
    overlap: float,
    days: int | None,
    reason: str | None,
    actor: str | None,
    as_json: bool,
) -> None:
    """Make a key that may do the same and print it, for the only time; the old one ends when the overlap is over.

    KEY_ID is the part after tg_…_.
    """
    with telling_core(data_dir) as core:
        made = api_keys.rotate(
            core,
            key_id,
            _by(actor, reason),
            overlap=timedelta(seconds=overlap),
            lifetime=None if days is None else timedelta(days=days),
        )
    _tell_new(made, as_json)
    if not as_json:
        click.echo(f"Key {key_id} ends in {timedelta(seconds=overlap)}.", err=True)


@keys.command()
@click.argument("key_id")
@click.option("--in", "ends_in", type=options.Span(), required=True, help="From now: 90m, 24h, 7d.")
@acting
def expire(data_dir: Path, key_id: str, ends_in: float, reason: str | None, actor: str | None, as_json: bool) -> None:
    """Have a key end by itself; an end is never moved to later. KEY_ID is the part after tg_…_."""
    with telling_core(data_dir) as core:
        done = api_keys.expire(core, key_id, timedelta(seconds=ends_in), _by(actor, reason))
    click.echo(json.dumps(done) if as_json else f"Key {key_id} ends at {done['expires_at']}.")


@keys.command()
@click.argument("key_id")
@acting
def revoke(data_dir: Path, key_id: str, reason: str | None, actor: str | None, as_json: bool) -> None:
    """Refuse the key from its next request on. KEY_ID is the part after tg_…_."""
    with telling_core(data_dir) as core:
        done = api_keys.revoke(core, key_id, _by(actor, reason))
    click.echo(json.dumps(done) if as_json else f"Key {key_id} is revoked.")


@keys.command()
@options.data_dir
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
def identify(data_dir: Path, as_json: bool) -> None:
    """Say whose keys stand in a text on standard input: a leaked key, a log, a file found somewhere.

    Whole keys and bare prefixes (tg_test_…) are found. No key is repeated, and none is an argument: those are seen by
    everybody on the machine. Ends with 1 where the text holds none.
    """
    if sys.stdin.isatty():
        click.echo("Paste the text that holds the key, then end with Ctrl-D.", err=True)
    text = sys.stdin.buffer.read(LONGEST_TEXT + 1).decode(errors="replace")
    if len(text) > LONGEST_TEXT:
        raise Refused(f"the text has more than {LONGEST_TEXT // 1_000_000} MB; give it in parts")
    with owner_core(data_dir) as core:
        found = key_search.identify(core, text)
    if as_json:
        click.echo(json.dumps(found))
    else:
        for one in found:
            _tell_seen(one)
    if not found:
        raise Refused("the text holds nothing with the form of a key (tg_test_…, tg_live_…, tg_admin_…)")


def _tell_seen(one: key_search.Identified) -> None:
    known = one["key"]
    click.echo(f"{one['prefix']}…: {key_search.SENTENCES[one['match']]}")
    if known is None:
        return
    whose = "administrators" if known["kind"] == "admin" else f"{known['merchant']}, {known['mode']} mode"
    used = f"last used {known['last_used_at']}" if known["last_used_at"] else "never used"
    click.echo(f"  {known['id']}, “{known['name']}”, of {whose}: {known['state']}, {used}")
    click.echo(f"  may: {', '.join(known['scopes'])}")
    if known["state"] == "active":
        click.echo(f"  refuse it from now on:  tollgate keys revoke {known['id']} --reason '…'")
        click.echo(f"  or first its successor: tollgate keys rotate {known['id']} --overlap 24h --reason '…'")


@keys.command(name="make-file")
@click.argument("path", type=click.Path(dir_okay=False, path_type=Path))
def make_file(path: Path) -> None:
    """Make a file of sealing keys for TOLLGATE_KEY_FILE; never overwrites one.

    Keep a copy apart from the database's backup: without it nothing sealed can be read again.
    """
    if path.exists():
        raise Refused(f"{path} exists; it is not overwritten, since what it sealed would be lost")
    try:
        write_private(path, new_keys())
    except OSError as error:
        raise Refused(f"{path} cannot be written: {error.strerror}") from None
    click.echo(f"Made {path}. Set TOLLGATE_KEY_FILE to it, and keep a copy in a safe place.")
