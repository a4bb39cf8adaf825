"""The account a secret key belongs to."""

from __future__ import annotations

import secrets
from fnmatch import fnmatchcase
from typing import Any

from .. import ids
from ..http import Call
from ..ledger import Json
from ..world import Account
from .errors import StripeError
from .events import DEFAULT_VERSION


def from_posted(wanted: Json) -> Account:
    """An account out of POST /_sandbox/accounts; raises ValueError."""
    known = {
        "secret_key", "publishable_key", "webhook_url", "webhook_secret", "webhook_events", "api_version",
        "payouts_fail", "revoked", "allowed_operations",
    }  # fmt: skip
    unknown = set(wanted) - known
    if unknown:
        raise ValueError(f"unknown field {', '.join(sorted(unknown))}; known: {', '.join(sorted(known))}")
    key = checked_key(wanted.get("secret_key"))
    return Account(
        id="acct_1" + ids.derived(key, 15),
        secret_key=key,
        webhook_url=checked_url(wanted.get("webhook_url")),
        webhook_secret=wanted.get("webhook_secret") or "whsec_" + ids.derived("whsec" + key, 32),
        webhook_events=checked_names("webhook_events", wanted.get("webhook_events")),
        publishable_key=wanted.get("publishable_key") or "pk_test_" + ids.derived("pk" + key, 24),
        options={
            "api_version": wanted.get("api_version") or DEFAULT_VERSION,
            "payouts_fail": checked_flag("payouts_fail", wanted),
            "revoked": checked_flag("revoked", wanted),
            "allowed_operations": checked_names("allowed_operations", wanted.get("allowed_operations")),
        },
    )


def checked_key(key: Any) -> str:
    if (
        not isinstance(key, str)
        or not key.startswith(("sk_test_", "rk_test_", "sk_live_", "rk_live_"))
        or len(key) > 255
    ):
        raise ValueError("secret_key must be a string that begins with sk_test_")
    return key


def checked_flag(name: str, wanted: Json) -> bool:
    value = wanted.get(name)
    if value not in (None, True, False):
        raise ValueError(f"{name} must be true or false")
    return bool(value)


def checked_url(url: Any) -> str | None:
    if url is None:
        return None
    if not isinstance(url, str) or not url.startswith(("http://", "https://")):
        raise ValueError("webhook_url must be an http address or null")
    return url


def checked_names(name: str, names: Any) -> list[str]:
    """A list of names, with `*` in them; everything if none was given."""
    if names is None:
        return ["*"]
    if not isinstance(names, list) or not all(isinstance(one, str) for one in names):
        raise ValueError(f"{name} must be a list of names")
    return names


def check_permission(account: Account, operation: str) -> None:
    """Raises StripeError where a restricted key may not go."""
    allowed: list[str] = account.options.get("allowed_operations") or ["*"]
    if not any(fnmatchcase(operation, pattern) for pattern in allowed):
        raise StripeError(
            403,
            f"The provided key '{masked(account.secret_key)}' does not have the required permissions for this endpoint"
            f" on account '{account.id}'.",
        )


def fresh_request_id() -> str:
    return "req_" + secrets.token_hex(8)[:14]


def retrieve(call: Call) -> Json:
    account = call.desk.account
    if call.args and call.args[0] != account.id:
        raise StripeError(
            403,
            f"The provided key '{masked(account.secret_key)}' does not have access to account '{call.args[0]}' (or that"
            " account does not exist). Application access may have been revoked.",
            code="account_invalid",
        )
    return {
        "id": account.id,
        "object": "account",
        "business_profile": {"mcc": None, "name": "Sandbox shop", "support_email": None, "url": None},
        "business_type": None,
        "capabilities": {"card_payments": "active", "transfers": "active"},
        "charges_enabled": True,
        "controller": {"type": "account"},
        "country": "US",
        "created": 1_700_000_000,
        "default_currency": "usd",
        "details_submitted": True,
        "email": "sandbox@example.com",
        "metadata": {},
        "payouts_enabled": True,
        "settings": {
            "dashboard": {"display_name": "Sandbox shop", "timezone": "Etc/UTC"},
            "payouts": {
                "debit_negative_balances": True,
                "schedule": {"delay_days": 2, "interval": "daily"},
                "statement_descriptor": None,
            },
        },
        "type": "standard",
    }


def masked(key: str) -> str:
    """A key as Stripe's errors show it."""
    return key[:8] + "*" * max(len(key) - 12, 4) + key[-4:]
