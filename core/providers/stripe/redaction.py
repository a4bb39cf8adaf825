"""What of Stripe's bodies is not even kept sealed: secrets that let a browser act on an object."""

from __future__ import annotations

from typing import Any

#: `client_secret` opens an intent or a session to whoever has it; `use_stripe_sdk` carries the same secrets.
_SECRETS = frozenset({"client_secret", "payment_intent_client_secret", "use_stripe_sdk", "secret"})


def redacted(value: dict[str, Any]) -> dict[str, Any]:
    """A copy without secrets, however deep they are."""
    return {name: _clean(inner) for name, inner in value.items() if name not in _SECRETS}


def _clean(value: Any) -> Any:
    if isinstance(value, dict):
        return redacted(value)
    if isinstance(value, list):
        return [_clean(item) for item in value]
    return value
