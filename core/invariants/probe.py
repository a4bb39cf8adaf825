"""I8, tried out: as the api's own login, held to one merchant, nobody else's row is there."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import uuid4

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import ProgrammingError

from core.invariants import walls
from core.invariants.violation import Violation
from core.persistence.database import Database, Scope

MEANING = "the api's login, held to one merchant, sees another's row"
ADVICE = "stop the api until it is mended: a wall does not hold"
#: Merchants whose eyes are tried; a wall that fails fails for all.
MERCHANTS = 3

_MERCHANTS = sa.text(f"SELECT id FROM merchants ORDER BY id DESC LIMIT {MERCHANTS}")
_TABLES = sa.text(f"SELECT relname FROM ({walls.WALLED}) w ORDER BY relname")


def to_try(connection: Connection) -> tuple[list[str], list[Scope]]:
    """Tables and whose eyes to look with; one of them is a merchant nobody is, who sees nothing at all."""
    tables = list(connection.execute(_TABLES).scalars())
    scopes = [Scope(found, "test") for found in connection.execute(_MERCHANTS).scalars()]
    return tables, [Scope(uuid4(), "test"), *scopes]


def try_walls(api: Database, tables: Sequence[str], scopes: Sequence[Scope]) -> list[Violation]:
    """`api` is the api's login. A table it may not read at all is well walled."""
    found = []
    for scope in scopes:
        for table in tables:
            if _sees(api, scope, table):
                details = {"table_name": table, "as_merchant": str(scope.merchant_id)}
                found.append(Violation("I8", MEANING, details, "seen_through", ADVICE))
    return found


def _sees(api: Database, scope: Scope, table: str) -> bool:
    query = sa.text(f"SELECT EXISTS (SELECT FROM {table} WHERE merchant_id <> :merchant OR mode <> :mode)")
    try:
        with api.scoped(scope) as connection:
            return bool(connection.execute(query, {"merchant": scope.merchant_id, "mode": scope.mode}).scalar_one())
    except ProgrammingError as error:
        if getattr(error.orig, "pgcode", None) == "42501":
            return False
        raise
