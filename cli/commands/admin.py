"""`tollgate admin`: makes and changes the people who may use the dashboard."""

from __future__ import annotations

import io
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import segno

from cli.commands import options, output
from cli.embedded import open_directory
from cli.errors import Refused
from cli.login import login
from cli.secrets_file import Secrets
from cli.seed import PERSON
from cli.target import owner_core, telling_core
from core.domain.identifiers import InvalidIdentifier, parse_id
from core.domain.roles import ROLES
from core.orchestration.administrators import codes, passwords, roster, sessions
from core.orchestration.administrators.roster import Access, By

_COLUMNS = ("name", "role", "status", "has_code", "created_at", "seen_at", "id")
_SESSION_COLUMNS = ("id", "stage", "address", "agent", "created_at", "seen_at")
#: Longer lines on standard input are no password.
_LONGEST_LINE = 1000

_json = click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
_stdin = click.option("--stdin", "from_stdin", is_flag=True, help="Read the password from standard input, one line.")
_temporary = click.option(
    "--temporary", is_flag=True, help="Make a password that is good for a day, and only to choose another."
)
_who = click.argument("who")


@click.group()
def admin() -> None:
    """Make administrators, give them roles, end their sessions.

    WHO is a name or an id (adm_…).
    """


def _by() -> By:
    return By(f"cli:{login()}")


def _password(from_stdin: bool, temporary: bool) -> str | None:
    """Asked twice without echo; never an argument, which everybody on the machine could read. Raises Refused."""
    if from_stdin and temporary:
        raise Refused("--temporary makes the password, so --stdin has nothing to read")
    if temporary:
        return None
    if from_stdin:
        line = sys.stdin.readline(_LONGEST_LINE).rstrip("\r\n")
        if not line:
            raise Refused("standard input holds no password: its first line is taken")
        return line
    if not sys.stdin.isatty():
        raise Refused("nobody is there to be asked for a password: give it with --stdin, or use --temporary")
    asked: str = click.prompt(
        f"Password, at least {passwords.SHORTEST} characters", hide_input=True, confirmation_prompt="Again", err=True
    )
    return asked


@admin.command()
@click.argument("name")
@click.option("--role", type=click.Choice(tuple(ROLES)), default="viewer", show_default=True, help="What they may do.")
@_stdin
@_temporary
@options.data_dir
@_json
def create(name: str, role: str, from_stdin: bool, temporary: bool, data_dir: Path, as_json: bool) -> None:
    """Make an administrator.

    With a password of their own choosing the key for their device is shown here, this once. With --temporary they set
    up device and password when they log in first.
    """
    password = _password(from_stdin, temporary)
    with owner_core(data_dir) as core:
        made = roster.create(core, name, role, _by(), password=password, with_code=not temporary)
    _tell(made, as_json, f"{made.name} is an administrator with the role {role}.")


def _tell(made: Access, as_json: bool, sentence: str) -> None:
    if as_json:
        shown = {
            "id": sessions.public(made.id), "name": made.name, "password": made.password, "secret": made.secret,
            "otpauth": made.uri,
        }  # fmt: skip
        click.echo(json.dumps({name: value for name, value in shown.items() if value is not None}))
        return
    click.echo(sentence, err=True)
    if made.password is not None:
        click.echo("Hand this password over. It is good for a day, and only to choose another:", err=True)
        click.echo(made.password)
    if made.uri is not None:
        click.echo("Scan this with an authenticator app. It is shown this once:", err=True)
        picture = io.StringIO()
        segno.make(made.uri, error="l").terminal(picture, compact=True)
        click.echo(picture.getvalue(), err=True)
        click.echo(made.uri)


@admin.command(name="list")
@options.data_dir
@_json
def list_(data_dir: Path, as_json: bool) -> None:
    """List all administrators."""
    with owner_core(data_dir) as core:
        found = roster.listed(core)
    _table(found, _COLUMNS, as_json)


def _table(found: list[dict[str, Any]], columns: tuple[str, ...], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(found))
    else:
        headings = [column.removesuffix("_at").replace("_", " ") for column in columns]
        output.print_table(headings, ([row[column] for column in columns] for row in found))


@admin.command()
@_who
@click.argument("role", type=click.Choice(tuple(ROLES)))
@options.data_dir
def role(who: str, role: str, data_dir: Path) -> None:
    """Give somebody another role; it holds from their next page on."""
    with owner_core(data_dir) as core:
        roster.set_role(core, roster.find(core, who), role, _by())
    click.echo(f"{who} has the role {role}.")


@admin.command()
@_who
@options.data_dir
def disable(who: str, data_dir: Path) -> None:
    """Close an account, and end its sessions at once."""
    with telling_core(data_dir) as core:
        roster.disable(core, roster.find(core, who), _by())
    click.echo(f"{who} cannot log in any more.")


@admin.command()
@_who
@options.data_dir
def enable(who: str, data_dir: Path) -> None:
    """Open an account again."""
    with telling_core(data_dir) as core:
        roster.enable(core, roster.find(core, who), _by())
    click.echo(f"{who} can log in again.")


@admin.command(name="reset-password")
@_who
@_stdin
@_temporary
@options.data_dir
@_json
def reset_password(who: str, from_stdin: bool, temporary: bool, data_dir: Path, as_json: bool) -> None:
    """Replace a password that is lost; sessions end."""
    password = _password(from_stdin, temporary)
    with owner_core(data_dir) as core:
        made = roster.reset_password(core, roster.find(core, who), _by(), password)
    _tell(made, as_json, f"{made.name} has another password.")


@admin.command(name="reset-code")
@_who
@click.option("--at-login", is_flag=True, help="Show no key here: a device is set up with the next login.")
@options.data_dir
@_json
def reset_code(who: str, at_login: bool, data_dir: Path, as_json: bool) -> None:
    """Replace a device that is lost, with its spare codes; sessions end."""
    with owner_core(data_dir) as core:
        made = roster.reset_code(core, roster.find(core, who), _by(), with_code=not at_login)
    _tell(made, as_json, f"The codes of {made.name} come from another device now.")


@admin.command(name="sessions")
@_who
@options.data_dir
@_json
def sessions_(who: str, data_dir: Path, as_json: bool) -> None:
    """List where somebody is logged in."""
    with owner_core(data_dir) as core:
        found = sessions.listed(core, roster.find(core, who))
    _table(found, _SESSION_COLUMNS, as_json)


@admin.command(name="end-sessions")
@_who
@click.option("--session", help="This one alone (ses_…).")
@options.data_dir
def end_sessions(who: str, session: str | None, data_dir: Path) -> None:
    """Log somebody out everywhere."""
    try:
        one = None if session is None else parse_id("administrator_session", session)
    except InvalidIdentifier:
        raise Refused("--session must be an id that begins with ses_") from None
    with owner_core(data_dir) as core:
        ended = sessions.revoke(core, roster.find(core, who), by=_by().actor, one=one)
    click.echo(f"Sessions ended: {ended}.")


@admin.command()
@options.data_dir
def code(data_dir: Path) -> None:
    """Print the code that the administrator of `tollgate up` logs in with now.

    Only for the one that `tollgate up` made for the local providers: its key is kept in the data directory. All
    others have their code on a device of their own.
    """
    kept = Secrets(open_directory(data_dir)).get(PERSON)
    if not kept:
        raise Refused("`tollgate up` has made no administrator in this folder; codes of others are on their devices")
    now = datetime.now(UTC)
    left = 30 - int(now.timestamp()) % 30
    click.echo(codes.at(kept["secret"], now))
    click.echo(f"Good for {left} s and the half minute after.", err=True)
