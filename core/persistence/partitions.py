"""The tables that are cut by month: months are made ahead, old ones taken off and dropped."""

from __future__ import annotations

import sqlalchemy as sa
from psycopg2 import errorcodes

from core.persistence.database import Database

#: Months, for the migration and the schedule alike. A schedule that stands still is noticed long before they run out,
#: and every plan over such a table holds all of them, so that more would cost each request.
MONTHS_AHEAD = 6

_ENSURE = sa.text("SELECT ensure_partitions(:months)")
_DETACH = sa.text("SELECT detach_oldest_partition(:table, :months)")
_DROP = sa.text("SELECT drop_detached_partition(:days)")
#: Others wait behind the lock while it is asked whether a month is still needed.
_SHORT = sa.text("SET LOCAL statement_timeout = '2s'")


class InUse(Exception):
    """Somebody has been reading or writing the table for longer than we are willing to make others wait."""


def ensure(database: Database) -> int:
    """Make the months that are missing; returns how many. Raises sqlalchemy.exc.SQLAlchemyError."""
    with database.unscoped() as connection:
        return int(connection.execute(_ENSURE, {"months": MONTHS_AHEAD}).scalar_one())


def detach(database: Database, table: str, months: int) -> str | None:
    """Take the oldest month off a table, if it ended `months` ago and nothing in it is needed; its name.

    Raises InUse, and sqlalchemy.exc.SQLAlchemyError.
    """
    return _briefly(database, _DETACH, {"table": table, "months": months})


def drop(database: Database, days: int) -> str | None:
    """Drop one month that was detached `days` ago; its name. Raises InUse, and sqlalchemy.exc.SQLAlchemyError."""
    return _briefly(database, _DROP, {"days": days})


def _briefly(database: Database, statement: sa.TextClause, values: dict[str, object]) -> str | None:
    try:
        with database.unscoped() as connection:
            connection.execute(_SHORT)
            found: str | None = connection.execute(statement, values).scalar_one()
            return found
    except sa.exc.OperationalError as error:
        if getattr(error.orig, "pgcode", None) in (errorcodes.LOCK_NOT_AVAILABLE, errorcodes.QUERY_CANCELED):
            raise InUse from None
        raise
