"""`tollgate payouts`: what the providers paid out, and the lines it is made of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from cli.commands import options, output
from cli.commands.accounts import scope_of
from cli.commands.payments import money
from cli.target import owner_core
from core.orchestration import accounts
from core.persistence.database import Scope
from core.reconciliation import exports, payout_reading

COLUMNS = (
    "payout", "provider_account", "status", "currency", "paid_out", "gross", "fees", "refunds", "disputes",
    "adjustments", "difference", "lines", "booked_at",
)  # fmt: skip
LINES = ("line", "kind", "matched", "amount", "fee", "net", "currency", "payment", "source", "booked_at")
EXPORTED = (
    *LINES,
    "transaction",
    "refund",
    "dispute",
    "payout",
    "original_amount",
    "original_currency",
    "exchange_rate",
)


@click.group()
def payouts() -> None:
    """Look into what the providers paid out."""


@payouts.command(name="list")
@options.data_dir
@click.option("--status", type=click.Choice(("matched", "differs", "incomplete", "failed")))
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="The newest so many.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
def list_(data_dir: Path, status: str | None, limit: int, as_csv: bool, as_json: bool) -> None:
    """List payouts with their equations, the newest first."""
    wanted = payout_reading.Wanted(limit, None, None, status)
    with owner_core(data_dir) as core:
        found = [
            row
            for merchant in accounts.list_merchants(core)
            for mode in ("test", "live")
            for row in payout_reading.list_payouts(core, Scope(merchant["uuid"], mode), wanted)["data"]
        ]
    found = sorted(found, key=lambda row: str(row["booked_at"]), reverse=True)[:limit]
    if as_json:
        click.echo(json.dumps(found))
    elif as_csv:
        for line in exports.lines(COLUMNS, found):
            click.echo(line, nl=False)
    elif not found:
        click.echo("No payouts.")
    else:
        output.print_table([one.replace("_", " ") for one in COLUMNS], ([row[one] for one in COLUMNS] for row in found))


@payouts.command()
@options.data_dir
@click.argument("account_id")
@click.argument("payout")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
def show(data_dir: Path, account_id: str, payout: str, as_json: bool) -> None:
    """Print a payout's equation and its lines. ACCOUNT_ID begins with acc_; PAYOUT is the provider's id."""
    with owner_core(data_dir) as core:
        scope, account = scope_of(core, account_id)
        found = payout_reading.find(core, scope, account, payout)
        lines = payout_reading.lines(core, scope, account, payout, 1000, None)
    if as_json:
        click.echo(json.dumps({**found, "statement_lines": lines}))
        return
    output.print_table(("", ""), _told(found))
    click.echo()
    output.print_table(LINES, ([row[one] for one in LINES] for row in lines))
    if found["lines"] > len(lines):
        click.echo(f"The first {len(lines)} of {found['lines']}: `tollgate payouts export` prints all.", err=True)


def _told(found: Mapping[str, Any]) -> list[tuple[str, object]]:
    rows = [(name.replace("_", " "), value) for name, value in found.items() if name != "exchanged"]
    for currency, one in found["exchanged"].items():
        sums = f"{money(one['original'], currency)} became {money(one['converted'], found['currency'])}"
        rows.append((f"charged in {currency}", f"{sums}, lines: {one['lines']}"))
    return [(name, value) for name, value in rows if value is not None]


@payouts.command()
@options.data_dir
@click.argument("account_id")
@click.argument("payout")
def export(data_dir: Path, account_id: str, payout: str) -> None:
    """Print every line of a payout as CSV. ACCOUNT_ID begins with acc_; PAYOUT is the provider's id."""
    with owner_core(data_dir) as core:
        scope, account = scope_of(core, account_id)
        payout_reading.find(core, scope, account, payout)
        for line in exports.lines(EXPORTED, payout_reading.all_lines(core, scope, account, payout)):
            click.echo(line, nl=False)
