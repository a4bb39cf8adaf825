"""Which copy of the database is this? One that lost its last seconds is not behind the anchor file, yet another one."""

from __future__ import annotations

from dataclasses import asdict

import sqlalchemy as sa
import structlog

from core.orchestration.context import Core
from core.persistence.queries import installation as rows
from core.startup.anchor import Copy

log = structlog.get_logger()

#: SQLSTATE classes of a server that does not tell: no right, no such function, not supported, not in this state.
_NOT_TOLD = ("42", "0A", "55")
#: As a sentence names what is another than before.
_WORDS = {"system": "server", "timeline": "timeline", "oid": "database"}
_REFUSED: set[str] = set()


def seen(core: Core) -> Copy:
    """As far as the server tells; what it refuses is not compared. Raises SQLAlchemyError where it is away."""
    return Copy(**{name: _ask(core, name) for name in rows.COPY})


def _ask(core: Core, name: str) -> str | None:
    if name in _REFUSED:
        return None
    try:
        with core.database.glance() as connection:
            return rows.copy_field(connection, name)
    except sa.exc.DBAPIError as error:
        if (getattr(error.orig, "pgcode", None) or "")[:2] not in _NOT_TOLD:
            raise
        _REFUSED.add(name)  # once a process: it would be asked every 10 s
        log.info("copy_not_told", kind=name)
        return None


def doubt(known: Copy, found: Copy, *, synchronous: bool) -> str | None:
    """What speaks against this copy, in a sentence. `synchronous`: a standby that takes over has every commit."""
    before, now = asdict(known), asdict(found)
    differ = [name for name in before if None not in (before[name], now[name]) and before[name] != now[name]]
    if synchronous and differ == ["timeline"]:
        return None
    if not differ:
        return None
    return (
        "this is another copy of the database, or a standby that took over: what was committed in the last seconds "
        f"before may be lost (another {' and another '.join(_WORDS[name] for name in differ)} than this machine has "
        "worked on)"
    )
