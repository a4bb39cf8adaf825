"""Sessions: a random token in a cookie, its hash in a row; over when they rest, grow old, or somebody ends them."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.engine import Connection

from core.audit.log import EVERYBODY
from core.domain.errors import NotFoundError
from core.domain.identifiers import new_id, public_id
from core.domain.representations import timestamp
from core.domain.roles import ROLES
from core.orchestration.administrators import trail
from core.orchestration.administrators.trail import From
from core.orchestration.context import Core
from core.persistence.database import present
from core.persistence.queries import administrators as rows

#: A session's last use is written down at most so often: reading pages should not write a row each.
_SEEN_EVERY = timedelta(minutes=1)
#: A login that has come half-way (password given, code missing) is good for this long.
HALF_WAY = timedelta(minutes=10)
_LONGEST_AGENT = 200


@dataclass(frozen=True, slots=True)
class Session:
    """Who is there. `stage` is `full` once the code was given; `must_choose`: the password was chosen by others."""

    id: UUID
    person: UUID
    name: str
    role: str
    stage: str
    must_choose: bool
    notice: str | None
    confirmed: bool
    token: str = field(repr=False)

    @property
    def scopes(self) -> frozenset[str]:
        return ROLES[self.role]

    @property
    def actor(self) -> str:
        return trail.actor(self.person)

    def csrf(self) -> str:
        """What every form carries: made from the session's token, told to nobody who does not hold that."""
        return csrf(self.token)


def csrf(token: str) -> str:
    return hmac.new(token.encode(), b"csrf", hashlib.sha256).hexdigest()


def hash_of(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def begin(core: Core, connection: Connection, person: UUID, stage: str, come_from: From) -> str:
    """A new session's token, for the only time."""
    token, now = secrets.token_urlsafe(32), present(connection)
    life = timedelta(seconds=core.settings.session_lifetime) if stage == "full" else HALF_WAY
    values = {
        "id": new_id(),
        "administrator_id": person,
        "token_hash": hash_of(token),
        "stage": stage,
        "address": come_from.address,
        "agent": None if come_from.agent is None else come_from.agent[:_LONGEST_AGENT],
        "created_at": now,
        "seen_at": now,
        "confirmed_at": now,
        "expires_at": now + life,
    }
    rows.insert_session(connection, values)
    return token


def find(core: Core, token: str) -> Session | None:
    """None when it is unknown, over, rested for too long, or its person is disabled."""
    with core.database.unscoped() as connection:
        row = rows.find_session(connection, hash_of(token))
        if row is None or row["now"] - row["seen_at"] > timedelta(seconds=core.settings.session_rest):
            return None
        changes: dict[str, Any] = {}
        if row["now"] - row["seen_at"] >= _SEEN_EVERY:
            changes["seen_at"] = row["now"]
        if changes:
            rows.change_session(connection, row["id"], changes)
    return _session(core, row, token)


def _session(core: Core, row: Mapping[Any, Any], token: str) -> Session:
    recent = timedelta(seconds=core.settings.session_confirm)
    return Session(
        id=row["id"],
        person=row["administrator_id"],
        name=row["name"],
        role=row["role"],
        stage=row["stage"],
        must_choose=row["password_until"] is not None,
        notice=row["notice"],
        confirmed=row["now"] - row["confirmed_at"] <= recent,
        token=token,
    )


def public(person: UUID) -> str:
    return public_id("administrator", person)


def say(core: Core, session: Session, notice: str | None) -> None:
    """What the next page says, once; None when it was said."""
    with core.database.unscoped() as connection:
        rows.change_session(connection, session.id, {"notice": notice})


def confirm(connection: Connection, session_id: UUID) -> None:
    """Who is there has just shown again that it is them."""
    rows.change_session(connection, session_id, {"confirmed_at": present(connection)})


def end(core: Core, session: Session, come_from: From) -> None:
    """The person leaves."""
    with core.database.scoped(EVERYBODY) as connection:
        if rows.end_sessions(connection, session.person, "logged out", one=session.id):
            details = {"session": public_id("administrator_session", session.id)}
            trail.record(
                connection, "administrator.logged_out", session.person, by=session.actor, come_from=come_from,
                details=details,
            )  # fmt: skip


def revoke(
    core: Core,
    person: UUID,
    *,
    by: str,
    come_from: From | None = None,
    one: UUID | None = None,
    but: UUID | None = None,
) -> int:
    """End all sessions of a person, `one`, or all `but` one. Raises NotFoundError for one that is not theirs."""
    with core.database.scoped(EVERYBODY) as connection:
        ended = rows.end_sessions(connection, person, f"ended by {by}", one=one, but=but)
        if one is not None and not ended:
            raise NotFoundError("there is no such session, or it is over already")
        tell_ended(connection, person, ended, by=by, come_from=come_from)
    return len(ended)


def tell_ended(connection: Connection, person: UUID, ended: list[UUID], *, by: str, come_from: From | None) -> None:
    """One audit record for all that were ended together."""
    if ended:
        names = [public_id("administrator_session", number) for number in ended]
        trail.record(
            connection, "administrator.sessions_ended", person, by=by, come_from=come_from, details={"sessions": names}
        )


def listed(core: Core, person: UUID) -> list[dict[str, Any]]:
    """Those that are not over, newest first; without their tokens."""
    with core.database.unscoped() as connection:
        rested = present(connection) - timedelta(seconds=core.settings.session_rest)
        found = rows.open_sessions(connection, person)
    return [_shown(row) for row in found if row["seen_at"] >= rested]


def _shown(row: Mapping[Any, Any]) -> dict[str, Any]:
    return {
        "id": public_id("administrator_session", row["id"]),
        "stage": row["stage"],
        "address": row["address"],
        "agent": row["agent"],
        "created_at": timestamp(row["created_at"]),
        "seen_at": timestamp(row["seen_at"]),
        "expires_at": timestamp(row["expires_at"]),
    }


def spare_codes_left(core: Core, session: Session) -> int:
    with core.database.unscoped() as connection:
        return rows.count_spare_codes(connection, session.person)
