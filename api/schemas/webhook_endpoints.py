"""Webhook endpoints: where a merchant wants to be told."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from api.schemas.base import Body, Parameters, QueryNumber, Shown, id_pattern

Url = Annotated[str, Field(min_length=1, max_length=2000, examples=["https://shop.example/hooks/tollgate"])]
EventTypes = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=80)]],
    Field(min_length=1, max_length=50, examples=[["payment.succeeded", "refund.succeeded"], ["*"]]),
]
Description = Annotated[str, Field(max_length=500)]


class CreateEndpointBody(Body):
    """Where to send which kinds of event; `["*"]` means all."""

    url: Url
    event_types: EventTypes
    description: Description | None = None


class UpdateEndpointBody(Body):
    """What is left out stays as it is. Only `model_fields_set` is read: the defaults mean nothing."""

    url: Url = Field(default_factory=str)
    event_types: EventTypes = Field(default_factory=list)
    description: Description | None = None
    enabled: bool = Field(default_factory=bool)


class Endpoint(Shown):
    """`secret` is shown once, by the answer that made it, and is no part of a repeated answer."""

    id: str = Field(pattern=id_pattern("webhook_endpoint"))
    mode: Literal["test", "live"]
    url: str
    description: str | None
    event_types: list[str]
    enabled: bool
    disabled_reason: str | None
    secret: str | None
    created_at: str
    updated_at: str


class Endpoints(Shown):
    """A page, newest first; `next` goes into `after`."""

    data: list[Endpoint]
    has_more: bool
    next: str | None


class DeletedEndpoint(Shown):
    id: str
    deleted: Literal[True]


class EndpointsQuery(Parameters):
    limit: QueryNumber = Field(20, ge=1, le=100, description="How many at most.")
    after: str | None = Field(
        None, pattern=id_pattern("webhook_endpoint"), description="The last id of the page before."
    )
