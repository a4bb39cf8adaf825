"""What a caller may ask for, as values: the gate builds them, accept carries them out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal
from uuid import UUID


@dataclass(frozen=True, slots=True)
class TokenMethod:
    """A one-time token made by a provider's own script in the customer's browser."""

    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class RedirectMethod:
    """The provider's hosted page; the only method that can cross providers."""


@dataclass(frozen=True, slots=True)
class SavedPaymentMethod:
    """A method that an earlier payment left behind; it belongs to one account at one provider."""

    id: UUID


PaymentMethod = TokenMethod | RedirectMethod | SavedPaymentMethod


@dataclass(frozen=True, slots=True)
class PersonDetails:
    """Who pays. People's data: sealed at rest, never logged."""

    email: str | None = field(default=None, repr=False)
    name: str | None = field(default=None, repr=False)
    phone: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class CreatePayment:
    """`amount` in minor units of `currency`; `provider` pins one, None lets the router choose.

    The customer is named by id or described by `person`, never both.
    """

    amount: int
    currency: str
    method: PaymentMethod
    capture: Literal["automatic", "manual"] = "automatic"
    person: PersonDetails | None = None
    customer_id: UUID | None = None
    save_method: bool = False  # keep the method for later payments of this customer
    off_session: bool = False  # the customer is away; with a saved method only
    provider: str | None = None
    return_url: str | None = None
    reference: str | None = None
    description: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    country: str | None = None  # where the customer pays from (ISO 3166-1 alpha-2), for the rules of a route


@dataclass(frozen=True, slots=True)
class CapturePayment:
    """Take `amount` of the hold, or all of it with None."""

    payment_id: UUID
    amount: int | None = None


@dataclass(frozen=True, slots=True)
class CancelPayment:
    """End a payment that has taken no money."""

    payment_id: UUID


@dataclass(frozen=True, slots=True)
class RefundPayment:
    """Give `amount` back, or all that is left with None."""

    payment_id: UUID
    amount: int | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class SyncPayment:
    """Ask the provider now."""

    payment_id: UUID
