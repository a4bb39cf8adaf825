"""`tollgate reports`: figures for finance, as a table, CSV or JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeVar

import click

from cli.commands import options, output
from cli.commands.accounts import choose_merchant
from cli.errors import Refused
from cli.target import owner_core
from core.orchestration.context import Core
from core.persistence.database import Scope
from core.reconciliation import exports
from core.reports import reading
from core.reports.reading import DIMENSIONS, Dimension, Window
from core.reports.spreadsheet import flat

Command = TypeVar("Command", bound=Callable[..., Any])
#: What the table for people leaves out; CSV and JSON have everything.
_WIDE = ("declines", "latency_mean_ms", "calls", "received", "canceled", "open")


@click.group()
def reports() -> None:
    """Print figures for finance."""


def windowed(command: Command) -> Command:
    day = click.DateTime(["%Y-%m-%d"])
    for option in (
        options.data_dir,
        click.option("--mode", type=click.Choice(("test", "live")), required=True),
        click.option("--merchant", help="Whose (mer_…); may be left out while there is one merchant."),
        click.option("--since", type=day, help="The first day (UTC); thirty days ago if left out."),
        click.option("--until", type=day, help="The last day (UTC); today if left out."),
        click.option("--csv", "as_csv", is_flag=True, help="Print CSV."),
        click.option("--json", "as_json", is_flag=True, help="Print one line of JSON."),
    ):
        command = option(command)
    return command


@reports.command()
@windowed
@click.option("--by", default="", help=f"Any of {', '.join(DIMENSIONS)}, separated by commas.")
def payments(by: str, as_csv: bool, as_json: bool, **where: Any) -> None:
    """Volume, success, declines, refunds, disputes, fees, net and latency, by the day a payment was made.

    A fee in another currency than the payment's stands in a line of that currency, without payments.
    """
    chosen: list[Dimension] = []
    for one in (part for part in by.split(",") if part):
        known = next((name for name in DIMENSIONS if name == one), None)
        if known is None:
            raise Refused(f"--by takes {', '.join(DIMENSIONS)}, separated by commas")
        chosen.append(known)
    lines = _read(where, lambda core, scope, window: reading.payments(core, scope, window, chosen))
    _print(lines, as_csv, as_json, reading.payments_columns(chosen), _WIDE)


@reports.command()
@windowed
def settlements(as_csv: bool, as_json: bool, **where: Any) -> None:
    """What the providers paid out, each payout with its equation."""
    _print(_read(where, reading.settlements), as_csv, as_json, reading.SETTLEMENT_COLUMNS, ())


def _read(where: dict[str, Any], read: Callable[[Core, Scope, Window], list[dict[str, Any]]]) -> list[dict[str, Any]]:
    today = datetime.now(UTC).date()
    until: date = where["until"].date() if where["until"] else today
    since: date = where["since"].date() if where["since"] else until - timedelta(days=30)
    with owner_core(where["data_dir"]) as core:
        merchant = choose_merchant(core, where["merchant"], None)
        if merchant is None:
            raise Refused("name a merchant with --merchant")
        return read(core, Scope(merchant, where["mode"]), Window(since, until))


def _print(
    lines: list[dict[str, Any]], as_csv: bool, as_json: bool, columns: Sequence[str], left_out: tuple[str, ...]
) -> None:
    if as_json:
        click.echo(json.dumps(lines))
    elif as_csv:
        for text in exports.lines(columns, map(flat, lines)):
            click.echo(text, nl=False)
    elif not lines:
        click.echo("Nothing in this window.")
    else:
        shown = [name for name in lines[0] if name not in left_out]
        output.print_table([name.replace("_", " ") for name in shown], ([row[one] for one in shown] for row in lines))
