"""Bringing the schema up to date, with a record of who did and what it was before."""

from __future__ import annotations

from cli.databases import Databases
from cli.login import login


def migrate(databases: Databases) -> str:
    """The revision the database is at then. Raises what `core.persistence.migrate.migrate` raises."""
    # Slow to import, and only needed here.
    from core.audit import log
    from core.persistence.database import open_database
    from core.persistence.migrate import migrate as migrate_database
    from core.persistence.migrate import newest_revision
    from core.persistence.queries.audit import installation
    from core.persistence.revisions import read_revision

    database = open_database(databases.owner, 1, "tollgate-migrate")
    try:
        with database.unscoped() as connection:
            before = read_revision(connection)
        migrate_database(databases.owner, databases.api, databases.worker)
        after = newest_revision()
        if before != after:
            with database.unscoped() as connection:
                log.record(
                    connection,
                    scope=log.EVERYBODY,
                    actor=f"cli:{login()}",
                    action="schema.migrated",
                    subject_kind="installation",
                    subject_id=installation(connection),
                    cause="person",
                    before={"revision": before},
                    after={"revision": after},
                )
        return after
    finally:
        database.engine.dispose()
