"""`tollgate keys`: makes, lists and revokes API keys."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import get_args

import click

from cli.commands import options, output
from cli.errors import Refused
from cli.files import write_private
from cli.target import owner_core
from core.domain.identifiers import InvalidIdentifier, parse_id
from core.orchestration import api_keys
from core.persistence.vault import new_keys

COLUMNS = ("id", "kind", "mode", "merchant", "name", "created_at", "last_used_at", "expires_at", "revoked_at")


@click.group()
def keys() -> None:
    """Create, list and revoke API keys, and make the file of sealing keys."""


@keys.command()
@options.data_dir
@click.option("--kind", type=click.Choice(get_args(api_keys.Kind)), required=True, help="Decides the mode.")
@click.option("--merchant", help="The merchant it acts for (mer_…); not for an admin key.")
@click.option("--name", required=True, help="What it is for, as lists show it.")
@click.option("--scope", "scopes", multiple=True, help="May be given again; all scopes if not given.")
@click.option("--days", type=click.IntRange(1, 3650), help="Ends after so many days; never if not given.")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
def create(
    data_dir: Path,
    kind: api_keys.Kind,
    merchant: str | None,
    name: str,
    scopes: tuple[str, ...],
    days: int | None,
    as_json: bool,
) -> None:
    """Make a key and print it, for the only time."""
    lifetime = None if days is None else timedelta(days=days)
    with owner_core(data_dir) as core:
        try:
            merchant_id = None if merchant is None else parse_id("merchant", merchant)
            made = api_keys.create(
                core, kind=kind, merchant_id=merchant_id, name=name, scopes=scopes or None, lifetime=lifetime
            )
        except InvalidIdentifier:
            raise Refused("--merchant must be an id that begins with mer_") from None
        except ValueError as error:
            raise Refused(str(error)) from None
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
@options.data_dir
@click.argument("key_id")
def revoke(data_dir: Path, key_id: str) -> None:
    """Refuse the key from its next request on. KEY_ID is the part after tg_…_."""
    with owner_core(data_dir) as core:
        if not api_keys.revoke(core, key_id):
            raise Refused(f"there is no key {key_id}; `tollgate keys list` shows them")
    click.echo(f"Key {key_id} is revoked.")


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
