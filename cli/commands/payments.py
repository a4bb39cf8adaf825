"""`tollgate payments`: what happened to a payment."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import sqlalchemy as sa
from rich.text import Text

from cli.commands import options, output
from cli.errors import Refused
from cli.target import owner_core
from core.domain.identifiers import InvalidIdentifier, parse_id
from core.orchestration import reading
from core.orchestration.context import Core
from core.persistence.database import Scope
from core.persistence.tables import payments as payment_rows


@click.group()
def payments() -> None:
    """Look into a payment."""


@payments.command()
@options.data_dir
@click.argument("payment_id")
@click.option("--json", "as_json", is_flag=True, help="Print payment and timeline as one line of JSON.")
def show(data_dir: Path, payment_id: str, as_json: bool) -> None:
    """Print a payment and everything that happened to it, in order. PAYMENT_ID begins with pay_."""
    with owner_core(data_dir) as core:
        try:
            number = parse_id("payment", payment_id)
        except InvalidIdentifier:
            raise Refused("a payment id begins with pay_ and has 26 letters after that") from None
        scope = whose(core, payment_id)
        payment = reading.get_payment(core, scope, number)
        entries = reading.timeline(core, scope, number)["data"]
    if as_json:
        click.echo(json.dumps({"payment": payment, "timeline": entries}))
    else:
        print_payment(payment, entries)


def whose(core: Core, payment_id: str) -> Scope:
    """Merchant and mode of a payment, which the person at this terminal need not know."""
    columns = payment_rows.c
    query = sa.select(columns.merchant_id, columns.mode).where(columns.id == parse_id("payment", payment_id))
    with core.database.unscoped() as connection:
        row = connection.execute(query).one_or_none()
    if row is None:
        raise Refused(f"there is no payment {payment_id}")
    return Scope(row.merchant_id, row.mode)


def print_payment(payment: dict[str, Any], entries: list[dict[str, Any]]) -> None:
    console = output.console()
    sums = ("amount", "amount_authorized", "amount_captured", "amount_received", "amount_refunded")
    console.print(f"[bold]{payment['id']}[/bold]  {payment['status']}  {payment['provider'] or ''}")
    console.print("  ".join(f"{name} {payment[name]}" for name in sums if name in payment), payment["currency"])
    output.print_table(("at", "kind", "what happened"), (line(entry) for entry in entries))


def line(entry: dict[str, Any]) -> tuple[str, str, Text]:
    plain = {name: value for name, value in entry["details"].items() if not isinstance(value, dict | list)}
    details = ", ".join(f"{name} {value}" for name, value in plain.items())
    told = Text(entry["summary"])
    if details:
        told.append(f"\n{details}", style="dim")
    return entry["at"], entry["kind"], told
