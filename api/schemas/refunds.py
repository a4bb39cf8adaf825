"""Refunds as shown."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from api.schemas.base import Shown, id_pattern


class Refund(Shown):
    """Money on its way back."""

    id: str = Field(pattern=id_pattern("refund"))
    mode: Literal["test", "live"]
    payment: str
    status: Literal["processing", "requires_action", "succeeded", "failed", "canceled"]
    amount: int
    currency: str
    reason: str | None
    origin: Literal["api", "provider"]
    failure: dict[str, Any] | None
    created_at: str
    updated_at: str


class Refunds(Shown):
    """A page, newest first; `next` goes into `after`."""

    data: list[Refund]
    has_more: bool
    next: str | None
