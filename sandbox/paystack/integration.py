"""The integration a secret key belongs to: its account and session time-out."""

from __future__ import annotations

from typing import Any

from .. import ids
from ..http import Call
from ..ledger import Json
from ..world import Account
from . import money

# How long a page stays payable is a setting of the dashboard; 0 is "no limit".
SESSION_TIMEOUT = 0


def from_posted(wanted: Json) -> Account:
    """An account out of POST /_sandbox/accounts; raises ValueError."""
    known = {
        "secret_key", "publishable_key", "webhook_url", "webhook_secret", "webhook_events", "callback_url",
        "currencies", "fees_on_customer",
    }  # fmt: skip
    unknown = set(wanted) - known
    if unknown:
        raise ValueError(f"unknown field {', '.join(sorted(unknown))}; known: {', '.join(sorted(known))}")
    key = wanted.get("secret_key")
    if not isinstance(key, str) or not key.startswith(("sk_test_", "sk_live_")) or len(key) > 255:
        raise ValueError("secret_key must be a string that begins with sk_test_")
    url = wanted.get("webhook_url")
    if url is not None and not (isinstance(url, str) and url.startswith(("http://", "https://"))):
        raise ValueError("webhook_url must be an http address or null")
    return Account(
        id=str(ids.derived_number(key)),
        secret_key=key,
        webhook_url=url,
        webhook_secret=None,  # Paystack signs with the secret key itself
        webhook_events=wanted.get("webhook_events") or ["*"],
        publishable_key=wanted.get("publishable_key") or "pk_test_" + ids.derived("pk" + key, 40).lower(),
        options={
            "callback_url": wanted.get("callback_url"),
            "currencies": _currencies(wanted.get("currencies")),
            "fees_on_customer": bool(wanted.get("fees_on_customer")),
        },
    )


def _currencies(wanted: Any) -> list[str]:
    if wanted is None:
        return list(money.CURRENCIES)
    if not isinstance(wanted, list) or not wanted or not set(wanted) <= set(money.CURRENCIES):
        raise ValueError(f"currencies must be a list out of {', '.join(money.CURRENCIES)}")
    return wanted


def session_timeout(call: Call) -> Json:
    data = {"payment_session_timeout": SESSION_TIMEOUT}
    return {"status": True, "message": "Payment session timeout retrieved", "data": data}
