"""Disputes: what may be answered, and what is shown."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from api.schemas.base import Body, Shown, id_pattern
from api.schemas.payments import EMAIL

_LONG = 20_000  # characters; the most that Stripe takes in one field


def known_day(value: str) -> str:
    """Raises ValueError for what stands in no calendar."""
    try:
        return date.fromisoformat(value).isoformat()
    except ValueError:
        raise ValueError("must be a day like 2026-03-03") from None


Day = Annotated[
    str,
    Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$", json_schema_extra={"format": "date"}),
    AfterValidator(known_day),
]
Text = Annotated[str, Field(min_length=1, max_length=200)]


class EvidenceBody(Body):
    """What speaks against the complaint. Kept sealed, sent once.

    Fields that a provider takes together or not at all (`evidence_together` of `GET /v1/providers`; at Paystack
    `customer_email`, `customer_name`, `customer_phone` and `service_details`) are refused when only some are given.
    """

    message: str = Field(min_length=1, max_length=_LONG, repr=False, examples=["Delivered and signed for on 3 March."])
    customer_name: Text | None = Field(None, repr=False)
    customer_email: str | None = Field(None, max_length=254, pattern=EMAIL, repr=False)
    customer_phone: str | None = Field(None, pattern=r"^\+?[0-9][0-9 ().\-]{2,30}$", repr=False)
    service_details: Annotated[str, Field(min_length=1, max_length=_LONG)] | None = Field(None, repr=False)
    delivery_address: Annotated[str, Field(min_length=1, max_length=1000)] | None = Field(None, repr=False)
    delivery_date: Day | None = Field(None, examples=["2026-03-03"])
    carrier: Text | None = None
    tracking_number: Text | None = Field(None, repr=False)

    def evidence(self) -> dict[str, str]:
        """What was said, by name."""
        said: dict[str, str] = self.model_dump(exclude_none=True)
        return said


class Dispute(Shown):
    """A customer's complaint at the bank. While `withheld`, its amount is held back or gone."""

    id: str = Field(pattern=id_pattern("dispute"))
    mode: Literal["test", "live"]
    payment: str
    provider: str
    status: Literal["needs_response", "under_review", "won", "lost", "closed"]
    amount: int
    currency: str
    reason: str | None
    refundable: bool
    withheld: bool
    evidence_due_by: str | None
    evidence_sent_at: str | None
    created_at: str
    updated_at: str


class Disputes(Shown):
    """A page, newest first; `next` goes into `after`."""

    data: list[Dispute]
    has_more: bool
    next: str | None
