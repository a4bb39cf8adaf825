"""Who may grant which API key; keys stored and ended with their audit record in the same commit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy.engine import Connection

from core.audit import log
from core.domain import roles
from core.domain import scopes as names
from core.domain.card_numbers import holds_card_number
from core.domain.errors import FieldError, GrantRefused, NotFoundError, RequestRefused
from core.domain.key_form import Kind, NewKey, make_key, number_of
from core.domain.representations import timestamp
from core.persistence.database import Scope, present
from core.persistence.queries import api_keys as rows

LONGEST_NAME = 200
Row = Mapping[Any, Any]


@dataclass(frozen=True, slots=True)
class Granter:
    """Who makes and ends keys. `scopes` None is the installation's owner, who may grant everything."""

    actor: str
    scopes: frozenset[str] | None = None
    reason: str | None = None
    request_id: str | None = None
    from_address: str | None = None


OWNER = Granter("owner")


def chosen_scopes(kind: Kind, given: Iterable[str] | None) -> frozenset[str]:
    """None stands for what a key of that kind usually may. Raises RequestRefused."""
    if given is None:
        return names.known("admin") if kind == "admin" else names.USUAL
    try:
        found = names.chosen(kind, given)
    except ValueError as error:
        message = "holds a name that stands for nothing"
        raise RequestRefused(str(error), errors=[FieldError("scopes", message)]) from None
    if not found:
        raise RequestRefused("a key without scopes opens nothing", errors=[FieldError("scopes", "must not be empty")])
    return found


def check_name(name: str) -> None:
    """Raises RequestRefused."""
    if not name.strip() or len(name) > LONGEST_NAME or not name.isprintable() or holds_card_number(name):
        message = f"must be one line of 1 to {LONGEST_NAME} characters that says what the key is for"
        raise RequestRefused("the name cannot be taken", errors=[FieldError("name", message)])


def check_grant(by: Granter, kind: Kind, wanted: frozenset[str]) -> None:
    """Nobody grants more than they have; a merchant's key that shows people in clear needs one who may see them.

    The database checks it again (`issue_api_key`). Raises GrantRefused.
    """
    if by.scopes is None:
        return
    needed = wanted if kind == "admin" else frozenset({"admin:reveal"} if "customers:reveal" in wanted else ())
    lacking = needed - by.scopes
    if lacking:
        raise GrantRefused(f"you may not grant what you lack yourself: {', '.join(sorted(lacking))}")


def check_reach(by: Granter, row: Row) -> None:
    """Nobody ends an administrator's key that may more than they. Merchants' keys are everybody's who may end keys.

    Raises GrantRefused.
    """
    if by.scopes is None or row["kind"] != "admin":
        return
    lacking = roles.expand(row["scopes"]) - by.scopes
    if lacking:
        raise GrantRefused(f"this key may more than you, so you may not end it: {', '.join(sorted(lacking))}")


def store(
    connection: Connection,
    by: Granter,
    kind: Kind,
    home: Scope,
    name: str,
    scopes: frozenset[str],
    lifetime: timedelta | None,
    replaces: str | None = None,
) -> NewKey:
    """A fresh key of the merchant and mode the transaction is held to, or of administrators."""
    made, admin = make_key(kind), kind == "admin"
    ends_at = None if lifetime is None else present(connection) + lifetime
    values = {
        "id": made.id,
        "kind": "admin" if admin else "merchant",
        "merchant_id": None if admin else home.merchant_id,
        "mode": None if admin else home.mode,
        "name": name,
        "prefix": made.prefix,
        "secret_hash": made.secret_hash,
        "scopes": sorted(scopes),
        "expires_at": ends_at,
        "replaces": replaces,
        "lifetime_seconds": None if lifetime is None else int(lifetime.total_seconds()),
    }
    if by.scopes is None:
        rows.insert(connection, {**values, "created_by": by.actor})
    else:
        rows.issue(connection, by.actor, values)
    after = {"scopes": sorted(scopes), "expires_at": timestamp(ends_at), "replaces": replaces}
    _record(connection, by, home, made.id, "created", name, after=after)
    return made


def hold(connection: Connection, key_id: str) -> Row:
    """Lock a key of those the transaction is about. Raises NotFoundError."""
    row = rows.hold(connection, key_id)
    if row is None:
        raise NotFoundError("there is no such API key")
    return row


def end(
    connection: Connection,
    by: Granter,
    row: Row,
    verb: Literal["rotated", "expired", "revoked"],
    ends_at: datetime | None = None,
) -> Row:
    """Without a time at once, which is to revoke it; returns the row as it is then."""
    write = rows.end_as_owner if by.scopes is None else rows.end
    write(connection, by.actor, row["id"], revoked=ends_at is None, ends_at=ends_at)
    ended = hold(connection, row["id"])
    home = log.EVERYBODY if row["kind"] == "admin" else Scope(row["merchant_id"], row["mode"])
    _record(connection, by, home, row["id"], verb, row["name"], **log.changes(row, ended, "expires_at", "revoked_at"))
    return ended


def _record(
    connection: Connection,
    by: Granter,
    home: Scope,
    key_id: str,
    verb: str,
    name: str,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    log.record(
        connection,
        scope=home,
        actor=by.actor,
        action=f"api_key.{verb}",
        subject_kind="api_key",
        subject_id=number_of(key_id),
        cause="person",
        request_id=by.request_id,
        from_address=by.from_address,
        before=before,
        after=after,
        details={"key": key_id, "name": name, **({"reason": by.reason} if by.reason else {})},
    )
