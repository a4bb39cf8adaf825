"""The schema's revisions, read from the migrations' text: importing alembic would cost every process 0.3 s and 9 MB."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection

_VERSIONS = Path(__file__).with_name("migrations") / "versions"
_NAMES = re.compile(r'^(down_)?revision(?:: [^=]+)? = (?:None|"(\w+)")$', flags=re.MULTILINE)


@cache
def revisions() -> tuple[str, ...]:
    """Every revision this code knows, the newest last."""
    before: dict[str | None, str] = {}
    for file in _VERSIONS.glob("[0-9a-z]*.py"):
        named = {kind: name or None for kind, name in _NAMES.findall(file.read_text(encoding="utf-8"))}
        before[named["down_"]] = str(named[""])
    ordered, last = [], before.get(None)
    while last is not None:
        ordered.append(last)
        last = before.get(last)
    return tuple(ordered)


def schema_fault(found: str | None, oldest_program: str | None = None) -> str | None:
    """Why the code cannot work on a database at revision `found`; None if it can.

    `oldest_program` is what a newer schema says: the last revision that a program must know to run on it.
    """
    if found == revisions()[-1] or (found not in revisions() and oldest_program in revisions()):
        return None
    if found is not None and found not in revisions():
        return (
            f"the database is at revision {found}, newer than this program, which ends at {revisions()[-1]}: "
            "start the version that migrated it, or a newer one"
        )
    at = "before its first migration" if found is None else f"at revision {found}"
    return f"the database is {at}, this program needs {revisions()[-1]}: run `tollgate migrate`"


def read_revision(connection: Connection) -> str | None:
    """None before the first migration. Raises SQLAlchemyError."""
    if connection.execute(sa.text("SELECT to_regclass('public.alembic_version')")).scalar_one() is None:
        return None
    return connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


def read_oldest_program(connection: Connection) -> str | None:
    """None where the schema does not say. Raises SQLAlchemyError."""
    if connection.execute(sa.text("SELECT to_regclass('public.installation')")).scalar_one() is None:
        return None
    return connection.execute(sa.text("SELECT oldest_program FROM installation")).scalar_one_or_none()
