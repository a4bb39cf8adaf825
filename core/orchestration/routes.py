"""Versions of a merchant's route: drafted, checked, made active, taken back; each step with an audit record.

A version that has been active is never changed: what was decided by it can be explained for ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from core.audit import log
from core.domain.errors import NotFoundError, RequestRefused, StateConflict
from core.domain.identifiers import new_id, public_id
from core.domain.representations import timestamp
from core.orchestration import route_checks
from core.orchestration.context import Core
from core.orchestration.review import Person
from core.orchestration.route_checks import Accounts, Checked, KnownAccount
from core.persistence.database import Scope
from core.persistence.tables import provider_accounts, routes

Row = Mapping[Any, Any]

LONGEST_NOTE = 500
#: More than anybody reads through; older versions are found by their numbers.
MOST_LISTED = 200
#: Taken by whoever writes a merchant's versions: numbers follow on each other, and of two activations one is first.
_LOCK = sa.text("SELECT pg_advisory_xact_lock(hashtextextended('tollgate.routes.' || :owner, 0))")


def draft(core: Core, scope: Scope, definition: Any, note: str | None, person: Person) -> dict[str, Any]:
    """A new version, which nothing uses yet. Raises RequestRefused with everything that is wrong with it."""
    with core.transaction(scope) as connection:
        _lock(connection, scope)
        checked = route_checks.check(definition, accounts_of(connection, scope))
        last = connection.execute(sa.select(sa.func.max(routes.c.version)).where(_of(scope))).scalar()
        values = {
            "id": new_id(),
            "merchant_id": scope.merchant_id,
            "mode": scope.mode,
            "version": (last or 0) + 1,
            "status": "draft",
            "definition": definition,
            "note": _checked_note(note),
            "created_by": person.actor,
        }
        row = connection.execute(routes.insert().values(**values).returning(routes)).mappings().one()
        _record(connection, row, person, "route.drafted", None, after={"definition": definition, "note": row["note"]})
        return _told(row, checked)


def change(
    core: Core, scope: Scope, version: int, person: Person, *, definition: Any = None, note: str | None = None
) -> dict[str, Any]:
    """Another definition or note for a draft; None leaves each.

    Raises NotFoundError, RequestRefused; StateConflict for a version that is or was active.
    """
    with core.transaction(scope) as connection:
        _lock(connection, scope)
        row = _find(connection, scope, version)
        if row["status"] != "draft":
            raise StateConflict(f"version {version} is {row['status']} and is kept as it is: draft a new one")
        wanted = row["definition"] if definition is None else definition
        checked = route_checks.check(wanted, accounts_of(connection, scope))
        values = {"definition": wanted, "note": row["note"] if note is None else _checked_note(note)}
        changed = _write(connection, row, values)
        differs = log.changes(row, changed, "definition", "note")
        _record(connection, row, person, "route.changed", None, **differs)
        return _told(changed, checked)


def list_versions(core: Core, scope: Scope) -> list[dict[str, Any]]:
    """The newest first, without definitions."""
    query = sa.select(routes).where(_of(scope)).order_by(routes.c.version.desc()).limit(MOST_LISTED)
    with core.database.scoped(scope) as connection:
        found = connection.execute(query).mappings().all()
    return [{name: value for name, value in shown(row).items() if name != "definition"} for row in found]


def show(core: Core, scope: Scope, version: int | None = None) -> dict[str, Any]:
    """A version, the active one if none is named, with what speaks against it now. Raises NotFoundError."""
    with core.database.scoped(scope) as connection:
        row = active(connection, scope) if version is None else _find(connection, scope, version)
        if row is None:
            raise NotFoundError("no route is active: accounts are tried by their own priority")
        accounts = accounts_of(connection, scope)
    return {**shown(row), **verdict(row["definition"], accounts)}


def validate(core: Core, scope: Scope, definition: Any) -> dict[str, Any]:
    """{"valid", "errors", "warnings"} of a definition; nothing is kept."""
    with core.database.scoped(scope) as connection:
        return verdict(definition, accounts_of(connection, scope))


def verdict(definition: Any, accounts: Accounts) -> dict[str, Any]:
    try:
        checked = route_checks.check(definition, accounts, activating=True)
    except RequestRefused as error:
        wrong = [{"field": one.field, "message": one.message} for one in error.errors]
        return {"valid": False, "errors": wrong, "warnings": []}
    return {"valid": True, "errors": [], "warnings": _warnings(checked)}


def activate(core: Core, scope: Scope, version: int, person: Person, *, replaces: int | None = None) -> dict[str, Any]:
    """Make a version the one that payments accepted from now on are routed by.

    `replaces` is the version that has to be active now (0 for none): of two people who act on the same picture one
    succeeds. Raises NotFoundError; StateConflict; RequestRefused for a version that its accounts cannot carry any more.
    """
    with core.transaction(scope) as connection:
        _lock(connection, scope)
        row, before = _find(connection, scope, version), active(connection, scope)
        _check_replaced(before, replaces)
        if row["status"] == "active":
            raise StateConflict(f"version {version} is active already; nothing was changed")
        checked = route_checks.check(row["definition"], accounts_of(connection, scope), activating=True)
        return _told(_switch(connection, before, row, person, "route.activated"), checked)


def roll_back(
    core: Core, scope: Scope, person: Person, *, to: int | None = None, replaces: int | None = None
) -> dict[str, Any]:
    """Go back to the version that was active before, or to another one `to` that was; {"retired", "active"}.

    Without one before, no route is active afterwards: accounts are tried by their own priority again. Raises as
    `activate` does.
    """
    with core.transaction(scope) as connection:
        _lock(connection, scope)
        before = active(connection, scope)
        if before is None:
            raise StateConflict("no route is active: there is nothing to go back from")
        _check_replaced(before, replaces)
        row = _one_before(connection, scope, before) if to is None else _find(connection, scope, to)
        if row is None:
            _retire(connection, before, person, "route.rolled_back")
            return {"retired": before["version"], "active": None}
        if row["status"] != "retired":
            raise StateConflict(
                f"version {row['version']} is {row['status']}: only one that was active can be gone back to"
            )
        checked = route_checks.check(row["definition"], accounts_of(connection, scope), activating=True)
        now = _switch(connection, before, row, person, "route.rolled_back")
        return {"retired": before["version"], "active": _told(now, checked)}


def _check_replaced(before: Row | None, replaces: int | None) -> None:
    now = 0 if before is None else before["version"]
    if replaces is not None and replaces != now:
        found = f"version {now} is active" if now else "none is active"
        raise StateConflict(f"it was to replace version {replaces}, but {found}: look again, nothing was changed")


def _switch(connection: Connection, before: Row | None, row: Row, person: Person, action: str) -> RowMapping:
    if before is not None:
        _retire(connection, before, person, action)
    activated = {"activated_by": person.actor, "activated_at": sa.func.app_now()} if action == "route.activated" else {}
    changed = _write(connection, row, {"status": "active", **activated})
    replaced = None if before is None else before["version"]
    details = {"version": row["version"], "replaces": replaced, "definition": row["definition"]}
    _record(connection, row, person, action, "active", details=details)
    return changed


def _retire(connection: Connection, row: Row, person: Person, action: str) -> None:
    _write(connection, row, {"status": "retired"})
    _record(connection, row, person, action, "retired", details={"version": row["version"]})


def _one_before(connection: Connection, scope: Scope, now: Row) -> RowMapping | None:
    """The one that was activated before it. Going back leaves the times as they are: twice goes back two steps."""
    query = sa.select(routes).where(
        _of(scope), routes.c.status == "retired", routes.c.activated_at < now["activated_at"]
    )
    return connection.execute(query.order_by(routes.c.activated_at.desc()).limit(1)).mappings().one_or_none()


def active(connection: Connection, scope: Scope) -> RowMapping | None:
    query = sa.select(routes).where(_of(scope), routes.c.status == "active")
    return connection.execute(query).mappings().one_or_none()


def accounts_of(connection: Connection, scope: Scope) -> Accounts:
    columns = provider_accounts.c
    query = sa.select(columns.id, columns.provider, columns.status).where(
        columns.merchant_id == scope.merchant_id, columns.mode == scope.mode
    )
    return {account: KnownAccount(provider, status) for account, provider, status in connection.execute(query)}


def find(connection: Connection, scope: Scope, version: int) -> RowMapping:
    """Raises NotFoundError."""
    return _find(connection, scope, version)


def _find(connection: Connection, scope: Scope, version: int) -> RowMapping:
    query = sa.select(routes).where(_of(scope), routes.c.version == version)
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        raise NotFoundError(f"there is no version {version} of this merchant's route in {scope.mode} mode")
    return row


def _of(scope: Scope) -> sa.ColumnElement[bool]:
    return sa.and_(routes.c.merchant_id == scope.merchant_id, routes.c.mode == scope.mode)


def _lock(connection: Connection, scope: Scope) -> None:
    connection.execute(_LOCK, {"owner": f"{scope.merchant_id}.{scope.mode}"})


def _write(connection: Connection, row: Row, values: Mapping[str, Any]) -> RowMapping:
    statement = routes.update().where(routes.c.id == row["id"]).values(**values, updated_at=sa.func.app_now())
    return connection.execute(statement.returning(routes)).mappings().one()


def _checked_note(note: str | None) -> str | None:
    """Raises RequestRefused."""
    if note is None or not note.strip():
        return None
    if len(note) > LONGEST_NOTE or not note.isprintable():
        raise RequestRefused(f"the note may have {LONGEST_NOTE} characters on one line")
    return note


def _record(connection: Connection, row: Row, person: Person, action: str, to: str | None, **more: Any) -> None:
    details = {"version": row["version"], "reason": person.reason, **more.pop("details", {})}
    log.record(
        connection,
        scope=Scope(row["merchant_id"], row["mode"]),
        actor=person.actor,
        action=action,
        subject_kind="route",
        subject_id=row["id"],
        from_status=row["status"] if to is not None else None,
        to_status=to,
        cause="person",
        **person.origin,
        details=details,
        **more,
    )


def _told(row: Row, checked: Checked) -> dict[str, Any]:
    return {**shown(row), "valid": True, "errors": [], "warnings": _warnings(checked)}


def _warnings(checked: Checked) -> list[dict[str, str]]:
    return [{"field": one.field, "message": one.message} for one in checked.warnings]


def shown(row: Row) -> dict[str, Any]:
    return {
        "id": public_id("route", row["id"]),
        "mode": row["mode"],
        "version": row["version"],
        "status": row["status"],
        "note": row["note"],
        "created_by": row["created_by"],
        "activated_by": row["activated_by"],
        "created_at": timestamp(row["created_at"]),
        "updated_at": timestamp(row["updated_at"]),
        "activated_at": timestamp(row["activated_at"]),
        "definition": row["definition"],
    }
