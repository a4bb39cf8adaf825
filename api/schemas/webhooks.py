"""What providers are answered."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from api.schemas.base import Parameters, Shown


class WebhookPath(Parameters):
    provider: str = Field(description="What is no provider is not found (404).")
    account_id: str = Field(description="`acc_…`, as `tollgate accounts list` shows it.")


class Received(Shown):
    """Stored."""

    received: Literal[True]
