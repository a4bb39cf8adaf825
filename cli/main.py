"""Entry point of `tollgate`: finds the command, turns what was refused into a sentence and an exit code."""

from __future__ import annotations

import importlib
import sys

import click

from cli.errors import Refused
from core.observability import configure_logging

#: name: (module of the command, the line that `tollgate --help` shows). Modules are imported when they are used,
#: so that `tollgate --help` answers at once.
COMMANDS: dict[str, tuple[str, str]] = {
    "up": ("cli.commands.up", "Start the whole service and stay."),
    "demo": ("cli.commands.demo", "Run real payments through a local Stripe and a local Paystack."),
    "doctor": ("cli.commands.doctor", "Check every dependency and setting, and say what to do."),
    "migrate": ("cli.commands.migrate", "Bring the database up to date."),
    "keys": ("cli.commands.keys", "Create, list and revoke API keys."),
    "admin": ("cli.commands.admin", "Make administrators, give them roles, end their sessions."),
    "sealing": ("cli.commands.sealing", "Rotate the keys that seal what is secret."),
    "accounts": ("cli.commands.accounts", "Add, list, rotate, drain and disable provider accounts."),
    "routes": ("cli.commands.routes", "Say which account carries a payment: rules, weights, versions."),
    "resume": ("cli.commands.resume", "Let a paused installation go on, asking before it sends."),
    "payments": ("cli.commands.payments", "Look into a payment."),
    "jobs": ("cli.commands.jobs", "List the jobs that wait for a person, and decide them."),
    "inbox": ("cli.commands.inbox", "List what providers told us, and have it read again."),
    "reconcile": ("cli.commands.reconcile", "Compare our books with the providers'."),
    "payouts": ("cli.commands.payouts", "Look into what the providers paid out."),
    "reports": ("cli.commands.reports", "Print figures for finance."),
    "audit": ("cli.commands.audit", "Read, export and verify the audit log."),
    "api": ("cli.commands.api", "Ask a running service over HTTP: all of its API."),
    "findings": ("cli.commands.findings", "List what a person should look at, and decide it."),
}


class LazyGroup(click.Group):
    """Knows its commands by name and imports one when it is called for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = getattr(importlib.import_module(COMMANDS[cmd_name][0]), cmd_name)
        if not isinstance(command, click.Command):
            raise TypeError(f"{COMMANDS[cmd_name][0]} holds no command {cmd_name}")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tollgate")
def tollgate() -> None:
    """One gate in front of Stripe and Paystack."""


def main() -> None:
    """Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 130 interrupted."""
    # Unconfigured, structlog would print tracebacks with the values of local variables.
    configure_logging("WARNING", "cli")
    try:
        sys.exit(tollgate.main(standalone_mode=False) or 0)
    except click.exceptions.Exit as exit_:
        sys.exit(exit_.exit_code)
    except click.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except Refused as error:
        click.echo(f"tollgate: {error}", err=True)
        sys.exit(1)
