"""Payments: what may be asked, and what is shown."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Discriminator, Field, Tag

from api.schemas.base import Amount, Body, Shown, id_pattern
from api.schemas.parameters import Country, Currency, KnownProvider, Short
from core.domain.commands import (
    CreatePayment,
    PaymentMethod,
    PersonDetails,
    RedirectMethod,
    SavedPaymentMethod,
    TokenMethod,
)  # fmt: skip
from core.domain.errors import FieldError, RequestRefused
from core.domain.identifiers import parse_id

_MAX_METADATA = 50


class Token(Body):
    """A one-time token of the provider's own script."""

    type: Literal["token"]
    token: str = Field(min_length=1, max_length=255, pattern=r"^[\x21-\x7e]+$", repr=False, examples=["pm_card_visa"])


class Redirect(Body):
    """The provider's hosted page."""

    type: Literal["redirect"]


class Saved(Body):
    """A method that an earlier payment with `save_payment_method` left behind."""

    type: Literal["saved"]
    id: str = Field(pattern=id_pattern("payment_method"))


Method = Annotated[Token | Redirect | Saved, Field(discriminator="type")]

EMAIL = (
    r"^[^@\s\"(),:;<>\[\\\]]{1,64}@[A-Za-z0-9]([A-Za-z0-9\-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9\-]*[A-Za-z0-9])?)+$"
)


class Customer(Body):
    """Who pays. Kept sealed."""

    email: str | None = Field(None, max_length=254, pattern=EMAIL, repr=False, examples=["ada@example.com"])
    name: str | None = Field(None, min_length=1, max_length=200, repr=False)
    phone: str | None = Field(None, pattern=r"^\+?[0-9][0-9 ().\-]{2,30}$", repr=False, examples=["+4930123456"])


def _customer_kind(value: Any) -> str:
    return "id" if isinstance(value, str) else "details"


CustomerId = Annotated[str, Field(pattern=id_pattern("customer"))]
Person = Annotated[
    Annotated[CustomerId, Tag("id")] | Annotated[Customer, Tag("details")], Discriminator(_customer_kind)
]


def web_address(value: str) -> str:
    """An absolute http or https address with a host and without a password. Raises ValueError."""
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError("must be an absolute http or https address") from None
    if parts.scheme.lower() not in ("http", "https") or not host or any(letter.isspace() for letter in value):
        raise ValueError("must be an absolute http or https address")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not hold a user name or password")
    return value


WebAddress = Annotated[str, Field(max_length=2000, examples=["https://shop.example/back"]), AfterValidator(web_address)]
MetadataName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.\-]{1,40}$")]
MetadataText = Annotated[str, Field(max_length=500)]
Metadata = Annotated[
    dict[MetadataName, MetadataText],
    Field(max_length=_MAX_METADATA, examples=[{"order": "42"}], json_schema_extra={"additionalProperties": False}),
]


class CreatePaymentBody(Body):
    """A payment to make. What looks like a card number is refused in every field, references included."""

    amount: Amount = Field(examples=[5000])
    currency: Currency
    capture: Literal["automatic", "manual"] = Field(
        "automatic", description="`manual` holds the money until it is captured."
    )
    payment_method: Method
    customer: Person | None = Field(None, description="An id (`cus_…`), or details, which make a customer.")
    save_payment_method: bool = Field(
        False, description="Keep what is paid with for later payments of this customer, who has to be named."
    )
    off_session: bool = Field(
        False,
        description="The customer is away: with a saved method only. Nobody can authenticate then. "
        "After a soft decline it is tried up to two more times within 72 hours, and stays `processing` meanwhile.",
    )
    provider: KnownProvider | None = Field(
        None, description="Pins one; null lets the router choose.", examples=["stripe"]
    )
    return_url: WebAddress | None = Field(None, description="Where the customer comes back to.")
    reference: Short | None = Field(None, description="Yours; need not be unique.", examples=["order-42"])
    description: Annotated[str, Field(min_length=1, max_length=500)] | None = None
    metadata: Metadata = Field(default_factory=dict)
    country: Country | None = Field(
        None, description="Where the customer pays from, as you know it; the merchant's routing rules may ask for it."
    )

    def command(self) -> CreatePayment:
        """Raises RequestRefused for wishes that do not go together."""
        _refuse_contradictions(self)
        person = self.customer
        details = PersonDetails(person.email, person.name, person.phone) if isinstance(person, Customer) else None
        return CreatePayment(
            amount=self.amount,
            currency=self.currency,
            method=_method(self.payment_method),
            capture=self.capture,
            person=details if details != PersonDetails() else None,
            customer_id=parse_id("customer", person) if isinstance(person, str) else None,
            save_method=self.save_payment_method,
            off_session=self.off_session,
            provider=self.provider,
            return_url=self.return_url,
            reference=self.reference,
            description=self.description,
            metadata=self.metadata,
            country=self.country,
        )


def _method(asked: Token | Redirect | Saved) -> PaymentMethod:
    match asked:
        case Token():
            return TokenMethod(asked.token)
        case Saved():
            return SavedPaymentMethod(parse_id("payment_method", asked.id))
        case Redirect():
            return RedirectMethod()


def _refuse_contradictions(body: CreatePaymentBody) -> None:
    saved = isinstance(body.payment_method, Saved)
    nobody = body.customer is None or body.customer == Customer()
    wrong = (
        (body.off_session and not saved, "off_session", "needs a saved payment method"),
        (saved and isinstance(body.customer, Customer), "customer", "name the customer by id, or leave it out"),
        (saved and body.save_payment_method, "save_payment_method", "the method is saved already; leave it out"),
        (body.save_payment_method and nobody, "save_payment_method", "needs a customer, by id or with details"),
    )
    errors = [FieldError(field, message) for found, field, message in wrong if found]
    if errors:
        raise RequestRefused("some wishes do not go together", errors=errors)


class CaptureBody(Body):
    """How much of the hold to take; all of it when left out. The rest is released."""

    amount: Amount | None = None


class RefundBody(Body):
    """How much to give back; all that is left when left out."""

    amount: Amount | None = None
    reason: Annotated[str, Field(min_length=1, max_length=200)] | None = None


class NextAction(Shown):
    """Where the customer has to go."""

    type: Literal["redirect", "provider_script"]
    url: str | None
    expires_at: str | None
    client_secret: str | None = None
    publishable_key: str | None = None


class Decline(Shown):
    """A no of bank or provider, in our words."""

    code: str
    category: Literal["hard", "soft", "customer_action", "unknown"]
    message: str
    provider_code: str | None


class MethodShown(Shown):
    """`id` is the saved method that was used, or that the payment left behind."""

    type: Literal["token", "redirect", "saved"]
    id: str | None


class PaymentForSupport(Shown):
    """A payment without where its customer has to go: whoever has that can pay. People's data stays sealed."""

    id: str = Field(pattern=id_pattern("payment"))
    mode: Literal["test", "live"]
    status: Literal["processing", "requires_action", "authorized", "succeeded", "failed", "canceled"]
    amount: int
    currency: str
    capture: Literal["automatic", "manual"]
    payment_method: MethodShown
    customer: str | None
    provider: str | None
    provider_account: str | None
    amount_authorized: int
    amount_captured: int
    amount_received: int
    amount_refunded: int
    amount_disputed: int
    decline: Decline | None
    return_url: str | None
    reference: str | None
    description: str | None
    metadata: dict[str, str]
    country: str | None
    expires_at: str | None
    created_at: str
    updated_at: str


class Payment(PaymentForSupport):
    """What the merchant wants, and how far it has come. Sums are in minor units."""

    next_action: NextAction | None


class PaymentsForSupport(Shown):
    """A page, newest first; `next` goes into `after`."""

    data: list[PaymentForSupport]
    has_more: bool
    next: str | None


class Payments(Shown):
    """A page, newest first; `next` goes into `after`."""

    data: list[Payment]
    has_more: bool
    next: str | None


class TimelineEntry(Shown):
    """One thing that happened."""

    at: str
    kind: str = Field(examples=["transaction.sent"])
    summary: str = Field(examples=["Sent a charge of 50.00 USD to stripe"])
    details: dict[str, Any]


class Timeline(Shown):
    """Every row about a payment in order."""

    payment: str
    data: list[TimelineEntry]
