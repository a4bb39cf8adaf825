"""`tollgate doctor`: looks at every dependency and setting and says what to do."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import click
from rich.text import Text

from cli import target
from cli.checks import (
    broker,
    connections,
    credentials,
    database,
    files,
    invariants,
    lanes,
    machine,
    providers,
    restore,
    sealing,
    seals,
    service,
    start,
    webhooks,
    words,
)
from cli.checks.finding import Finding, Situation, skipped
from cli.commands import options, output
from cli.errors import Refused
from cli.lock import running

CHECKS: tuple[Callable[[Situation], Iterator[Finding]], ...] = (
    machine.check,
    files.check,
    database.check,
    connections.check,
    broker.check,
    service.check,
    start.check,
    lanes.check,
    restore.check,
    sealing.check,
    seals.check,
    webhooks.check,
    providers.check,
    credentials.check,
    words.check,
)
STYLES = {"ok": "green", "warning": "yellow", "failed": "bold red", "skipped": "dim"}


def look(data_dir: Path, api_servers: int | None = None, workers: int | None = None) -> Situation:
    """What there is to examine; that nothing runs is no error here."""
    data_dir = Path(os.path.abspath(data_dir))
    found, why = None, ""
    try:
        found = target.find(data_dir, keep=False)
    except Refused as error:
        why = str(error)
    except OSError as error:  # the check of the data directory says what to do
        why = f"{error.filename} cannot be read: {error.strerror}"
    return Situation(data_dir, os.environ, found, why, api_servers, workers)


def examine(situation: Situation) -> Iterator[Finding]:
    """While the service starts, what is not up yet is no fault, and is not asked."""
    holder = running(situation.data_dir)
    if holder is not None and not holder.get("api"):
        yield from machine.check(situation)
        yield from files.check(situation)
        yield skipped("Service", f"starting: {holder.get('starting', 'its first step')}; look again when it is up")
        return
    for check in CHECKS:
        yield from check(situation)


def row(finding: Finding) -> tuple[str, Text, str]:
    detail = f"{finding.detail}\n→ {finding.advice}" if finding.advice else finding.detail
    return finding.subject, Text(finding.verdict, style=STYLES[finding.verdict]), detail


def _check_books(
    context: click.Context, data_dir: Path, as_json: bool, since: float | None, logs: tuple[Path, ...]
) -> None:
    lines = invariants.look(target.find(data_dir, keep=False), since, logs)
    if as_json:
        click.echo(invariants.as_json(lines))
    else:
        invariants.print_lines(lines, STYLES)
    if any(line.violations for line in lines):
        context.exit(1)


@click.command()
@options.data_dir
@click.option("--json", "as_json", is_flag=True, help="Print the findings as one line of JSON.")
@click.option("--api-servers", type=click.IntRange(1), help="API servers on all machines together.  [default: 1]")
@click.option("--workers", type=click.IntRange(1), help="Workers of all lanes on all machines together.")
@click.option("--invariants", "books", is_flag=True, help="Check the books instead: I1 to I8, in one read-only look.")
@click.option(
    "--since", type=options.Span(), default="24h", show_default=True, help="With --invariants: what was made since."
)
@click.option("--all", "everything", is_flag=True, help="With --invariants: everything there is.")
@click.option(
    "--log",
    "logs",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    help="With --invariants: one more log to search for secrets; may be given several times.",
)
@click.pass_context
def doctor(
    context: click.Context,
    data_dir: Path,
    as_json: bool,
    api_servers: int | None,
    workers: int | None,
    books: bool,
    since: float,
    everything: bool,
    logs: tuple[Path, ...],
) -> None:
    """Check every dependency and setting, and say what to do. Exit code 1 if one failed."""
    if books:
        _check_books(context, data_dir, as_json, None if everything else since, logs)
        return
    findings = list(examine(look(data_dir, api_servers, workers)))
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings]))
    else:
        output.print_table(("Check", "", "Found"), (row(finding) for finding in findings))
    if any(finding.verdict == "failed" for finding in findings):
        context.exit(1)
