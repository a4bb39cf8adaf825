"""Provider accounts: added, rotated, drained, disabled, enabled and tuned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Response, g
from pydantic import SecretStr

from api.admin.common import READ, origin, person, policy, scope_of
from api.answers import ok, row_id
from api.routing import room, route
from api.schemas.accounts import (
    AccountHealth,
    AccountInFull,
    AccountPath,
    ChangeBody,
    HealthQuery,
    NewAccountBody,
    ReasonBody,
    RotateBody,
    SettingsBody,
)
from api.schemas.admin import ModeQuery, ProviderAccounts
from api.schemas.parameters import PathId
from api.state import gate
from core.orchestration import account_care, health_reading
from core.orchestration import accounts as roads
from core.providers.registry import PROVIDERS

accounts = room("admin_accounts", __name__, "Provider accounts; takes a `tg_admin_` key.")

_HOME = "/admin/v1/merchants/<id>/provider_accounts"
_ONE = f"{_HOME}/<account>"
_SAVE = policy("admin:accounts", "provider_misconfigured", "other_account")
_CHANGE = policy("admin:accounts", "account_in_use")


@route(accounts, "get", _HOME, READ, {200: ProviderAccounts})
def list_provider_accounts(path: PathId, query: ModeQuery) -> Response:
    """List a merchant's provider accounts, without their credentials"""
    return ok({"data": roads.list_accounts(gate().core, scope_of(path.id, query.mode))})


@route(accounts, "post", _HOME, _SAVE, {201: AccountInFull})
def add_provider_account(path: PathId, query: ModeQuery, body: NewAccountBody) -> Response:
    """Add a provider account

    The provider is asked who the credentials belong to. Those of an account that is known already update it.
    """
    scope = scope_of(path.id, query.mode)
    credentials, signing = _secrets(body)
    if body.provider in PROVIDERS and PROVIDERS[body.provider].settings.signs_with_key:
        signing = credentials["secret_key"]
    settings = account_care.check_settings(_settings(body.settings)) if body.settings is not None else None
    account = roads.NewAccount(
        provider=body.provider,
        name=body.name,
        credentials=credentials,
        webhook_secrets=[signing] if signing else [],
        priority=body.priority,
        settings=settings,
    )
    account_id = roads.save_provider_account(gate().core, scope, account, g.admin, origin=origin())
    return ok(account_care.show(gate().core, scope, account_id), 201)


@route(accounts, "get", _ONE, READ, {200: AccountInFull})
def get_provider_account(path: AccountPath, query: ModeQuery) -> Response:
    """Read a provider account, with what is still open at it"""
    scope = scope_of(path.id, query.mode)
    return ok(account_care.show(gate().core, scope, row_id("provider_account", path.account)))


@route(accounts, "get", f"{_ONE}/health", READ, {200: AccountHealth})
def get_account_health(path: AccountPath, query: HealthQuery) -> Response:
    """Read how an account stands, and how its circuits have stepped"""
    scope, number = scope_of(path.id, query.mode), row_id("provider_account", path.account)
    return ok(health_reading.show(gate().core, scope, number, query.limit, query.before))


@route(accounts, "patch", _ONE, _CHANGE, {200: AccountInFull})
def change_provider_account(path: AccountPath, query: ModeQuery, body: ChangeBody) -> Response:
    """Change name, priority or settings"""
    scope, number = scope_of(path.id, query.mode), row_id("provider_account", path.account)
    settings = None if body.settings is None else _settings(body.settings)
    changes: dict[str, Any] = {"name": body.name, "priority": body.priority, "settings": settings}
    return ok(account_care.tune(gate().core, scope, number, person(body.reason), **changes))


@route(accounts, "post", f"{_ONE}/rotate", _SAVE, {200: AccountInFull})
def rotate_provider_account(path: AccountPath, query: ModeQuery, body: RotateBody) -> Response:
    """Replace credentials, webhook secret or both

    Credentials of another identity are refused: they are another account.
    """
    scope, number = scope_of(path.id, query.mode), row_id("provider_account", path.account)
    credentials, signing = _secrets(body)
    secrets = [signing] if signing else []
    return ok(account_care.rotate(gate().core, scope, number, credentials, secrets, person(body.reason)))


@route(accounts, "post", f"{_ONE}/enable", _CHANGE, {200: AccountInFull})
def enable_provider_account(path: AccountPath, query: ModeQuery, body: ReasonBody) -> Response:
    """Let an account take new payments"""
    return _to("enabled", path, query, body)


@route(accounts, "post", f"{_ONE}/drain", _CHANGE, {200: AccountInFull})
def drain_provider_account(path: AccountPath, query: ModeQuery, body: ReasonBody) -> Response:
    """Let an account take no new payments; what was begun there is finished there"""
    return _to("draining", path, query, body)


@route(accounts, "post", f"{_ONE}/disable", _CHANGE, {200: AccountInFull})
def disable_provider_account(path: AccountPath, query: ModeQuery, body: ReasonBody) -> Response:
    """Stop using an account that has no open work"""
    return _to("disabled", path, query, body)


def _to(status: str, path: AccountPath, query: ModeQuery, body: ReasonBody) -> Response:
    scope, number = scope_of(path.id, query.mode), row_id("provider_account", path.account)
    return ok(account_care.set_status(gate().core, scope, number, status, person(body.reason)))


def _secrets(body: NewAccountBody | RotateBody) -> tuple[dict[str, str], str | None]:
    """(credentials, webhook secret), of those that were given."""
    given: Mapping[str, SecretStr | None] = {
        name: getattr(body, name) for name in ("secret_key", "publishable_key", "webhook_secret")
    }
    plain = {name: value.get_secret_value() for name, value in given.items() if value is not None}
    signing = plain.pop("webhook_secret", None)
    return plain, signing


def _settings(body: SettingsBody) -> dict[str, Any]:
    return body.model_dump(exclude_none=True)
