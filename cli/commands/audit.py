"""`tollgate audit`: the log of who did what, its export with proof, and whether it is what was sealed."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from cli.commands import options, output
from cli.errors import Refused
from cli.login import login
from cli.target import anchor_file, core_session, find, owner_core
from core.audit import exports
from core.audit.exports import ExportFile, NoExport
from core.audit.log import EVERYBODY
from core.audit.searching import Wanted
from core.audit.verifying import Verified
from core.domain.identifiers import InvalidIdentifier, parse_id
from core.orchestration import auditing, sealing
from core.orchestration.context import Caller

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
COLUMNS = ("number", "created_at", "merchant", "actor", "action", "subject", "from_status", "to_status")

Command = TypeVar("Command", bound=Callable[..., Any])


@click.group()
def audit() -> None:
    """Read, export and verify the audit log."""


def read_keys(texts: Sequence[str]) -> list[bytes]:
    """Raises Refused."""
    try:
        keys = [bytes.fromhex(text.strip()) for text in texts]
    except ValueError:
        keys = [b""]
    if any(len(key) != 32 for key in keys):
        raise Refused("--public-key is 64 hexadecimal digits, as `tollgate audit public-key` prints them")
    return keys


@audit.command(name="public-key")
@options.data_dir
def public_key(data_dir: Path) -> None:
    """Print the key that seals are checked with. Keep it where the log is checked, apart from this machine."""
    with owner_core(data_dir) as core:
        click.echo(sealing.signer(core).public_key.hex())


@audit.command()
@options.data_dir
@click.option("--public-key", "keys", multiple=True, help="One more key that may have signed; may be given again.")
@click.option("--archive", "archives", type=FILE, multiple=True, help="An export of months that are not here any more.")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
@click.pass_context
def verify(
    context: click.Context, data_dir: Path, keys: tuple[str, ...], archives: tuple[Path, ...], as_json: bool
) -> None:
    """Hold every record against its seal, every seal against the one before, the last against the anchor file.

    Exit code 1 if anything was tampered with. 1,000,000 records take well under a minute.
    """
    known, target = read_keys(keys), find(data_dir)
    session = core_session(target.databases.owner, target.redis_url, target.key_file)
    with session as core, readable(), contextlib.ExitStack() as stack:
        kept = [stack.enter_context(ExportFile(path)) for path in archives]
        found = sealing.verify(core, anchor_file(target), known, kept, _progress)
    if as_json:
        click.echo(json.dumps(asdict(found)))
    else:
        _tell(found)
    if found.tamperings:
        context.exit(1)


@contextlib.contextmanager
def readable() -> Iterator[None]:
    """Raises Refused for a file that is no export."""
    try:
        yield
    except (NoExport, OSError, UnicodeDecodeError) as error:
        raise Refused(f"the export cannot be read: {error}") from None


def _progress(count: int) -> None:
    if sys.stderr.isatty():
        click.echo(f"\r{count} records", nl=False, err=True)


def _tell(found: Verified) -> None:
    for one in found.tamperings:
        click.echo(f"{one.kind.replace('_', ' ')}: {one.what}")
    for note in found.notes:
        click.echo(f"Note: {note}.")
    click.echo(f"{found.records} records under {found.seals} seals were read.")
    if found.unsealed:
        click.echo(f"{found.unsealed} records wait for a seal, the oldest for {found.unsealed_for:.0f} s.")
    if found.tamperings:
        click.echo('The log was tampered with: docs/runbook.md, "The audit log was tampered with", says what to do.')
    else:
        click.echo("All that was sealed is as it was sealed.")


def filtering(command: Command) -> Command:
    """The options by which records are chosen."""
    for option in (
        options.data_dir,
        click.option("--merchant", help="Only records of this merchant (mer_…)."),
        click.option("--mode", type=click.Choice(["test", "live"]), help="Only of this mode."),
        click.option("--payment", help="Only records about this payment (pay_…) and its parts."),
        click.option("--subject", help="Only records about the thing with this id, of any kind."),
        click.option("--subject-kind", help="Only records about things of this kind, as in provider_account."),
        click.option("--actor", help="Only records of this actor, as records name it."),
        click.option("--action", help="Only records of this action, as in finding.resolved."),
        click.option("--request", "request_id", help="Only records of this request (req_…)."),
        click.option("--since", type=click.DateTime(), help="UTC, inclusive."),
        click.option("--until", type=click.DateTime(), help="UTC, exclusive."),
    ):
        command = option(command)
    return command


def wanted_of(given: dict[str, Any]) -> Wanted:
    """Raises Refused."""
    from core.domain.errors import TollgateError

    def number(kind: str) -> Any:
        return None if given[kind] is None else parse_id(kind, given[kind])

    def moment(name: str) -> datetime | None:
        return None if given[name] is None else given[name].replace(tzinfo=UTC)

    try:
        return Wanted(
            merchant=number("merchant"),
            mode=given["mode"],
            payment=number("payment"),
            subject=None if given["subject"] is None else auditing.subject_id(given["subject"]),
            subject_kind=given["subject_kind"],
            actor=given["actor"],
            action=given["action"],
            request=given["request_id"],
            since=moment("since"),
            until=moment("until"),
        )
    except InvalidIdentifier as error:
        raise Refused(f"{error}: --merchant takes mer_…, --payment takes pay_…") from None
    except TollgateError as error:
        raise Refused(str(error)) from None


@audit.command(name="list")
@filtering
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="The newest so many.")
@click.option("--before", type=click.IntRange(1), help="Only records numbered below this.")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON, with everything.")
def list_(data_dir: Path, limit: int, before: int | None, as_json: bool, **given: Any) -> None:
    """List records, the newest first."""
    wanted = wanted_of(given)
    found: list[dict[str, Any]] = []
    with owner_core(data_dir) as core:
        while True:
            page = auditing.search(core, wanted, limit - len(found), before)
            found, before = found + page["data"], page["next"]
            if before is None or len(found) >= limit:
                break
    if before is not None:
        click.echo(f"There are more: --before {before} shows them.", err=True)
    if as_json:
        click.echo(json.dumps(found))
    elif not found:
        click.echo("No such records.")
    else:
        rows = ([row[column] for column in COLUMNS] for row in found)
        output.print_table([column.replace("_", " ") for column in COLUMNS], rows)


@audit.command()
@filtering
@click.option("--first", type=click.IntRange(1), help="Number of the first record; the very first if not given.")
@click.option(
    "--last", type=click.IntRange(1), help="Number of the last record; the newest that is sealed if not given."
)
def export(data_dir: Path, first: int | None, last: int | None, **given: Any) -> None:
    """Print records as JSON lines, with the seals and hashes that prove them without the database.

    The export itself is recorded. `tollgate audit check FILE` proves it.
    """
    wanted, caller = wanted_of(given), Caller(EVERYBODY, f"cli:{login()}")
    with owner_core(data_dir) as core:
        for line in auditing.export_all(core, caller, first, last, wanted):
            click.echo(line, nl=False)


@audit.command()
@click.argument("file", type=FILE)
@click.option("--public-key", "keys", multiple=True, required=True, help="As `tollgate audit public-key` printed it.")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
@click.pass_context
def check(context: click.Context, file: Path, keys: tuple[str, ...], as_json: bool) -> None:
    """Prove an export with the public key alone: no database, no installation. Exit code 1 if it does not hold."""
    with readable(), file.open(encoding="utf-8") as lines:
        found = exports.check(lines, read_keys(keys))
    if as_json:
        click.echo(json.dumps(asdict(found)))
    else:
        for fault in found.faults:
            click.echo(f"Fault: {fault}.")
        whole = "every record of it is there" if found.complete else "an excerpt"
        click.echo(
            f"{found.records} records under {found.seals} seals, numbers {found.first} to {found.last}: {whole}."
        )
        click.echo("The export does not hold." if found.faults else "Every record is as it was sealed.")
    if found.faults:
        context.exit(1)
