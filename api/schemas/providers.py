"""Providers as shown."""

from __future__ import annotations

from pydantic import Field

from api.schemas.base import Shown


class Limit(Shown):
    """In minor units; an amount is a multiple of `step`."""

    minimum: int
    maximum: int
    step: int


class Provider(Shown):
    """What is not declared here is refused before it is sent."""

    name: str
    methods: list[str]
    manual_capture: list[str] = Field(description="Payment methods that can be authorized first.")
    manual_capture_currencies: list[str] | None = Field(description="Where holds are limited to these; null: none are.")
    partial_capture: bool
    void: bool = Field(description="A hold can be released.")
    close_unfinished: bool = Field(description="A payment the customer has not finished can be ended.")
    refund: bool
    partial_refund: bool
    multiple_refunds: bool
    save_methods: list[str] = Field(description="Payment methods that can be saved while paying.")
    off_session: bool = Field(description="A saved method can be charged while the customer is away.")
    disputes: list[str] = Field(description="What can be done about a dispute: read, evidence, accept.")
    evidence_together: list[str] = Field(description="Fields of evidence that are given together or not at all.")
    failure_webhooks: bool = Field(description="False: failures are found by asking only, so they come later.")
    changes: bool = Field(description="What webhooks missed is found in a list of the provider.")
    statement: bool = Field(description="Fees and payouts can be read.")
    customer_email_for: list[str]
    return_url_for: list[str]
    currencies: dict[str, Limit]


class Providers(Shown):
    """All of them."""

    data: list[Provider]
