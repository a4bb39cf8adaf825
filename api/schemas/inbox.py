"""What providers told us, as administrators see it: never a body, which holds people's data."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from api.schemas.admin import OfMode, PageQuery, Reason
from api.schemas.base import Body, Parameters, Shown, id_pattern
from api.schemas.parameters import KnownProvider, Moment

Status = Literal["received", "applied", "ignored", "parked"]
_Kind = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9._-]+$")]
#: Each is a commit of its own, and somebody waits for the answer.
MOST_AT_ONCE = 500


class InboxPath(Parameters):
    id: str
    event: str


class InboxQuery(OfMode, PageQuery):
    after: str | None = Field(None, pattern=id_pattern("inbox_event"), description="The last id of the page before.")
    status: Status | None = None
    provider: KnownProvider | None = None
    kind: _Kind | None = Field(None, description="As the provider calls it, e.g. charge.refunded.")
    received_after: Moment | None = Field(None, description="RFC 3339, exclusive.")
    received_before: Moment | None = Field(None, description="RFC 3339, exclusive.")


class ReplayBody(Body):
    """Which events are read again: `status` or `received_after` has to be said. `dry_run` only counts them."""

    status: Status | None = None
    provider: KnownProvider | None = None
    kind: _Kind | None = None
    received_after: Moment | None = None
    received_before: Moment | None = None
    limit: int = Field(200, ge=1, le=MOST_AT_ONCE, description="The oldest so many.")
    dry_run: bool = False
    reason: Reason


class InboxEvent(Shown):
    """An event as it was received, and what became of it."""

    id: str = Field(pattern=id_pattern("inbox_event"))
    provider: str
    kind: str
    status: Status
    reason: str | None
    mode: Literal["test", "live"]
    merchant: str
    account: str
    provider_event_id: str | None
    payment: str | None
    received_at: str
    processed_at: str | None


class InboxEvents(Shown):
    """A page, newest first; `next` goes into `after`."""

    data: list[InboxEvent]
    has_more: bool
    next: str | None


class WaitingJob(Shown):
    id: str
    status: str
    due: str | None


class InboxEventInFull(InboxEvent):
    """With whether its body is still kept, and what will read it."""

    body_kept: bool
    jobs: list[WaitingJob]


class ReplayedEvent(Shown):
    id: str
    was: Status
    job: str
    how: Literal["queued", "hurried"]


class LeftEvent(Shown):
    event: str
    why: str


class Replayed(Shown):
    """`matching` were chosen; of these so many are read again, and those `left` are not."""

    dry_run: bool
    matching: int
    replayed: int
    left: list[LeftEvent]
