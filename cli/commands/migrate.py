"""`tollgate migrate`: brings roles and schema up to date, for deployments that do not use `tollgate up`."""

from __future__ import annotations

import os
from pathlib import Path

import click
from alembic.util.exc import CommandError
from sqlalchemy.exc import SQLAlchemyError

from cli import databases, target
from cli.commands import options
from cli.errors import Refused
from cli.lock import running
from cli.migrating import migrate as bring_up_to_date
from core.environment import unknown, variables
from core.persistence import later_indexes
from core.persistence.migrate import MigrationRefused
from core.settings import Settings
from core.startup.servers import reason


@click.command()
@options.data_dir
def migrate(data_dir: Path) -> None:
    """Bring roles and schema up to date; safe at any time and from several hosts at once.

    Uses MIGRATION_DATABASE_URL (the owner), DATABASE_URL (the api's login) and WORKER_DATABASE_URL (the workers'),
    or the installation that runs in the data directory.
    """
    if wrong := list(unknown(os.environ, variables(Settings))):
        raise Refused("these settings of the environment are wrong:\n  " + "\n  ".join(wrong))
    # Beside `tollgate up` the derived logins are those it runs with.
    if running(data_dir) is None:
        databases.refuse_derived(os.environ)
    found = target.find(data_dir).databases
    try:
        revision = bring_up_to_date(found)
    except MigrationRefused as error:
        raise Refused(str(error)) from None
    except SQLAlchemyError as error:
        raise Refused(f"the database does not serve: {reason(error)}") from None
    except CommandError as error:
        raise Refused(f"the schema cannot be brought up to date: {error}") from None
    click.echo(f"The database is at revision {revision}.")
    try:
        built = later_indexes.build(found.owner)
    except later_indexes.IndexNotBuilt as error:
        raise Refused(str(error)) from None
    except SQLAlchemyError as error:
        raise Refused(f"the database does not serve: {reason(error)}") from None
    if built:
        click.echo(f"Indexes built beside traffic: {', '.join(built)}.")
