"""What an operator does with a provider account that exists: rotate its keys, drain, disable, enable and tune it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.audit import log
from core.domain.errors import FieldError, NotFoundError, RequestRefused, StateConflict
from core.domain.identifiers import public_id
from core.orchestration import accounts, provider_manager
from core.orchestration.accounts import NewAccount
from core.orchestration.context import Core
from core.orchestration.review import Person
from core.persistence.database import Scope
from core.persistence.queries import accounts as rows
from core.persistence.tables import provider_accounts
from core.persistence.vault import Place
from core.providers.registry import PROVIDERS

Row = Mapping[Any, Any]

#: Where an account may go from where it is, by a person's word. `suspended` is left by credentials that are good.
STEPS: Mapping[str, frozenset[str]] = {
    "enabled": frozenset({"draining", "disabled"}),
    "draining": frozenset({"enabled", "disabled"}),
    "suspended": frozenset({"disabled"}),
    "disabled": frozenset({"enabled"}),
}
#: What may be set, with the range of each number: requests a second, or no limit with 0.
PACING = ("per_operation", "total")
FASTEST = 100_000.0


def show(core: Core, scope: Scope, account_id: UUID) -> dict[str, Any]:
    """The account without its secrets, with what is still open at it. Raises NotFoundError."""
    with core.database.scoped(scope) as connection:
        row = _find(connection, scope, account_id)
        open_work = rows.open_work(connection, account_id)
    return {**accounts.shown(row), "settings": row["settings"], "open_work": open_work}


def find(connection: Connection, scope: Scope, account_id: UUID) -> dict[str, Any]:
    """The account without its secrets. Raises NotFoundError."""
    return accounts.shown(_find(connection, scope, account_id))


def set_status(core: Core, scope: Scope, account_id: UUID, to: str, person: Person) -> dict[str, Any]:
    """Enable, drain (no new payments, old ones finish) or disable an account.

    Raises NotFoundError; StateConflict for a step that is not there, and for disabling one with open work.
    """
    with core.transaction(scope) as connection:
        row = _find(connection, scope, account_id, lock=True)
        _check_step(connection, row, to)
        _write(connection, row, {"status": to, "suspended_reason": None})
        _record(connection, row, person, f"provider_account.{to}", {"reason": person.reason}, to)
    provider_manager.forget(core, account_id)
    return show(core, scope, account_id)


def _check_step(connection: Connection, row: Row, to: str) -> None:
    name, status = public_id("provider_account", row["id"]), row["status"]
    if to == status:
        raise StateConflict(f"account {name} is {to} already; nothing was changed")
    if status == "suspended" and to != "disabled":
        raise StateConflict(
            f"the provider refused the credentials of {name}: rotate them with `tollgate accounts rotate {name}`, "
            "which enables it"
        )
    if to not in STEPS[status]:
        raise StateConflict(f"an account that is {status} cannot become {to}")
    if to == "disabled":
        _refuse_open_work(rows.open_work(connection, row["id"]), name)


def _refuse_open_work(open_work: Mapping[str, int], name: str) -> None:
    found = [f"{count} {what.replace('_', ' ')}" for what, count in open_work.items() if count]
    if found:
        raise StateConflict(
            f"account {name} has open work ({', '.join(found)}): drain it, and disable it when that has ended",
            code="account_in_use",
        )


def tune(
    core: Core,
    scope: Scope,
    account_id: UUID,
    person: Person,
    *,
    name: str | None = None,
    priority: int | None = None,
    settings: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Change name (1 to 200 characters), priority (0 to 10000, lower is used first) or settings; None leaves each.

    `settings` may hold `exclusive` (every charge there is ours: foreign ones are findings) and `pacing` with requests a
    second; each given replaces its own. Raises NotFoundError, RequestRefused.
    """
    with core.transaction(scope) as connection:
        row = _find(connection, scope, account_id, lock=True)
        given = {"name": name, "priority": priority}
        values: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
        if settings is not None:
            values["settings"] = {**row["settings"], **check_settings(settings)}
        changed = {key: [row[key], value] for key, value in values.items() if row[key] != value}
        if changed:
            _write(connection, row, values)
            _record(
                connection,
                row,
                person,
                "provider_account.changed",
                {**changed, "reason": person.reason},
                states=log.changes(row, {**row, **values}, *changed),
            )
    provider_manager.forget(core, account_id)
    return show(core, scope, account_id)


def check_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Raises RequestRefused naming the field."""
    errors = [FieldError(f"settings.{name[:60]}", "is not a setting") for name in settings if name not in _KNOWN]
    if not isinstance(settings.get("exclusive", False), bool):
        errors.append(FieldError("settings.exclusive", "must be true or false"))
    pacing = settings.get("pacing", {})
    if not isinstance(pacing, Mapping):
        errors.append(FieldError("settings.pacing", "must be an object"))
        pacing = {}
    for name, rate in pacing.items():
        number = isinstance(rate, int | float) and not isinstance(rate, bool) and 0 <= rate <= FASTEST
        if name not in PACING or not number:
            what = f"must be one of {', '.join(PACING)}, each a number from 0 to {FASTEST:.0f} requests a second"
            errors.append(FieldError(f"settings.pacing.{name[:60]}", what))
    if errors:
        raise RequestRefused("the settings cannot be taken as they are", errors=errors)
    return dict(settings)


_KNOWN = ("exclusive", "pacing")


def rotate(
    core: Core, scope: Scope, account_id: UUID, credentials: Mapping[str, str], secrets: Sequence[str], person: Person
) -> dict[str, Any]:
    """Replace credentials, webhook secrets or both; what is not given stays. The provider is asked who they belong to.

    Replaced webhook secrets verify on for a while. Good credentials end a suspension. Raises NotFoundError;
    RequestRefused for credentials that are refused, of the other mode, or of another account.
    """
    if not credentials and not secrets:
        raise RequestRefused("give new credentials, a new webhook secret, or both")
    with core.transaction(scope) as connection:
        row = _find(connection, scope, account_id)
        kept = _credentials(core, connection, scope, row)
    signs_with_key = PROVIDERS[row["provider"]].settings.signs_with_key
    if signs_with_key and secrets:
        raise RequestRefused(
            f"{row['provider']} signs its webhooks with the secret key: there is no other secret to give"
        )
    new = {**kept, **credentials}
    signing = [new["secret_key"]] if signs_with_key else list(secrets)
    account = NewAccount(row["provider"], row["name"], new, signing, row["api_base"], row["priority"])
    if credentials:
        identity = accounts.identify(core, scope.mode, account)
        _refuse_other(row, identity.provider_account)
    with core.transaction(scope) as connection:
        row = _find(connection, scope, account_id, lock=True)
        # Somebody may have changed it while the provider was asked: what was not given is as it is now.
        now = {**_credentials(core, connection, scope, row), **credentials}
        account = NewAccount(row["provider"], row["name"], now, signing, row["api_base"], row["priority"])
        accounts.replace_secrets(core, connection, scope, row, account)
        if not credentials:  # the provider was not asked: a suspension stays
            _write(connection, row, {"status": row["status"], "suspended_reason": row["suspended_reason"]})
        told = {"credentials": bool(credentials), "webhook_secret": bool(signing), "reason": person.reason}
        _record(connection, row, person, "provider_account.rotated", told)
    provider_manager.forget(core, account_id)
    return show(core, scope, account_id)


def _refuse_other(row: Row, identity: str) -> None:
    if identity != row["identity"]:
        raise RequestRefused(
            f"these credentials belong to {identity}, this account is {row['identity']}: another identity is another "
            "account. Add it, and drain this one",
            code="other_account",
        )


def _credentials(core: Core, connection: Connection, scope: Scope, row: Row) -> dict[str, str]:
    place = Place("provider_accounts", "credentials_sealed", row["id"])
    opened: dict[str, str] = core.vault.merchant_key(connection, scope).open_json(place, row["credentials_sealed"])
    return opened


def _find(connection: Connection, scope: Scope, account_id: UUID, *, lock: bool = False) -> Row:
    """Raises NotFoundError."""
    columns = provider_accounts.c
    query = sa.select(provider_accounts).where(
        columns.id == account_id, columns.merchant_id == scope.merchant_id, columns.mode == scope.mode
    )
    row = connection.execute(query.with_for_update() if lock else query).mappings().one_or_none()
    if row is None:
        raise NotFoundError("there is no such provider account; `tollgate accounts list` shows them")
    return row


def _write(connection: Connection, row: Row, values: Mapping[str, Any]) -> None:
    statement = provider_accounts.update().where(provider_accounts.c.id == row["id"])
    connection.execute(statement.values(**values, updated_at=sa.func.app_now()))


def _record(
    connection: Connection,
    row: Row,
    person: Person,
    action: str,
    details: Mapping[str, Any],
    to: str | None = None,
    states: log.Changes | None = None,
) -> None:
    log.record(
        connection,
        scope=Scope(row["merchant_id"], row["mode"]),
        actor=person.actor,
        action=action,
        subject_kind="provider_account",
        subject_id=row["id"],
        from_status=row["status"] if to is not None else None,
        to_status=to,
        cause="person",
        **person.origin,
        before=None if states is None else states["before"],
        after=None if states is None else states["after"],
        details=details,
    )
