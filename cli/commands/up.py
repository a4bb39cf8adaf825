"""`tollgate up`: the whole service in one go, until Ctrl-C or SIGTERM."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

import click
from rich.console import Console
from rich.status import Status
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from cli.commands import options
from cli.errors import Refused
from cli.service import Service
from core.persistence.migrate import MigrationRefused

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Progress:
    """Sentences on standard error: one moving line on a terminal, else a line each."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._status: Status | None = None

    def __call__(self, sentence: str) -> None:
        if not self._console.is_terminal:
            self._console.print(sentence, soft_wrap=True)
        elif self._status is None:
            self._status = self._console.status(sentence)
            self._status.start()
        else:
            self._status.update(sentence)

    def end(self) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None


def report(event: str, details: dict[str, Any]) -> None:
    """One JSON line on standard error about a child, for people and for log collectors."""
    line = {"at": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event, **details}
    say(json.dumps(line))


def say(sentence: str) -> None:
    """On standard error, if that is still open: a closed terminal is no reason to leave children behind."""
    with contextlib.suppress(OSError):
        click.echo(sentence, err=True)


class Stopper:
    """The first signal ends the wait (or the start), the second one stops waiting for children."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self.asked = threading.Event()

    def install(self) -> None:
        for number in SIGNALS:
            # nohup means: go on when the terminal is closed.
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.asked.is_set():
            self._service.hurry()
        self.asked.set()
        self._service.cancel()


def plain_url(url: str) -> str:
    """An address as every client reads it, without the name of the Python driver."""
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def describe(service: Service) -> dict[str, Any]:
    """What `--json` prints."""
    return {
        "api": service.api_url,
        "docs": f"{service.api_url}/docs",
        "test_key": service.test_key,
        "admin_key": service.admin_key,
        "dashboard": f"{service.api_url}/dashboard",
        "administrator": dict(service.seeded.administrator) or None,
        "sandbox": service.sandbox_urls or None,
        # Sees every row and cannot touch the audit log; the api's login sees nothing until a merchant is set.
        "database_url": plain_url(service.worker_database_url),
        "migration_database_url": plain_url(service.owner_database_url),
        "api_database_url": plain_url(service.database_url),
        "redis_url": service.redis_url,
        "key_file": str(service.key_file),
        "accounts": dict(service.seeded.accounts),
        "data_dir": str(service.data_dir),
        "pid": os.getpid(),
    }


def rows(service: Service) -> list[tuple[str, str]]:
    """The same for a person, passwords left out."""
    shown = [("API", service.api_url), ("Documentation", f"{service.api_url}/docs")]
    shown += [(f"Local {name.capitalize()}", url) for name, url in service.sandbox_urls.items()]
    shown += [("Test key", service.test_key), ("Admin key", service.admin_key)]
    shown += [("Dashboard", f"{service.api_url}/dashboard"), *people(service)]
    return [*shown, ("Data and logs", str(service.data_dir))]


def people(service: Service) -> list[tuple[str, str]]:
    """How to log in to the dashboard."""
    person = service.seeded.administrator
    if not person:
        return [("Administrator", "`tollgate admin create NAME --role admin` makes the first one")]
    password = person.get("password", "the one you have chosen")
    return [("Administrator", f"{person['name']}, password {password}"), ("Its code", "`tollgate admin code`")]


def curl_line(service: Service) -> str:
    """A payment to try, as one pastes it."""
    return (
        f"curl -s {service.api_url}/v1/payments -H 'Authorization: Bearer {service.test_key}' \\\n"
        "  -H 'Content-Type: application/json' -H \"Idempotency-Key: $(date +%s)\" -H 'Prefer: wait=10' \\\n"
        '  -d \'{"amount": 5000, "currency": "USD", '
        '"payment_method": {"type": "token", "token": "pm_card_visa"}}\''
    )


def start(service: Service, progress: Progress) -> None:
    """Starts it, turning what a database of the environment may answer into a sentence."""
    try:
        service.start()
    except MigrationRefused as error:
        raise Refused(str(error)) from None
    except SQLAlchemyError as error:
        raise Refused(f"the database does not serve: {str(getattr(error, 'orig', error)).strip()}") from None
    except OSError as error:
        raise Refused(str(error)) from None
    finally:
        progress.end()


def show(service: Service, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(describe(service)))
        sys.stdout.flush()
        return
    # Not a table that folds: keys are copied from here.
    for name, value in rows(service):
        click.echo(f"{click.style(f'{name:<16}', bold=True)}{value}")
    if service.sandbox_urls:
        click.echo(f"\nTry a payment:\n\n{curl_line(service)}")
    click.echo("\nCtrl-C stops everything.")


@click.command()
@options.data_dir
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Of the API; 0 keeps or finds a free one.")
@click.option("--workers", type=click.IntRange(1, 64), help="Worker processes; one a core if not given.")
@click.option("--no-sandbox", is_flag=True, help="Without the local Stripe and Paystack.")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON when ready.")
def up(data_dir: Path, port: int, workers: int | None, no_sandbox: bool, as_json: bool) -> None:
    """Start the whole service and stay until Ctrl-C.

    Postgres and Redis are started from the installed packages, unless DATABASE_URL (with
    MIGRATION_DATABASE_URL) and REDIS_URL name others.
    """
    progress = Progress()
    service = Service(
        data_dir,
        port=port,
        workers=workers,
        sandbox=not no_sandbox,
        environ=os.environ,
        report=report,
        progress=progress,
    )
    stopper = Stopper(service)
    stopper.install()
    try:
        start(service, progress)
    except Refused:
        if stopper.asked.is_set():
            return
        raise
    try:
        show(service, as_json)
        stopper.asked.wait()
    finally:
        say("Stopping")
        service.stop()
