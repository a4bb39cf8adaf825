"""The one row of the installation, and how far its audit log goes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.persistence import pipeline

STANDING = sa.text(
    "SELECT id, paused_at, paused_because, resumed_at, restored_at, app_now() AS present, "
    "highest_audit_number() AS audit_number FROM installation"
)
_PAUSED = sa.text("SELECT paused_because FROM installation")
_PAUSE = sa.text("SELECT pause_installation(:because)")
_RESUME = sa.text(
    "UPDATE installation SET paused_at = NULL, paused_because = NULL, resumed_at = app_now(), resumed_by = :by, "
    "restored_at = app_now() WHERE paused_at IS NOT NULL"
)

#: Which copy of the database this is. Each is asked apart, since a server may refuse one of them. A standby in recovery
#: has no timeline of its own; one that is promoted begins another, and so does every recovery from an archive.
COPY: Mapping[str, str] = {
    "system": "SELECT system_identifier::text AS value FROM pg_control_system()",
    "timeline": "SELECT CASE WHEN NOT pg_is_in_recovery() THEN substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) END "
    "AS value",
    "oid": "SELECT oid::text AS value FROM pg_database WHERE datname = current_database()",
}


def copy_field(connection: Connection, name: str) -> str | None:
    found: str | None = pipeline.fetch(connection, COPY[name])[0]["value"]
    return found


def standing(connection: Connection) -> Mapping[str, Any]:
    """Who this database is and how far it goes, seen at one moment of its own time."""
    return dict(connection.execute(STANDING).mappings().one())


def paused_because(connection: Connection) -> str | None:
    found: str | None = connection.execute(_PAUSED).scalar_one()
    return found


def pause(connection: Connection, because: str) -> bool:
    """True for whoever is first; an earlier reason stays."""
    return bool(connection.execute(_PAUSE, {"because": because}).scalar_one())


def resume(connection: Connection, by: str) -> bool:
    """The owner's alone. False if it was not paused."""
    return connection.execute(_RESUME, {"by": by}).rowcount == 1
