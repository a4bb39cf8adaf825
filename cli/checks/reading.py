"""One look into the database as its owner, for checks that read rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from core.persistence.database import create_engine


def rows(url: str, query: sa.TextClause, values: Mapping[str, Any]) -> list[Any]:
    """Raises SQLAlchemyError."""
    engine = create_engine(url, 1, "tollgate-doctor")
    try:
        with engine.connect() as connection:
            return list(connection.execute(query, dict(values)).mappings())
    finally:
        engine.dispose()
