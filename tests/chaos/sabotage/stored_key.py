"""Takes the stored provider key away: every send has one of its own, so the provider cannot know a repetition."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import Any


def apply() -> None:
    from core.orchestration import execute

    send = execute._send

    def under_a_new_key(provider: Any, request: Any) -> Any:
        return send(provider, replace(request, provider_key=f"{request.provider_key}-{secrets.token_hex(4)}"))

    execute._send = under_a_new_key
