"""Who the administrators are: made, given roles, closed and opened again, their passwords and devices replaced."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.engine import Connection, RowMapping

from core.audit.log import EVERYBODY
from core.domain.errors import GrantRefused, LoginRefused, NotFoundError, RequestRefused, StateConflict
from core.domain.identifiers import InvalidIdentifier, new_id, parse_id, public_id
from core.domain.representations import timestamp
from core.domain.roles import ROLES
from core.orchestration import withdrawn
from core.orchestration.administrators import codes, passwords, sessions, trail
from core.orchestration.administrators.login import Logins
from core.orchestration.administrators.sessions import Session
from core.orchestration.administrators.trail import From
from core.orchestration.context import Core
from core.persistence.database import present
from core.persistence.queries import administrators as rows
from core.startup.withdrawals import Withdrawal

Row = Mapping[Any, Any]
_NAME = re.compile(r"[a-z0-9][a-z0-9._@+-]{1,79}")
#: A password that somebody else has seen is good for so long, and for one thing: to choose another.
FOREIGN = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class By:
    """Who changes somebody: as the audit log names them, and from where."""

    actor: str
    come_from: From | None = None
    #: What they may do themselves; None is the installation's owner.
    scopes: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Access:
    """What somebody needs to come in, for the only time. What is None was chosen by themselves, or is still to come."""

    id: UUID
    name: str
    password: str | None = field(repr=False, default=None)
    secret: str | None = field(repr=False, default=None)

    @property
    def uri(self) -> str | None:
        return None if self.secret is None else codes.uri(self.name, self.secret)


def create(core: Core, name: str, role: str, by: By, *, password: str | None = None, with_code: bool = False) -> Access:
    """Without a password one is made, to be replaced within a day; with `with_code` the device's secret is told now.

    Raises RequestRefused, StateConflict.
    """
    name = checked_name(name)
    _check_role(role)
    _check_reach(by, role)
    if password is not None:
        passwords.check(name, password)
    given = password or passwords.make()
    number, secret = new_id(), codes.make_secret() if with_code else None
    with core.database.scoped(EVERYBODY) as connection:
        now = present(connection)
        values = {
            "id": number,
            "name": name,
            "role": role,
            "password_hash": passwords.hash_of(given),
            "password_until": None if password is not None else now + FOREIGN,
            "code_sealed": None if secret is None else codes.seal(core, connection, number, secret),
            "code_confirmed_at": None if secret is None else now,
            "created_by": by.actor,
        }
        if not rows.insert(connection, values):
            raise StateConflict(f"there is an administrator {name} already")
        _tell(connection, "administrator.created", number, by, after={"name": name, "role": role})
    return Access(number, name, None if password is not None else given, secret)


def checked_name(text: str) -> str:
    """Raises RequestRefused."""
    name = text.strip().lower()
    if not _NAME.fullmatch(name):
        raise RequestRefused("a name has 2 to 80 of a-z 0-9 . _ @ + - and begins with a letter or digit")
    return name


def _check_role(role: str) -> None:
    if role not in ROLES:
        raise RequestRefused(f"there is no such role; there are {', '.join(ROLES)}")


def _check_reach(by: By, role: str) -> None:
    """Nobody gives more than they have, or takes somebody over who may more. Raises GrantRefused."""
    lacking = ROLES[role] - by.scopes if by.scopes is not None else frozenset()
    if lacking:
        raise GrantRefused(f"the role {role} may more than you: {', '.join(sorted(lacking))}")


def _tell(connection: Connection, action: str, number: UUID, by: By, **more: Any) -> None:
    trail.record(connection, action, number, by=by.actor, come_from=by.come_from, **more)


def find(core: Core, text: str) -> UUID:
    """By name or id. Raises NotFoundError."""
    with core.database.unscoped() as connection:
        try:
            row = rows.by_id(connection, parse_id("administrator", text))
        except InvalidIdentifier:
            row = rows.by_name(connection, text.strip().lower())
    if row is None:
        raise NotFoundError("there is no such administrator")
    return UUID(str(row["id"]))


def listed(core: Core) -> list[dict[str, Any]]:
    """All, by name."""
    with core.database.unscoped() as connection:
        return [shown(row) for row in rows.listed(connection)]


def get(core: Core, number: UUID) -> dict[str, Any]:
    """Raises NotFoundError."""
    with core.database.unscoped() as connection:
        row = rows.by_id(connection, number)
    if row is None:
        raise NotFoundError("there is no such administrator")
    return shown({**row, "seen_at": None})


def exists(core: Core, name: str) -> bool:
    """Is there an administrator of this name, who can log in?"""
    with core.database.unscoped() as connection:
        row = rows.by_name(connection, name)
    return row is not None and row["disabled_at"] is None


def has_password(core: Core, name: str, password: str) -> bool:
    """Asked by the installation's owner alone: nothing is counted."""
    with core.database.unscoped() as connection:
        row = rows.by_name(connection, name)
    return row is not None and passwords.Places(1).matches(row["password_hash"], password, known=True)


def shown(row: Row) -> dict[str, Any]:
    return {
        "id": public_id("administrator", row["id"]),
        "name": row["name"],
        "role": row["role"],
        "status": "enabled" if row["disabled_at"] is None else "disabled",
        "has_code": row["code_confirmed_at"] is not None,
        "must_choose_password": row["password_until"] is not None,
        "created_by": row["created_by"],
        "created_at": timestamp(row["created_at"]),
        "seen_at": timestamp(row["seen_at"]),
    }


def _held(connection: Connection, number: UUID) -> RowMapping:
    """Locked. Raises NotFoundError."""
    row = rows.by_id(connection, number, lock=True)
    if row is None:
        raise NotFoundError("there is no such administrator")
    return row


def _keep_an_admin(connection: Connection, number: UUID) -> None:
    """Somebody has to be able to make administrators. Raises StateConflict."""
    if rows.lock_admins(connection) == [number]:
        raise StateConflict("this is the last one with the role admin; give the role to somebody else first")


def set_role(core: Core, number: UUID, role: str, by: By) -> None:
    """It holds from the person's next request on. Raises NotFoundError, RequestRefused, StateConflict."""
    _check_role(role)
    with core.database.scoped(EVERYBODY) as connection:
        if role != "admin":
            _keep_an_admin(connection, number)
        row = _held(connection, number)
        for one in (role, row["role"]):
            _check_reach(by, one)
        if row["role"] != role:
            rows.change(connection, number, {"role": role})
            more = {"before": {"role": row["role"]}, "after": {"role": role}}
            _tell(connection, "administrator.role_changed", number, by, **more)


def disable(core: Core, number: UUID, by: By) -> None:
    """Out at once, everywhere. Raises NotFoundError, StateConflict."""
    with core.database.scoped(EVERYBODY) as connection:
        _keep_an_admin(connection, number)
        row = _held(connection, number)
        _check_reach(by, row["role"])
        if row["disabled_at"] is None:
            rows.change(connection, number, {"disabled_at": present(connection)})
            _tell(connection, "administrator.disabled", number, by)
        _end_all(connection, number, by)
        now = present(connection)
    withdrawn.remember(core, Withdrawal("administrator", str(number), now))


def enable(core: Core, number: UUID, by: By) -> None:
    """Raises NotFoundError."""
    with core.database.scoped(EVERYBODY) as connection:
        row = _held(connection, number)
        _check_reach(by, row["role"])
        if row["disabled_at"] is not None:
            rows.change(connection, number, {"disabled_at": None})
            _tell(connection, "administrator.enabled", number, by)
        now = present(connection)
    withdrawn.remember(core, Withdrawal("administrator", str(number), now, given_back=True))


def _end_all(connection: Connection, number: UUID, by: By) -> None:
    """Sessions, and what makes a browser a known one."""
    ended = rows.end_sessions(connection, number, f"ended by {by.actor}")
    sessions.tell_ended(connection, number, ended, by=by.actor, come_from=by.come_from)
    rows.forget_devices(connection, number)


def reset_password(core: Core, number: UUID, by: By, password: str | None = None) -> Access:
    """Without a password one is made, to be replaced within a day; sessions end.

    Raises NotFoundError, RequestRefused.
    """
    with core.database.scoped(EVERYBODY) as connection:
        row = _held(connection, number)
        _check_reach(by, row["role"])
        if password is not None:
            passwords.check(row["name"], password)
        given = password or passwords.make()
        until = None if password is not None else present(connection) + FOREIGN
        rows.change(connection, number, {"password_hash": passwords.hash_of(given), "password_until": until})
        _tell(connection, "administrator.password_reset", number, by)
        _end_all(connection, number, by)
        return Access(number, row["name"], None if password is not None else given)


def reset_code(core: Core, number: UUID, by: By, *, with_code: bool = False) -> Access:
    """The device is lost: a new one is set up with the next login, or with the secret told now. Sessions end.

    Raises NotFoundError.
    """
    with core.database.scoped(EVERYBODY) as connection:
        row = _held(connection, number)
        _check_reach(by, row["role"])
        secret = codes.make_secret() if with_code else None
        values = {
            "code_sealed": None if secret is None else codes.seal(core, connection, number, secret),
            "code_confirmed_at": None if secret is None else present(connection),
        }
        rows.change(connection, number, values)
        rows.put_spare_codes(connection, [], number)
        _tell(connection, "administrator.code_reset", number, by)
        _end_all(connection, number, by)
        return Access(number, row["name"], None, secret)


def change_password(core: Core, logins: Logins, own: Session, old: str, new: str, come_from: From) -> int:
    """By the person; all other sessions end, and their number is returned.

    Raises LoginRefused, RequestRefused, TooManyTries, LoginClosed, Unavailable.
    """
    passwords.check(own.name, new)
    if old == new:
        raise RequestRefused("the new password is the old one")
    if not logins.is_own_password(own, old, come_from):
        trail.note(core, "administrator.password_change_refused", own.person, own.actor, come_from)
        raise LoginRefused("your present password is not right; nothing was changed")
    by = By(own.actor, come_from)
    with core.database.scoped(EVERYBODY) as connection:
        rows.change(connection, own.person, {"password_hash": passwords.hash_of(new), "password_until": None})
        _tell(connection, "administrator.password_changed", own.person, by)
        ended = rows.end_sessions(connection, own.person, "the password was changed", but=own.id)
        sessions.tell_ended(connection, own.person, ended, by=own.actor, come_from=come_from)
        sessions.confirm(connection, own.id)
    return len(ended)


def new_spare_codes(core: Core, own: Session, come_from: From) -> list[str]:
    """By the person, in place of those before."""
    with core.database.scoped(EVERYBODY) as connection:
        made = codes.renew_spare(connection, own.person)
        trail.record(connection, "administrator.spare_codes_made", own.person, by=own.actor, come_from=come_from)
    return made
