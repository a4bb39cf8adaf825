"""`tollgate routes`: which account carries a payment, drafted, checked, explained, made active and taken back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import click

from cli.commands import options, output
from cli.commands.accounts import MODES, choose_merchant
from cli.commands.jobs import person_of
from cli.errors import Refused
from cli.target import owner_core
from core.domain.errors import RequestRefused
from core.domain.identifiers import InvalidIdentifier, parse_id
from core.orchestration import route_explaining
from core.orchestration import routes as roads
from core.orchestration.context import Core
from core.orchestration.route_explaining import Sample
from core.persistence.database import Scope

COLUMNS = ("version", "status", "note", "created_by", "created_at", "activated_by", "activated_at")
#: The same bound as the gate's: a longer file is something else.
LONGEST_FILE = 256 * 1024

Command = TypeVar("Command", bound=Callable[..., Any])
_VERSION = click.argument("version", type=click.IntRange(1))
_FILE = click.argument("file", type=click.File("r", encoding="utf-8"))


def _all(command: Command) -> Command:
    for option in (
        options.data_dir,
        click.option("--merchant", help="Whose it is (mer_…); may be left out while there is one merchant."),
        click.option("--mode", type=click.Choice(MODES), default="test", show_default=True),
        click.option("--json", "as_json", is_flag=True, help="Print one line of JSON."),
    ):
        command = option(command)
    return command


def _deciding(command: Command) -> Command:
    for option in (
        click.option("--reason", required=True, help="Why, in a sentence. Kept for ever in the audit log."),
        click.option("--actor", help="Who decides; the name you are logged in under if not given."),
    ):
        command = option(command)
    return _all(command)


_REPLACES = click.option(
    "--replaces", type=click.IntRange(0), help="Only if this version is active now; 0 if none has to be."
)


@click.group()
def routes() -> None:
    """Say which account carries a payment."""


@routes.command(name="list")
@_all
def list_(data_dir: Path, merchant: str | None, mode: str, as_json: bool) -> None:
    """List the versions of a merchant's route, the newest first."""
    with _of(data_dir, merchant, mode) as (core, scope):
        found = roads.list_versions(core, scope)
    if as_json:
        click.echo(json.dumps(found))
    elif not found:
        click.echo("There is no route: accounts are tried by their own priority.")
    else:
        headings = [column.replace("_", " ") for column in COLUMNS]
        output.print_table(headings, ([row[column] for column in COLUMNS] for row in found))


@routes.command()
@_all
@click.argument("version", type=click.IntRange(1), required=False)
def show(data_dir: Path, merchant: str | None, mode: str, as_json: bool, version: int | None) -> None:
    """Print a version with its definition, the active one if none is named."""
    with _of(data_dir, merchant, mode) as (core, scope):
        found = roads.show(core, scope, version)
    _tell(found, as_json)


@routes.command()
@_deciding
@_FILE
@click.option("--note", help="What this version is for.")
@click.option("--version", type=click.IntRange(1), help="Change this draft; a new one is made if left out.")
def draft(
    data_dir: Path,
    merchant: str | None,
    mode: str,
    as_json: bool,
    reason: str,
    actor: str | None,
    file: Any,
    note: str | None,
    version: int | None,
) -> None:
    """Keep the definition in FILE (JSON, - for standard input) as a draft. Nothing uses it before it is activated."""
    definition, person = _read(file), person_of(actor, reason)
    with _of(data_dir, merchant, mode) as (core, scope):
        if version is None:
            found = roads.draft(core, scope, definition, note, person)
        else:
            found = roads.change(core, scope, version, person, definition=definition, note=note)
    _tell(found, as_json)


@routes.command()
@_all
@_FILE
def validate(data_dir: Path, merchant: str | None, mode: str, as_json: bool, file: Any) -> None:
    """Check the definition in FILE (JSON, - for standard input). Exit code 1 if it could not be activated."""
    with _of(data_dir, merchant, mode) as (core, scope):
        found = roads.validate(core, scope, _read(file))
    if as_json:
        click.echo(json.dumps(found))
    else:
        click.echo("The definition is good." if found["valid"] else "The definition cannot be activated:")
        _remarks(found)
    if not found["valid"]:
        raise click.exceptions.Exit(1)


@routes.command()
@_all
@click.option("--payment", help="One that is there (pay_…), in place of a sample.")
@click.option("--amount", type=click.IntRange(1), default=5000, show_default=True, help="In minor units.")
@click.option("--currency", default="USD", show_default=True)
@click.option("--method", type=click.Choice(["token", "redirect"]), default="redirect", show_default=True)
@click.option("--capture", type=click.Choice(["automatic", "manual"]), default="automatic", show_default=True)
@click.option("--country", help="Where the customer pays from, e.g. NG.")
@click.option("--customer", help="By id (cus_…).")
@click.option("--metadata", multiple=True, metavar="NAME=VALUE", help="May be repeated.")
@click.option("--provider", help="That the request asks for.")
@click.option("--version", type=click.IntRange(1), help="By this version; the active one if left out.")
@click.option("--file", type=click.File("r", encoding="utf-8"), help="By the definition in this file.")
def explain(data_dir: Path, merchant: str | None, mode: str, as_json: bool, **asked: Any) -> None:
    """Say what the router would do with a payment: every rule and every account. Nothing is kept or sent."""
    definition = None if asked["file"] is None else _read(asked["file"])
    about: Sample | UUID = _sample(asked) if asked["payment"] is None else _id("payment", asked["payment"])
    with _of(data_dir, merchant, mode) as (core, scope):
        found = route_explaining.explain(core, scope, about, definition=definition, version=asked["version"])
    if as_json:
        click.echo(json.dumps(found))
        return
    for line in found["words"]:
        click.echo(line)
    headings = ("tried", "account", "provider", "name", "share", "circuit", "left out because")
    able = [one["account"] for one in found["accounts"] if one["eligible"]]
    output.print_table(headings, (_line(one, able) for one in found["accounts"]))


@routes.command()
@_deciding
@_VERSION
@_REPLACES
def activate(
    data_dir: Path,
    merchant: str | None,
    mode: str,
    as_json: bool,
    reason: str,
    actor: str | None,
    version: int,
    replaces: int | None,
) -> None:
    """Make a version the one that payments accepted from now on are routed by."""
    person = person_of(actor, reason)
    with _of(data_dir, merchant, mode) as (core, scope):
        found = roads.activate(core, scope, version, person, replaces=replaces)
    _tell(found, as_json)


@routes.command()
@_deciding
@click.option("--to", type=click.IntRange(1), help="Which version; the one that was active before if left out.")
@_REPLACES
def rollback(
    data_dir: Path,
    merchant: str | None,
    mode: str,
    as_json: bool,
    reason: str,
    actor: str | None,
    to: int | None,
    replaces: int | None,
) -> None:
    """Go back to the version that was active before; without one, to the accounts' own priority."""
    person = person_of(actor, reason)
    with _of(data_dir, merchant, mode) as (core, scope):
        found = roads.roll_back(core, scope, person, to=to, replaces=replaces)
    if as_json:
        click.echo(json.dumps(found))
        return
    now = found["active"]
    click.echo(f"Version {found['retired']} is retired.")
    click.echo("No route is active." if now is None else f"Version {now['version']} is active.")


@contextmanager
def _of(data_dir: Path, merchant: str | None, mode: str) -> Iterator[tuple[Core, Scope]]:
    """Raises Refused, with every mistake of a definition on a line of its own."""
    try:
        with owner_core(data_dir) as core:
            merchant_id = choose_merchant(core, merchant, None)
            if merchant_id is None:
                raise Refused("name a merchant with --merchant")
            try:
                yield core, Scope(merchant_id, mode)
            except RequestRefused as error:
                raise Refused(
                    "\n".join([error.detail, *(f"  {one.field}: {one.message}" for one in error.errors)])
                ) from None
    except InvalidIdentifier:
        raise Refused("an id is not of the right kind") from None


def _read(file: Any) -> Any:
    """Raises Refused for what is no JSON, or names a field twice."""
    try:
        text = file.read(LONGEST_FILE + 1)
        if len(text) > LONGEST_FILE:
            raise Refused(f"the file has more than {LONGEST_FILE} characters; it is no route's definition")
        return json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise Refused(f"the file is not the JSON of a definition: {error}") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Raises ValueError: of two fields of one name only the last would be heeded."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"an object names {twice[:60]!r} twice")
    return found


def _sample(asked: Mapping[str, Any]) -> Sample:
    """Raises Refused."""
    from api.schemas.parameters import known_country, known_currency, known_provider

    pairs = [text.partition("=") for text in asked["metadata"]]
    if not all(middle and name for name, middle, _ in pairs):
        raise Refused("--metadata takes NAME=VALUE")
    try:
        sample = Sample(asked["amount"], known_currency(asked["currency"]), asked["method"], asked["capture"])
        country = None if asked["country"] is None else known_country(asked["country"].upper())
        provider = None if asked["provider"] is None else known_provider(asked["provider"])
    except ValueError as error:
        raise Refused(f"the sample cannot be taken as it is: {error}") from None
    customer = None if asked["customer"] is None else _id("customer", asked["customer"])
    metadata = {name: value for name, _, value in pairs}
    return replace(sample, country=country, provider=provider, customer=customer, metadata=metadata)


def _id(kind: str, text: str) -> UUID:
    try:
        return parse_id(kind, text)
    except InvalidIdentifier:
        raise Refused(f"--{kind} must be the id of a {kind}") from None


def _line(one: Mapping[str, Any], able: list[str]) -> tuple[Any, ...]:
    place = able.index(one["account"]) + 1 if one["eligible"] else ""
    share = f"{round(100 * one['share'], 1):g} %" if one["eligible"] else ""
    names = (one["account"], one["provider"], one["name"])
    return place, *names, share, one["health"]["circuit"], "; ".join(one["reasons"])


def _tell(found: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(found))
        return
    output.print_table(("", ""), [(name.replace("_", " "), found[name]) for name in ("id", "mode", *COLUMNS)])
    click.echo(json.dumps(found["definition"], indent=2))
    _remarks(found)


def _remarks(found: Mapping[str, Any]) -> None:
    for kind in ("errors", "warnings"):
        for one in found[kind]:
            click.echo(f"{kind[:-1]}: {one['field']}: {one['message']}", err=kind == "errors")
