"""What administrators ask and see."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from api.schemas.base import Parameters, QueryNumber, Shown, id_pattern
from api.schemas.jobs import Job


class PageQuery(Parameters):
    limit: QueryNumber = Field(20, ge=1, le=100, description="How many at most.")


class OfMode(Parameters):
    mode: Literal["test", "live"]


class MerchantsQuery(PageQuery):
    after: str | None = Field(None, pattern=id_pattern("merchant"), description="The last id of the page before.")


class ModeQuery(OfMode):
    """Which of the merchant's two worlds."""


class JobsQuery(OfMode, PageQuery):
    after: str | None = Field(None, pattern=id_pattern("job"), description="The last id of the page before.")
    status: Literal["queued", "running", "succeeded", "failed", "needs_review", "canceled"] | None = None


class Merchant(Shown):
    """A tenant."""

    id: str = Field(pattern=id_pattern("merchant"))
    name: str
    created_at: str


class Merchants(Shown):
    """A page, newest first; `next` goes into `after`."""

    data: list[Merchant]
    has_more: bool
    next: str | None


class ApiKey(Shown):
    """Never with its secret."""

    id: str
    kind: Literal["merchant", "admin"]
    merchant: str | None
    mode: Literal["test", "live"] | None
    name: str
    prefix: str
    scopes: list[str]
    created_at: str
    expires_at: str | None
    revoked_at: str | None
    last_used_at: str | None


class ApiKeys(Shown):
    """All of one merchant and mode."""

    data: list[ApiKey]


class ProviderAccount(Shown):
    """Never with its credentials."""

    id: str
    provider: str
    mode: Literal["test", "live"]
    name: str
    identity: str
    status: Literal["enabled", "draining", "suspended", "disabled"]
    suspended_reason: str | None
    priority: int
    api_base: str | None
    webhook_path: str = Field(description="Where the provider is told to send its events.")


class ProviderAccounts(Shown):
    """All of one merchant and mode."""

    data: list[ProviderAccount]


class Jobs(Shown):
    """A page, newest first; `next` goes into `after`."""

    data: list[Job]
    has_more: bool
    next: str | None
