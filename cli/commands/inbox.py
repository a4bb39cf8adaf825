"""`tollgate inbox`: what providers told us, and having it read again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import click

from cli.commands import options, output
from cli.commands.jobs import person_of
from cli.errors import Refused
from cli.target import owner_core
from core.domain.identifiers import InvalidIdentifier, parse_id
from core.orchestration import replay as replays
from core.orchestration.context import Core
from core.orchestration.review import Person
from core.persistence.queries.replays import Wanted
from core.providers.registry import PROVIDERS

COLUMNS = ("id", "provider", "kind", "status", "mode", "payment", "received_at", "reason")
#: Events between two lines of progress.
STEP = 100

Command = TypeVar("Command", bound=Callable[..., Any])


@click.group()
def inbox() -> None:
    """List what providers told us, and have it read again."""


def choosing(command: Command) -> Command:
    """The options that say which events."""
    for option in (
        click.option("--until", type=options.Span(), help="Received before so long ago: 90m, 24h, 7d."),
        click.option("--since", type=options.Span(), help="Received since: 90m, 24h, 7d."),
        click.option("--kind", help="Only of this kind, as the provider calls it, e.g. charge.refunded."),
        click.option("--status", type=click.Choice(replays.STATUSES), help="Only in this status."),
        click.option("--provider", type=click.Choice(sorted(PROVIDERS)), help="Only of this provider."),
    ):
        command = option(command)
    return command


@inbox.command(name="list")
@options.data_dir
@choosing
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="The newest so many.")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
def list_(data_dir: Path, limit: int, as_json: bool, **chosen: Any) -> None:
    """List stored events, the newest last. Their bodies are sealed, and are not shown."""
    with owner_core(data_dir) as core:
        found = replays.list_events(core, Wanted(**chosen), limit + 1)
    if len(found) > limit:
        found = found[-limit:]
        click.echo("There are more: --limit shows them.", err=True)
    if as_json:
        click.echo(json.dumps(found))
    elif not found:
        click.echo("No such events.")
    else:
        output.print_table(COLUMNS, ([row[column] for column in COLUMNS] for row in found))


@inbox.command()
@options.data_dir
@click.argument("event_id")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
def show(data_dir: Path, event_id: str, as_json: bool) -> None:
    """Print an event without its body, and what will read it. EVENT_ID begins with inb_."""
    with owner_core(data_dir) as core:
        found = replays.show(core, _number(event_id))
    if as_json:
        click.echo(json.dumps(found))
        return
    jobs = found.pop("jobs")
    output.print_table(
        ("", ""), [(name.replace("_", " "), value) for name, value in found.items() if value is not None]
    )
    for job in jobs:
        click.echo(f"\n{job['id']} is {job['status']}, due {job['due']}")
    click.echo(f"\nHave it read again:  tollgate inbox replay {found['id']} --reason '…'")


@inbox.command()
@options.data_dir
@click.argument("event_id", required=False)
@choosing
@click.option("--dry-run", is_flag=True, help="Say what would be read again, and change nothing.")
@click.option("--reason", required=True, help="Why, in a sentence. Kept for ever, and the merchant may read it.")
@click.option("--actor", help="Who decides; the name you are logged in under if not given.")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
def replay(
    data_dir: Path,
    event_id: str | None,
    dry_run: bool,
    reason: str,
    actor: str | None,
    as_json: bool,
    **chosen: Any,
) -> None:
    """Have events read again: EVENT_ID (inb_…), or all that --status, --since and the other options choose.

    They go the way of a first reading. What was applied already is not applied twice.
    """
    person, wanted = person_of(actor, reason), Wanted(**chosen)
    if event_id is None and wanted.status is None and wanted.since is None:
        raise Refused("name an event (inb_…), or choose with --status or --since")
    if event_id is not None and wanted != Wanted():
        raise Refused("name one event or choose several, not both")
    with owner_core(data_dir) as core:
        if event_id is not None:
            told = _one(core, _number(event_id), person, dry_run)
        else:
            told = _several(core, wanted, person, dry_run)
    _tell(told, as_json)


def _one(core: Core, number: UUID, person: Person, dry_run: bool) -> dict[str, Any]:
    if dry_run:
        found = replays.show(core, number)
        return {"would_replay": 1, "event": found["id"], "status": found["status"]}
    return {"replayed": 1, "left": [], **replays.replay(core, number, person)}


def _several(core: Core, wanted: Wanted, person: Person, dry_run: bool) -> dict[str, Any]:
    if dry_run:
        return {"would_replay": replays.count(core, wanted)}
    done = replays.replay_all(core, wanted, person, _progress)
    return {"replayed": done.replayed, "left": [{"id": event, "why": why} for event, why in done.left]}


def _progress(number: int, of: int) -> None:
    if number % STEP == 0 and number < of:
        click.echo(f"{number} of {of}", err=True)


def _tell(told: dict[str, Any], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(told))
        return
    if "would_replay" in told:
        click.echo(f"{told['would_replay']} would be read again; nothing was changed.")
        return
    for one in told["left"]:
        click.echo(f"left: {one['why']}")
    click.echo(f"{told['replayed']} will be read again; `tollgate inbox list` shows how they end.")


def _number(event_id: str) -> UUID:
    try:
        return parse_id("inbox_event", event_id)
    except InvalidIdentifier:
        raise Refused("the id of a stored event begins with inb_ and has 26 letters after that") from None
