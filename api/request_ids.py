"""One id a request, the caller's if it is sane, on every log line, answer and audit record."""

from __future__ import annotations

import re

from core.domain.card_numbers import holds_card_number
from core.domain.identifiers import new_id, public_id
from core.domain.secret_texts import holds_secret

HEADER = "X-Request-Id"
_SANE = re.compile(r"[A-Za-z0-9_.\-]{1,100}")


def choose(given: str | None) -> str:
    """The given id, or a new `req_…` when there is none that can be logged."""
    if given is not None and _SANE.fullmatch(given) and not (holds_card_number(given) or holds_secret(given)):
        return given
    return public_id("request", new_id())
