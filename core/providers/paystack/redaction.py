"""What of Paystack's bodies is not even kept sealed: words that open a page or charge a card again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_SECRETS = frozenset({"access_code", "authorization_url", "authorization_code"})


def redacted(value: Mapping[str, Any]) -> dict[str, Any]:
    """A copy without secrets, however deep they are."""
    return {name: _clean(inner) for name, inner in value.items() if name not in _SECRETS}


def _clean(value: Any) -> Any:
    if isinstance(value, Mapping):
        return redacted(value)
    if isinstance(value, list):
        return [_clean(item) for item in value]
    return value
