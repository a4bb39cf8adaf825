"""Events: what a merchant was told."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from api.schemas.base import Shown, id_pattern
from api.schemas.jobs import Job


class Event(Shown):
    """The body that is delivered, and the payment it is about. `sequence` orders one payment's events."""

    id: str = Field(pattern=id_pattern("event"))
    type: str = Field(examples=["payment.succeeded"])
    created_at: str
    sequence: int
    data: dict[str, Any] = Field(
        description="As it was then; a payment without `next_action`, which GET /v1/payments/{id} shows."
    )
    payment: str | None


class Events(Shown):
    """A page, newest first; `next` goes into `after`."""

    data: list[Event]
    has_more: bool
    next: str | None


class Delivery(Shown):
    """One attempt to deliver an event to one endpoint."""

    id: str = Field(pattern=id_pattern("delivery"))
    webhook_endpoint: str
    job: str
    attempt: int
    outcome: Literal["delivered", "failed", "refused"]
    http_status: int | None
    error: str | None
    duration_ms: int
    created_at: str


class EventWithDeliveries(Event):
    """With every attempt, in order."""

    deliveries: list[Delivery]


class Redelivery(Shown):
    """The event, and one job for each endpoint that asked for its kind."""

    event: Event
    jobs: list[Job]
