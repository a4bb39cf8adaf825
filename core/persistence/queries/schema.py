"""Is the schema the one this code was written for? Asked without any right on the migration's own table."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.persistence.tables import metadata

_COLUMNS = sa.text(
    "SELECT c.relname || '.' || a.attname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid "
    "WHERE c.relnamespace = 'public'::regnamespace AND c.relname = ANY(:tables) "
    "AND a.attnum > 0 AND NOT a.attisdropped"
)


def missing_columns(connection: Connection) -> list[str]:
    """`table.column` of everything the code uses and the database does not have, in order."""
    wanted = {f"{table.name}.{column.name}" for table in metadata.sorted_tables for column in table.columns}
    found = connection.execute(_COLUMNS, {"tables": [table.name for table in metadata.sorted_tables]}).scalars()
    return sorted(wanted - set(found))
