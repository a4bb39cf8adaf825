"""`tollgate reconcile`: our books against the providers', on demand, with progress."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args
from uuid import UUID

import click

from cli.commands import options, output
from cli.commands import verify as verdict
from cli.commands.accounts import accounts_of
from cli.errors import Refused
from cli.login import login
from cli.target import owner_core
from core.domain.errors import StateConflict
from core.domain.identifiers import InvalidIdentifier, parse_id, public_id
from core.orchestration import accounts
from core.orchestration.context import Core
from core.persistence.database import Scope
from core.reconciliation import runs
from core.reconciliation.run_ends import OPEN
from core.reconciliation.runs import Kind, Window

COLUMNS = ("id", "kind", "status", "provider_account", "since", "until", "findings", "counts")
#: Seconds between looks at a run, and until one that does not move is given up on by the command, not by the worker.
LOOK, PATIENCE = 0.3, 3600.0
#: Seconds that `verify` waits for the questions of its first comparison.
REST = 60.0
_ASKED = (
    "SELECT count(*) FROM jobs WHERE kind IN ('sync_payment', 'sync_dispute') "
    "AND (status = 'running' OR (status = 'queued' AND run_after <= app_now()))"
)
TIMES = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ"])


@click.group()
def reconcile() -> None:
    """Compare our books with the providers'."""


@reconcile.command()
@options.data_dir
@click.option("--account", help="Which account (acc_…); all enabled ones if left out.")
@click.option("--kind", type=click.Choice(get_args(Kind)), multiple=True, help="May be repeated; all if left out.")
@click.option("--since", type=TIMES, help="UTC; three days before the end if left out.")
@click.option("--until", type=TIMES, help="UTC; now if left out.")
@click.option("--no-wait", is_flag=True, help="Start them and go.")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
def run(
    data_dir: Path,
    account: str | None,
    kind: tuple[Kind, ...],
    since: datetime | None,
    until: datetime | None,
    no_wait: bool,
    as_json: bool,
) -> None:
    """Start runs, and wait for their ends. Exit code 1 when one failed; findings are listed by `tollgate findings`."""
    with owner_core(data_dir) as core:
        window = _window(core, since, until)
        started = [
            (scope, runs.start(core, scope, number, one, window, f"cli:{login()}"))
            for scope, number in _accounts(core, account)
            for one in kind or get_args(Kind)
        ]
        if not started:
            raise Refused("there is no enabled account: add one with `tollgate accounts add`")
        ended = [runs.shown(runs.find(core, *one)) for one in started] if no_wait else list(_ends(core, started))
    _print(ended, as_json)
    if any(one["status"] == "failed" for one in ended):
        raise click.exceptions.Exit(1)


@reconcile.command()
@options.data_dir
@click.option("--since", type=TIMES, help="UTC; three days before the end if left out.")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
def verify(data_dir: Path, since: datetime | None, as_json: bool) -> None:
    """Compare everything with every provider, and end with exit code 0 if all of it agrees, else 1.

    What a first comparison can put right is put right, and compared again. With local providers their own ledgers are
    held beside our books, too.
    """
    with owner_core(data_dir) as core:
        _all_runs(core, _window(core, since, None))
        _at_rest(core)
        window = _window(core, since, None)
        ended = _all_runs(core, window)
        verdicts = [verdict.of_run(one) for one in ended]
        scopes = dict.fromkeys(scope for scope, _ in _accounts(core, None))
        verdicts += [verdict.of_payouts(core, scope, window) for scope in scopes]
    verdicts += verdict.of_ledgers(data_dir)
    verdict.tell(verdicts, as_json)
    if not all(one.ok for one in verdicts):
        raise click.exceptions.Exit(1)


def _all_runs(core: Core, window: Window) -> list[dict[str, Any]]:
    started = []
    for scope, number in _accounts(core, None):
        for one in get_args(Kind):
            started.append((scope, _start_when_free(core, scope, number, one, window)))
    return list(_ends(core, started))


def _start_when_free(core: Core, scope: Scope, number: UUID, kind: Kind, window: Window) -> UUID:
    """The clock's own run may be under way."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return runs.start(core, scope, number, kind, window, f"cli:{login()}")
        except StateConflict:
            if time.monotonic() > end:
                raise
            time.sleep(LOOK)


def _at_rest(core: Core) -> None:
    """Until what the first comparison set to ask has been asked."""
    end = time.monotonic() + REST
    while time.monotonic() < end:
        with core.database.unscoped() as connection:
            if not connection.exec_driver_sql(_ASKED).scalar_one():
                return
        time.sleep(LOOK)


def _window(core: Core, since: datetime | None, until: datetime | None) -> Window:
    """The database's time says what now is."""
    if until is None:
        with core.database.unscoped() as connection:
            now: datetime = connection.exec_driver_sql("SELECT app_now()").scalar_one()
        end = now
    else:
        end = until.replace(tzinfo=UTC)
    return Window(end - timedelta(days=3) if since is None else since.replace(tzinfo=UTC), end)


def _accounts(core: Core, named: str | None) -> list[tuple[Scope, UUID]]:
    if named is not None:
        try:
            parse_id("provider_account", named)
        except InvalidIdentifier:
            raise Refused("an account's id begins with acc_ and has 26 letters after that") from None
    found = [
        (Scope(merchant["uuid"], row["mode"]), parse_id("provider_account", row["id"]))
        for merchant in accounts.list_merchants(core)
        for row in accounts_of(core, merchant)
        if row["id"] == named or (named is None and row["status"] in ("enabled", "draining"))
    ]
    if named is not None and not found:
        raise Refused(f"there is no account {named}; `tollgate accounts list` shows them")
    return found


def _ends(core: Core, started: list[tuple[Scope, UUID]]) -> Iterator[dict[str, Any]]:
    end = time.monotonic() + PATIENCE
    for scope, run_id in started:
        said = ""
        while True:
            found = runs.shown(runs.find(core, scope, run_id))
            told = f"{found['kind']} of {found['provider_account']}: {found['slices_done']} of {found['slices'] or '?'}"
            if told != said:
                click.echo(told, err=True)
                said = told
            if found["status"] not in OPEN:
                yield found
                break
            if time.monotonic() > end:
                raise Refused(
                    f"{public_id('reconciliation_run', run_id)} goes on: `tollgate reconcile show` follows it"
                )
            time.sleep(LOOK)


@reconcile.command(name="list")
@options.data_dir
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="The newest so many.")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
def list_(data_dir: Path, limit: int, as_json: bool) -> None:
    """List runs, the newest first."""
    with owner_core(data_dir) as core:
        found = [
            runs.shown(row)
            for merchant in accounts.list_merchants(core)
            for mode in ("test", "live")
            for row in runs.list_runs(core, Scope(merchant["uuid"], mode), limit, None)[:limit]
        ]
    _print(sorted(found, key=lambda one: str(one["id"]), reverse=True)[:limit], as_json)


@reconcile.command()
@options.data_dir
@click.argument("run_id")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
def show(data_dir: Path, run_id: str, as_json: bool) -> None:
    """Print a run, how far it is and what it found. RUN_ID begins with run_."""
    try:
        number = parse_id("reconciliation_run", run_id)
    except InvalidIdentifier:
        raise Refused("a run's id begins with run_ and has 26 letters after that") from None
    with owner_core(data_dir) as core:
        found = runs.shown(runs.find(core, None, number))
    if as_json:
        click.echo(json.dumps(found))
    else:
        flat = ((name, json.dumps(value) if isinstance(value, dict) else value) for name, value in found.items())
        output.print_table(("", ""), [(name.replace("_", " "), value) for name, value in flat if value is not None])


def _print(found: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(found))
    elif not found:
        click.echo("No runs.")
    else:
        rows = ([json.dumps(row[one]) if isinstance(row[one], dict) else row[one] for one in COLUMNS] for row in found)
        output.print_table([column.replace("_", " ") for column in COLUMNS], rows)
