"""`tollgate payments`: what happened to a payment."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import sqlalchemy as sa
from babel.numbers import format_currency
from rich.text import Text

from cli.commands import options, output
from cli.errors import Refused
from cli.target import owner_core
from core.domain.identifiers import InvalidIdentifier, parse_id
from core.domain.money import Money
from core.orchestration import reading
from core.orchestration.context import Core
from core.persistence.database import Scope
from core.persistence.tables import payments as payment_rows
from core.persistence.tables import provider_accounts as account_rows

#: Of `amount_…`: shown once there is something in them.
SUMS = ("authorized", "captured", "received", "refunded", "disputed")


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
        account = account_of(core, payment)
    if as_json:
        click.echo(json.dumps({"payment": payment, "timeline": entries}))
    else:
        print_payment(payment, entries, account)


def whose(core: Core, payment_id: str) -> Scope:
    """Merchant and mode of a payment, which the person at this terminal need not know."""
    columns = payment_rows.c
    query = sa.select(columns.merchant_id, columns.mode).where(columns.id == parse_id("payment", payment_id))
    with core.database.unscoped() as connection:
        row = connection.execute(query).one_or_none()
    if row is None:
        raise Refused(f"there is no payment {payment_id}")
    return Scope(row.merchant_id, row.mode)


def account_of(core: Core, payment: dict[str, Any]) -> str | None:
    """By the name that a person gave it, and its id."""
    if payment["provider_account"] is None:
        return None
    columns = account_rows.c
    query = sa.select(columns.name).where(columns.id == parse_id("provider_account", payment["provider_account"]))
    with core.database.unscoped() as connection:
        return f"{connection.execute(query).scalar_one()} ({payment['provider_account']})"


def print_payment(payment: dict[str, Any], entries: list[dict[str, Any]], account: str | None) -> None:
    console = output.console()
    console.print(Text.assemble((payment["id"], "bold"), f"  {payment['status']}"))
    output.print_table(("", ""), header(payment, account))
    console.print()
    output.print_table(("at", "kind", "what happened"), (line(entry) for entry in entries))


def header(payment: dict[str, Any], account: str | None) -> list[tuple[str, str]]:
    """Name and value of what is known of the payment itself; what it lacks is left out."""
    currency = payment["currency"]
    rows = [
        ("reference", payment["reference"]),
        ("description", payment["description"]),
        ("created", payment["created_at"]),
        ("expires", payment["expires_at"]),
        ("mode", payment["mode"]),
        ("provider", payment["provider"]),
        ("account", account),
        ("decline", told_decline(payment["decline"])),
        ("amount", money(payment["amount"], currency)),
    ]
    rows += [(name, money(payment[f"amount_{name}"], currency)) for name in SUMS if payment[f"amount_{name}"]]
    return [(name, value) for name, value in rows if value]


def money(amount: int, currency: str) -> str:
    """As people write it and as the API has it: 50.00 USD (5000)."""
    # The locale is fixed, so that two operators read the same. Rounding to the digits Babel knows is off: ISO 4217,
    # which we keep to, gives some currencies others.
    major = Money(amount, currency).major
    text = format_currency(major, currency, format="#,##0.00 ¤¤", locale="en", decimal_quantization=False)
    return f"{text} ({amount})"


def told_decline(decline: dict[str, Any] | None) -> str:
    if not decline:
        return ""
    codes = [decline.get(name) for name in ("code", "category", "provider_code")]
    return f"{decline.get('message') or ''} ({', '.join(code for code in codes if code)})".strip()


def line(entry: dict[str, Any]) -> tuple[str, str, Text]:
    plain = {name: value for name, value in entry["details"].items() if not isinstance(value, dict | list)}
    details = ", ".join(f"{name} {value}" for name, value in plain.items())
    told = Text(entry["summary"])
    for sentence in entry["details"].get("in_words", ()):
        told.append(f"\n{sentence}")
    if details:
        told.append(f"\n{details}", style="dim")
    return entry["at"], entry["kind"], told
