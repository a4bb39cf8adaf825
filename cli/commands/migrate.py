"""`tollgate migrate`: brings roles and schema up to date, for deployments that do not use `tollgate up`."""

from __future__ import annotations

from pathlib import Path

import click
from sqlalchemy.exc import SQLAlchemyError

from cli import target
from cli.commands import options
from cli.errors import Refused
from core.persistence.migrate import MigrationRefused, newest_revision
from core.persistence.migrate import migrate as migrate_database


@click.command()
@options.data_dir
def migrate(data_dir: Path) -> None:
    """Bring roles and schema up to date; safe at any time and from several hosts at once.

    Uses MIGRATION_DATABASE_URL (the owner) and DATABASE_URL (the api's login), or the installation that runs in
    the data directory.
    """
    found = target.find(data_dir).databases
    try:
        migrate_database(found.owner, found.api, found.worker)
    except MigrationRefused as error:
        raise Refused(str(error)) from None
    except SQLAlchemyError as error:
        raise Refused(f"the database does not serve: {str(getattr(error, 'orig', error)).strip()}") from None
    click.echo(f"The database is at revision {newest_revision()}.")
