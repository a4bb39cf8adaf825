"""`tollgate accounts`: the merchants' provider accounts, whose credentials are sealed before they are stored."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import click

from cli.commands import options, output
from cli.commands.jobs import person_of
from cli.errors import Refused
from cli.login import login
from cli.target import owner_core
from core.domain.errors import RequestRefused
from core.domain.identifiers import InvalidIdentifier, parse_id, public_id
from core.orchestration import account_care, health_reading
from core.orchestration import accounts as roads
from core.orchestration.context import Core
from core.persistence.database import Scope
from core.providers.registry import PROVIDERS

MODES = ("test", "live")
LONGEST_NAME = 200  # characters, of a merchant
COLUMNS = (
    "id",
    "merchant",
    "provider",
    "mode",
    "name",
    "identity",
    "status",
    "suspended_reason",
    "priority",
    "webhook_path",
)

Command = TypeVar("Command", bound=Callable[..., Any])


@click.group()
def accounts() -> None:
    """Add, list, rotate, drain and disable provider accounts."""


@accounts.command()
@options.data_dir
@click.option("--provider", type=click.Choice(sorted(PROVIDERS)), required=True)
@click.option("--mode", type=click.Choice(MODES), required=True, help="Must be that of the credentials.")
@click.option("--merchant", help="Whose it is (mer_…); may be left out while there is one merchant.")
@click.option("--new-merchant", help="Make a merchant of this name for it.")
@click.option("--name", required=True, help="As lists show it.")
@click.option("--priority", type=click.IntRange(0, 10000), default=100, show_default=True, help="Lower is used first.")
@click.option("--api-base", help="Another address than the provider's own; test mode only.")
@click.option("--stdin", "from_stdin", is_flag=True, help="Read the secrets as one JSON object.")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
def add(
    data_dir: Path,
    provider: str,
    mode: str,
    merchant: str | None,
    new_merchant: str | None,
    name: str,
    priority: int,
    api_base: str | None,
    from_stdin: bool,
    as_json: bool,
) -> None:
    """Check credentials at the provider and store them sealed; the same account again is updated.

    Secrets are asked for, or read from standard input (--stdin) or from TOLLGATE_SECRET_KEY,
    TOLLGATE_PUBLISHABLE_KEY and TOLLGATE_WEBHOOK_SECRET. They are never taken from the command line.
    """
    with owner_core(data_dir) as core:
        account = new_account(provider, name, priority, api_base, read_secrets(provider, from_stdin))
        known = choose_merchant(core, merchant, new_merchant)
        shown = public_id("provider_account", save(core, mode, account, known, new_merchant or ""))
    if as_json:
        click.echo(json.dumps({"id": shown, "webhook_path": f"/webhooks/{provider}/{shown}"}))
    else:
        click.echo(f"Saved {shown}. Let {provider} send its webhooks to /webhooks/{provider}/{shown} of this service.")


@accounts.command(name="list")
@options.data_dir
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
def list_(data_dir: Path, as_json: bool) -> None:
    """List all provider accounts, without their secrets."""
    with owner_core(data_dir) as core:
        found = [row for merchant in roads.list_merchants(core) for row in accounts_of(core, merchant)]
    if as_json:
        click.echo(json.dumps(found))
        return
    headings = [column.replace("_", " ") for column in COLUMNS]
    output.print_table(headings, ([row[column] for column in COLUMNS] for row in found))


def caring(command: Command) -> Command:
    """The options of every command about one account that exists."""
    for option in (
        options.data_dir,
        click.argument("account_id"),
        click.option("--reason", required=True, help="Why, in a sentence. Kept for ever in the audit log."),
        click.option("--actor", help="Who decides; the name you are logged in under if not given."),
        click.option("--json", "as_json", is_flag=True, help="Print one line of JSON."),
    ):
        command = option(command)
    return command


@accounts.command()
@options.data_dir
@click.argument("account_id")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
def show(data_dir: Path, account_id: str, as_json: bool) -> None:
    """Print an account and what is still open at it. ACCOUNT_ID begins with acc_."""
    with owner_core(data_dir) as core:
        scope, number = scope_of(core, account_id)
        _tell(account_care.show(core, scope, number), as_json)


@accounts.command()
@options.data_dir
@click.argument("account_id")
@click.option("--limit", type=click.IntRange(1, 500), default=20, show_default=True, help="Steps of the history.")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
def health(data_dir: Path, account_id: str, limit: int, as_json: bool) -> None:
    """Print how an account stands, operation by operation, and how its circuits have stepped."""
    with owner_core(data_dir) as core:
        scope, number = scope_of(core, account_id)
        found = health_reading.show(core, scope, number, limit)
    if as_json:
        click.echo(json.dumps(found))
        return
    click.echo(f"{found['account']} is {found['status']}.")
    if not found["operations"]:
        click.echo("It was not called within ten minutes, and no circuit is open.")
    for name in ("operations", "history"):
        if found[name]:
            headings = list(found[name][0])
            output.print_table([one.replace("_", " ") for one in headings], (list(row.values()) for row in found[name]))


def _step(name: str, status: str, help_text: str) -> None:
    @accounts.command(name=name, help=f"{help_text} ACCOUNT_ID begins with acc_.")
    @caring
    def step(data_dir: Path, account_id: str, reason: str, actor: str | None, as_json: bool) -> None:
        person = person_of(actor, reason)
        with owner_core(data_dir) as core:
            scope, number = scope_of(core, account_id)
            _tell(account_care.set_status(core, scope, number, status, person), as_json)


_step("enable", "enabled", "Let an account take new payments.")
_step("drain", "draining", "Let an account take no new payments; what was begun there is finished there.")
_step("disable", "disabled", "Stop using an account that has no open work.")


@accounts.command()
@caring
@click.option("--webhook-secret-only", is_flag=True, help="Replace the webhook secret and nothing else.")
@click.option("--stdin", "from_stdin", is_flag=True, help="Read the secrets as one JSON object.")
def rotate(
    data_dir: Path,
    account_id: str,
    reason: str,
    actor: str | None,
    as_json: bool,
    webhook_secret_only: bool,
    from_stdin: bool,
) -> None:
    """Replace an account's secrets; replaced webhook secrets verify on for 72 hours. ACCOUNT_ID begins with acc_.

    Secrets are given as with `accounts add`. Those of another identity are refused.
    """
    person = person_of(actor, reason)
    with owner_core(data_dir) as core:
        scope, number = scope_of(core, account_id)
        provider = account_care.show(core, scope, number)["provider"]
        given = _webhook_secret(from_stdin) if webhook_secret_only else read_secrets(provider, from_stdin)
        signing = given.pop("webhook_secret", "")
        credentials = {name: value for name, value in given.items() if value}
        found = account_care.rotate(core, scope, number, credentials, [signing] if signing else [], person)
    _tell(found, as_json)


def _webhook_secret(from_stdin: bool) -> dict[str, str]:
    if from_stdin:
        return {"webhook_secret": str(json.loads(sys.stdin.read()).get("webhook_secret", ""))}
    given = os.environ.get("TOLLGATE_WEBHOOK_SECRET") or ask("Webhook secret", False)
    return {"webhook_secret": given}


@accounts.command(name="set")
@caring
@click.option("--name", help="As lists show it.")
@click.option("--priority", type=click.IntRange(0, 10000), help="Lower is used first.")
@click.option("--exclusive/--shared", default=None, help="Whether every charge at the account must be ours.")
@click.option("--pace", type=click.FloatRange(0, 100000), help="Requests a second in all; 0 is no limit.")
def set_(
    data_dir: Path,
    account_id: str,
    reason: str,
    actor: str | None,
    as_json: bool,
    name: str | None,
    priority: int | None,
    exclusive: bool | None,
    pace: float | None,
) -> None:
    """Change an account's name, priority or settings. ACCOUNT_ID begins with acc_."""
    person = person_of(actor, reason)
    settings: dict[str, Any] = {} if exclusive is None else {"exclusive": exclusive}
    if pace is not None:
        settings["pacing"] = {"total": pace}
    with owner_core(data_dir) as core:
        scope, number = scope_of(core, account_id)
        found = account_care.tune(core, scope, number, person, name=name, priority=priority, settings=settings or None)
    _tell(found, as_json)


def scope_of(core: Core, account_id: str) -> tuple[Scope, UUID]:
    """Raises Refused."""
    try:
        number = parse_id("provider_account", account_id)
    except InvalidIdentifier:
        raise Refused("an account's id begins with acc_ and has 26 letters after that") from None
    for merchant in roads.list_merchants(core):
        for row in accounts_of(core, merchant):
            if row["id"] == account_id:
                return Scope(merchant["uuid"], row["mode"]), number
    raise Refused(f"there is no account {account_id}; `tollgate accounts list` shows them")


def _tell(found: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(found))
        return
    flat = ((name, json.dumps(value) if isinstance(value, dict) else value) for name, value in found.items())
    output.print_table(("", ""), [(name.replace("_", " "), value) for name, value in flat if value not in (None, "")])


def accounts_of(core: Core, merchant: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {"merchant": merchant["id"], **row}
        for mode in MODES
        for row in roads.list_accounts(core, Scope(merchant["uuid"], mode))
    ]


def save(core: Core, mode: str, account: roads.NewAccount, known: UUID | None, new_merchant: str) -> UUID:
    """The account's id. A new merchant is made last: credentials that are refused leave none behind."""
    try:
        identity = roads.identify(core, mode, account)
    except RequestRefused as error:
        raise Refused(str(error)) from None
    actor = f"cli:{login()}"
    merchant_id = roads.create_merchant(core, new_merchant, actor) if known is None else known
    return roads.save_provider_account(core, Scope(merchant_id, mode), account, actor, identity)


def choose_merchant(core: Core, named: str | None, new: str | None) -> UUID | None:
    """The named one or the only one; None where one of the name `new` is to be made."""
    if named and new:
        raise Refused("give --merchant or --new-merchant, not both")
    if new:
        if len(new) > LONGEST_NAME:
            raise Refused(f"--new-merchant must have at most {LONGEST_NAME} characters")
        return None
    known: dict[str, UUID] = {row["id"]: row["uuid"] for row in roads.list_merchants(core)}
    if named is None:
        if len(known) == 1:
            return next(iter(known.values()))
        raise Refused(f"there are {len(known)} merchants: name one with --merchant, or make one with --new-merchant")
    try:
        parse_id("merchant", named)
    except InvalidIdentifier:
        raise Refused("--merchant must be an id that begins with mer_") from None
    if named not in known:
        raise Refused(f"there is no merchant {named}")
    return known[named]


def read_secrets(provider: str, from_stdin: bool) -> dict[str, str]:
    """From standard input, from the environment, or by asking without an echo."""
    wanted = PROVIDERS[provider].settings.secrets
    if from_stdin:
        given = parse_secrets(sys.stdin.read(), provider)
    else:
        given = {one.name: os.environ.get(f"TOLLGATE_{one.name.upper()}", "") for one in wanted}
        if not given["secret_key"]:
            given = {one.name: ask(one.label, one.optional) for one in wanted}
    if not given.get("secret_key"):
        raise Refused("the secret key is missing")
    return given


def ask(label: str, optional: bool) -> str:
    if optional:
        return str(click.prompt(f"{label}, or nothing", hide_input=True, default="", show_default=False))
    return str(click.prompt(label, hide_input=True))


def parse_secrets(text: str, provider: str) -> dict[str, str]:
    """Raises Refused without showing what was read."""
    known = {one.name for one in PROVIDERS[provider].settings.secrets}
    try:
        given = json.loads(text)
    except ValueError:
        raise Refused("standard input holds no JSON object") from None
    if not isinstance(given, dict) or not set(given) <= known or not all(isinstance(v, str) for v in given.values()):
        raise Refused(f"standard input must be a JSON object of texts named {', '.join(sorted(known))}")
    return {name: value.strip() for name, value in given.items()}


def new_account(
    provider: str, name: str, priority: int, api_base: str | None, secrets: Mapping[str, str]
) -> roads.NewAccount:
    given = {key: value for key, value in secrets.items() if value}
    webhook_secret = given.pop("webhook_secret", None)
    if PROVIDERS[provider].settings.signs_with_key:
        webhook_secret = given["secret_key"]
    return roads.NewAccount(
        provider=provider,
        name=name,
        credentials=given,
        webhook_secrets=[webhook_secret] if webhook_secret else [],
        api_base=api_base,
        priority=priority,
    )
