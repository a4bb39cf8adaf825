"""`tollgate findings`: what a person should look at, and what that person decides."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, get_args
from uuid import UUID

import click

from cli.commands import options, output
from cli.commands.jobs import person_of
from cli.errors import Refused
from cli.target import owner_core
from core.domain.findings import KINDS, Repair, Severity
from core.domain.identifiers import InvalidIdentifier, parse_id
from core.persistence.database import Scope

COLUMNS = (
    "id",
    "kind",
    "severity",
    "status",
    "amount",
    "currency",
    "payment",
    "assigned_to",
    "suggestion",
    "created_at",
)
EXPORTED = (
    *COLUMNS,
    "means",
    "provider_account",
    "details",
    "evidence",
    "resolved_at",
    "resolved_by",
    "action",
    "resolution",
)
STATUSES = ("unresolved", "open", "assigned", "resolved")
#: As the command line has them. A job is decided with `tollgate jobs`.
ACTIONS: dict[str, Repair] = {one.replace("_", "-"): one for one in get_args(Repair) if one != "decide_job"}

Command = TypeVar("Command", bound=Callable[..., Any])


@click.group()
def findings() -> None:
    """List what a person should look at, and decide it."""


def deciding(command: Command) -> Command:
    """The options of every command that decides something."""
    for option in (
        options.data_dir,
        click.argument("finding_id"),
        click.option("--reason", required=True, help="Why, in a sentence. Kept for ever in the audit log."),
        click.option("--actor", help="Who decides; the name you are logged in under if not given."),
        click.option("--json", "as_json", is_flag=True, help="Print one line of JSON."),
    ):
        command = option(command)
    return command


@findings.command(name="list")
@options.data_dir
@click.option("--status", type=click.Choice(STATUSES), default="unresolved", show_default=True)
@click.option("--kind", type=click.Choice(sorted(KINDS)), help="Only findings of this kind.")
@click.option("--severity", type=click.Choice(get_args(Severity)), help="Only findings this grave.")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="The newest so many.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV with every column.")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
def list_(
    data_dir: Path,
    status: Any,
    kind: str | None,
    severity: Any,
    limit: int,
    as_csv: bool,
    as_json: bool,
) -> None:
    """List findings, the newest first."""
    from core.reconciliation import exports
    from core.reconciliation import findings as roads

    wanted = roads.Wanted(limit=limit, status=status, kind=kind, severity=severity)
    with owner_core(data_dir) as core:
        found = [roads.shown(row) for row in roads.list_findings(core, None, wanted)]
    if len(found) > limit:
        found = found[:limit]
        click.echo("There are more: --limit shows them.", err=True)
    if as_json:
        click.echo(json.dumps(found))
    elif as_csv:
        for line in exports.lines(EXPORTED, found):
            click.echo(line, nl=False)
    elif not found:
        click.echo("No such findings.")
    else:
        output.print_table(
            [column.replace("_", " ") for column in COLUMNS], ([row[column] for column in COLUMNS] for row in found)
        )


@findings.command()
@options.data_dir
@click.argument("finding_id")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
def show(data_dir: Path, finding_id: str, as_json: bool) -> None:
    """Print a finding with what both sides say. FINDING_ID begins with fnd_."""
    from core.reconciliation import findings as roads

    with owner_core(data_dir) as core:
        row = roads.find(core, _number(finding_id))
    _tell(roads.shown(row), as_json)


@findings.command()
@deciding
@click.option("--to", help="Whose hands it is put into; nobody's if left out.")
def assign(data_dir: Path, finding_id: str, reason: str, actor: str | None, as_json: bool, to: str | None) -> None:
    """Put a finding into somebody's hands. FINDING_ID begins with fnd_."""
    from core.reconciliation import findings as roads

    number, decider = _number(finding_id), person_of(actor, reason)
    with owner_core(data_dir) as core:
        row = roads.find(core, number)
        done = roads.assign(core, Scope(row["merchant_id"], row["mode"]), number, to, decider)
    _tell(roads.shown(done), as_json)


@findings.command()
@deciding
@click.option("--as", "action", type=click.Choice(list(ACTIONS)), required=True, help="What is done about it.")
@click.option("--payment", help="With link: the payment (pay_…) that the provider's charge belongs to.")
def resolve(
    data_dir: Path,
    finding_id: str,
    reason: str,
    actor: str | None,
    as_json: bool,
    action: str,
    payment: str | None,
) -> None:
    """End a finding with a repair: take-over, refund-surplus, link, ignore or done. FINDING_ID begins with fnd_."""
    from core.reconciliation import findings as roads

    number, decider = _number(finding_id), person_of(actor, reason)
    try:
        about = None if payment is None else parse_id("payment", payment)
    except InvalidIdentifier:
        raise Refused("--payment must be an id that begins with pay_") from None
    with owner_core(data_dir) as core:
        row = roads.find(core, number)
        scope = Scope(row["merchant_id"], row["mode"])
        done = roads.resolve(core, scope, number, ACTIONS[action], decider, about)
    _tell(roads.shown(done), as_json)


def _number(finding_id: str) -> UUID:
    try:
        return parse_id("finding", finding_id)
    except InvalidIdentifier:
        raise Refused("a finding's id begins with fnd_ and has 26 letters after that") from None


def _tell(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(found))
        return
    flat = ((name, json.dumps(value) if isinstance(value, dict | list) else value) for name, value in found.items())
    output.print_table(("", ""), [(name.replace("_", " "), value) for name, value in flat if value not in (None, "")])
