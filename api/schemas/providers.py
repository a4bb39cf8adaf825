"""Providers as shown."""

from __future__ import annotations

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
    manual_capture: list[str]
    partial_capture: bool
    void: bool
    refund: bool
    partial_refund: bool
    multiple_refunds: bool
    customer_email_for: list[str]
    return_url_for: list[str]
    currencies: dict[str, Limit]


class Providers(Shown):
    """All of them."""

    data: list[Provider]
