"""Texts that have the form of a secret, wherever somebody puts them by mistake: they are neither logged nor stored."""

from __future__ import annotations

import re

#: Our API keys and the providers': each kind says what it is.
_SECRET = re.compile(r"(?i)(?:^|[^a-z0-9])(?:tg_(?:test|live|admin)_|[sr]k_(?:test|live)_|whsec_)[a-z0-9+/=]{8}")


def holds_secret(text: str) -> bool:
    return _SECRET.search(text) is not None
