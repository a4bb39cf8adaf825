"""Runs that compare our books with a provider's."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from api.schemas.admin import OfMode, PageQuery
from api.schemas.base import Body, Parameters, Shown, id_pattern
from api.schemas.parameters import Moment


class RunPath(Parameters):
    id: str
    run: str


class RunsQuery(OfMode, PageQuery):
    after: str | None = Field(
        None, pattern=id_pattern("reconciliation_run"), description="The last id of the page before."
    )
    kind: Literal["missed_events", "two_way", "statement"] | None = None
    status: Literal["queued", "running", "succeeded", "failed"] | None = None
    provider_account: str | None = Field(None, pattern=id_pattern("provider_account"))


class RunBody(Body):
    """`since` belongs to the window, `until` does not; neither may be in the future."""

    provider_account: str = Field(pattern=id_pattern("provider_account"))
    kind: Literal["missed_events", "two_way", "statement"]
    since: Moment = Field(strict=False)
    until: Moment = Field(strict=False)


class Run(Shown):
    """What was compared, how far it is, and what came of it. Sums in minor units by `CURRENCY.what`."""

    id: str = Field(pattern=id_pattern("reconciliation_run"))
    kind: Literal["missed_events", "two_way", "statement"]
    status: Literal["queued", "running", "succeeded", "failed"]
    provider_account: str
    since: str
    until: str
    slices_done: int
    slices: int | None
    counts: dict[str, int]
    sums: dict[str, int]
    findings: int
    error: dict[str, Any] | None
    started_by: str
    created_at: str
    updated_at: str
    finished_at: str | None


class Runs(Shown):
    """A page, newest first; `next` goes into `after`."""

    data: list[Run]
    has_more: bool
    next: str | None
