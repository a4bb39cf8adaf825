"""API keys: made once, shown once, stored as SHA-256, compared in constant time; rotated, and ended."""

from __future__ import annotations

import hmac
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from sqlalchemy.engine import Connection

from core.audit import log
from core.domain import roles
from core.domain.errors import NotFoundError, RequestRefused, StateConflict
from core.domain.identifiers import public_id
from core.domain.key_form import KINDS, Kind, NewKey, hash_of, make_key, read_key
from core.domain.representations import timestamp
from core.domain.scopes import known
from core.orchestration import key_grants, withdrawn
from core.orchestration.context import Core
from core.orchestration.key_grants import OWNER, Granter
from core.persistence.database import Scope, present
from core.persistence.queries import api_keys as rows

__all__ = ["KINDS", "Kind", "NewKey", "make_key", "read_key"]  # of the form, for those who have to do with keys anyway

MERCHANT_SCOPES = known("merchant")
ADMIN_SCOPES = known("admin")

#: A rotated key works this long beside its successor, unless somebody says otherwise, and at most so long.
OVERLAP = timedelta(hours=24)
LONGEST_OVERLAP = timedelta(days=30)
LONGEST_LIFE = timedelta(days=3650)

#: Compared with when the id is unknown, so that a wrong id costs what a wrong secret costs.
_NO_HASH = hash_of(os.urandom(32).hex())
Row = Mapping[Any, Any]


@dataclass(frozen=True, slots=True)
class KeyHolder:
    """Whom a key stands for. `scope` is None for an administrator's key."""

    key_id: str
    kind: Literal["merchant", "admin"]
    scope: Scope | None
    scopes: frozenset[str]

    @property
    def actor(self) -> str:
        return f"key:{self.key_id}"


@dataclass(frozen=True, slots=True)
class Refused:
    """A text that opens nothing. `key_id` is set where such a key exists, `scope` where it is a merchant's."""

    because: Literal["malformed", "unknown", "wrong_secret", "revoked", "expired", "other_mode"]
    key_id: str | None = None
    scope: Scope | None = None


def check(core: Core, text: str) -> KeyHolder | Refused:
    """Whose key this is, or why it is none. An id that is not there costs what one with another secret costs."""
    named = read_key(text)
    if named is None:
        return Refused("malformed")
    kind, key_id = named
    with core.database.glance() as connection:
        row = rows.find(connection, key_id)
    stored = bytes(row["secret_hash"]) if row is not None else _NO_HASH
    matches = hmac.compare_digest(stored, hash_of(text))
    if row is None:
        return Refused("unknown")
    scope = None if row["kind"] == "admin" else Scope(row["merchant_id"], row["mode"])
    because = _fault(row, kind, matches)
    if because is None and withdrawn.is_ended(core, key_id, row["present"]):
        because = "revoked"  # and this database is an older copy that does not know
    if because is not None:
        return Refused(because, key_id, scope)
    held = roles.expand(row["scopes"]) if row["kind"] == "admin" else frozenset(row["scopes"])
    return KeyHolder(key_id, row["kind"], scope, held)


def authenticate(core: Core, text: str) -> KeyHolder | None:
    """Whose key this is; None when malformed, unknown, wrong, revoked, expired, or of another mode than it says."""
    found = check(core, text)
    return found if isinstance(found, KeyHolder) else None


def _fault(row: Row, kind: Kind, matches: bool) -> Literal["wrong_secret", "other_mode", "revoked", "expired"] | None:
    if not matches:
        return "wrong_secret"
    if kind != ("admin" if row["kind"] == "admin" else row["mode"]):
        return "other_mode"
    found = state(row, row["present"])
    return None if found == "active" else found


def state(row: Row, now: datetime) -> Literal["active", "revoked", "expired"]:
    if row["revoked_at"] is not None:
        return "revoked"
    return "expired" if row["expires_at"] is not None and row["expires_at"] <= now else "active"


def note_use(core: Core, key_id: str) -> None:
    """After the secret was right; at most one a minute is written."""
    with core.database.unscoped() as connection:
        rows.note_use(connection, key_id)


def create(
    core: Core,
    *,
    kind: Kind,
    merchant_id: UUID | None = None,
    name: str,
    scopes: Iterable[str] | None = None,
    lifetime: timedelta | None = None,
    by: Granter = OWNER,
) -> NewKey:
    """Store a key and return it, for the only time. Where `by` is the owner, `core` is opened with its address.

    `scopes` may name aliases and wildcards; None means all of its kind, except that people stay masked.
    Raises RequestRefused for a scope that does not exist or a missing merchant, GrantRefused for what `by` lacks.
    """
    wanted = key_grants.chosen_scopes(kind, scopes)
    if (kind == "admin") == (merchant_id is not None):
        raise RequestRefused("a test or live key belongs to a merchant, an admin key to none")
    key_grants.check_name(name)
    key_grants.check_grant(by, kind, wanted)
    home = log.EVERYBODY if merchant_id is None else Scope(merchant_id, kind)
    with core.transaction(home) as connection:
        return key_grants.store(connection, by, kind, home, name, wanted, lifetime)


def rotate(
    core: Core,
    key_id: str,
    by: Granter = OWNER,
    *,
    scope: Scope | None = None,
    overlap: timedelta = OVERLAP,
    lifetime: timedelta | None = None,
) -> NewKey:
    """A new key that may do the same; the old one works on for `overlap`.

    `lifetime` None gives the new one as long as the old one had from its making. `scope` as for `revoke`.

    Raises NotFoundError, GrantRefused; StateConflict for a key that has ended, or has a successor that is good.
    """
    if not timedelta(0) <= overlap <= LONGEST_OVERLAP:
        raise RequestRefused(f"the overlap may be 0 to {LONGEST_OVERLAP.days * 24} hours")
    with core.transaction(_home(core, key_id, by, scope)) as connection:
        old, now = key_grants.hold(connection, key_id), present(connection)
        kind: Kind = "admin" if old["kind"] == "admin" else old["mode"]
        allowed = roles.expand(old["scopes"]) if kind == "admin" else frozenset(old["scopes"])
        key_grants.check_grant(by, kind, allowed)
        _check_rotatable(connection, old, now)
        lifetime = lifetime or _lifetime(old)
        home = log.EVERYBODY if kind == "admin" else Scope(old["merchant_id"], kind)
        made = key_grants.store(connection, by, kind, home, old["name"], allowed, lifetime, replaces=key_id)
        ended = key_grants.end(connection, by, old, "rotated", ends_at=now + overlap)
    withdrawn.remember_key(core, ended, now)
    return made


def _lifetime(row: Row) -> timedelta | None:
    """What the key was made for; None for ever. Those of earlier versions were never ended early by a time."""
    if row["lifetime_seconds"] is not None:
        return timedelta(seconds=row["lifetime_seconds"])
    made_to_end = row["expires_at"] is not None and row["ended_by"] is None
    return row["expires_at"] - row["created_at"] if made_to_end else None


def _check_rotatable(connection: Connection, old: Row, now: datetime) -> None:
    if state(old, now) != "active":
        raise StateConflict(f"key {old['id']} is {state(old, now)}: make a new one instead")
    for one in rows.fellows(connection, old):
        if one["replaces"] == old["id"] and state(one, now) == "active":
            raise StateConflict(
                f"key {old['id']} was rotated to {one['id']} already: use that one, or revoke it and rotate again"
            )


def expire(core: Core, key_id: str, ends_in: timedelta, by: Granter = OWNER, *, scope: Scope | None = None) -> Row:
    """Have a key end by itself.

    Raises NotFoundError, GrantRefused; StateConflict for one that has ended or does so earlier.
    """
    if not timedelta(0) <= ends_in <= LONGEST_LIFE:
        raise RequestRefused(f"a key ends within {LONGEST_LIFE.days} days or is left as it is")
    with core.transaction(_home(core, key_id, by, scope)) as connection:
        row, now = key_grants.hold(connection, key_id), present(connection)
        key_grants.check_reach(by, row)
        if state(row, now) != "active":
            raise StateConflict(f"key {key_id} is {state(row, now)} already; nothing was changed")
        if row["expires_at"] is not None and row["expires_at"] < now + ends_in:
            raise StateConflict(f"key {key_id} ends earlier, at {timestamp(row['expires_at'])}; no key lives longer")
        row = key_grants.end(connection, by, row, "expired", ends_at=now + ends_in)
    withdrawn.remember_key(core, row, now)
    return shown(row, now)


def revoke(core: Core, key_id: str, by: Granter = OWNER, *, scope: Scope | None = None) -> Row:
    """From the next request on the key is refused; done again it changes nothing.

    `scope`: the merchant and mode it must belong to, None for a key of administrators; the owner may leave it out.
    Raises NotFoundError, GrantRefused.
    """
    with core.transaction(_home(core, key_id, by, scope)) as connection:
        row, now = key_grants.hold(connection, key_id), present(connection)
        key_grants.check_reach(by, row)
        if row["revoked_at"] is None:
            row = key_grants.end(connection, by, row, "revoked")
    withdrawn.remember_key(core, row, now)
    return shown(row, now)


def _home(core: Core, key_id: str, by: Granter, scope: Scope | None) -> Scope:
    """What the transaction is held to. Raises NotFoundError."""
    if scope is not None or by.scopes is not None:
        return scope or log.EVERYBODY
    with core.database.unscoped() as connection:
        found = rows.home(connection, key_id)
    if found is None:
        raise NotFoundError(f"there is no key {key_id[:40]}; `tollgate keys list` shows them")
    return log.EVERYBODY if found["kind"] == "admin" else Scope(found["merchant_id"], found["mode"])


def show(core: Core, key_id: str, scope: Scope | None) -> dict[str, Any]:
    """A key of that merchant and mode, or with None of administrators. Raises NotFoundError."""
    with core.transaction(scope or log.EVERYBODY) as connection:
        return shown(key_grants.hold(connection, key_id), present(connection))


def list_keys(core: Core, scope: Scope | None = None) -> list[dict[str, Any]]:
    """Without their secrets. With a scope, that merchant's of one mode; without, all (owner's address only)."""
    if scope is None:
        with core.database.unscoped() as connection:
            return [shown(row, present(connection)) for row in rows.listed(connection)]
    with core.database.scoped(scope) as connection:
        return [shown(row, present(connection)) for row in rows.listed(connection, scope)]


def list_admin_keys(core: Core) -> list[dict[str, Any]]:
    """Those of administrators, without their secrets."""
    with core.database.scoped(log.EVERYBODY) as connection:
        return [shown(row, present(connection)) for row in rows.admin_keys(connection)]


def shown(row: Row, now: datetime) -> dict[str, Any]:
    return {
        "id": row["id"],
        "kind": row["kind"],
        "merchant": None if row["merchant_id"] is None else public_id("merchant", row["merchant_id"]),
        "mode": row["mode"],
        "name": row["name"],
        "prefix": row["prefix"],
        "scopes": list(row["scopes"]),
        "state": state(row, now),
        "created_at": timestamp(row["created_at"]),
        "created_by": row["created_by"],
        "replaces": row["replaces"],
        "expires_at": timestamp(row["expires_at"]),
        "revoked_at": timestamp(row["revoked_at"]),
        "ended_by": row["ended_by"],
        "last_used_at": timestamp(row["last_used_at"]),
    }
