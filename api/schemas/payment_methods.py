"""Saved payment methods as shown; they are made by payments."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from api.schemas.base import Parameters, QueryNumber, Shown, id_pattern


class Card(Shown):
    """What people know a card by."""

    brand: str | None
    last4: str | None
    exp_month: int | None
    exp_year: int | None


class PaymentMethodShown(Shown):
    """What a customer can be charged with again, at the one account that keeps it.

    Once it is being forgotten it cannot be used any more, and `card` and `bank` are null.
    """

    id: str = Field(pattern=id_pattern("payment_method"))
    mode: Literal["test", "live"]
    customer: str
    provider: str
    provider_account: str
    kind: str = Field(examples=["card"])
    card: Card | None
    bank: str | None
    status: Literal["active", "forgetting", "forgotten"]
    created_at: str


class PaymentMethods(Shown):
    """A page, newest first; `next` goes into `after`."""

    data: list[PaymentMethodShown]
    has_more: bool
    next: str | None


class PaymentMethodsQuery(Parameters):
    limit: QueryNumber = Field(20, ge=1, le=100, description="How many at most.")
    after: str | None = Field(None, pattern=id_pattern("payment_method"), description="The last id of the page before.")
