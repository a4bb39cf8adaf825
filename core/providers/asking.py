"""What a provider is asked: requests as values, and as the JSON they are kept as."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Literal

from core.domain.money import Money

#: What News and look-ups speak about. `start` is the charge or the authorization of a payment.
Operation = Literal["start", "capture", "void", "refund"]


@dataclass(frozen=True, slots=True)
class Person:
    """The customer as far as a provider needs to know. People's data: sealed at rest, never logged."""

    email: str | None = field(default=None, repr=False)
    name: str | None = field(default=None, repr=False)
    phone: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class SavedMethod:
    """An instrument the provider keeps. Sealed at rest, never logged."""

    token: str = field(repr=False)
    provider_customer: str | None = None
    email: str | None = field(default=None, repr=False)  # the one it was saved with


@dataclass(frozen=True, slots=True)
class StartRequest:
    """Charge or authorize. `transaction_id` (`txn_…`) is our mark on every object made at the provider."""

    payment_id: str
    transaction_id: str
    provider_key: str
    kind: Literal["charge", "authorize"]
    amount: int
    currency: str
    method: Literal["token", "redirect", "saved"]
    token: str | None = field(default=None, repr=False)
    saved: SavedMethod | None = None
    off_session: bool = False  # the customer is away: nobody could authenticate
    save_method: bool = False  # keep the instrument for later, also for charges while the customer is away
    customer_id: str | None = None  # ours, `cus_…`
    provider_customer: str | None = None  # the provider's object for that customer, where one was made
    person: Person = Person()
    return_url: str | None = None
    description: str | None = None
    reference: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def money(self) -> Money:
        return Money(self.amount, self.currency)


@dataclass(frozen=True, slots=True)
class CaptureRequest:
    """Take `amount` (at most what is authorized) of the hold `provider_id`; the rest is released."""

    payment_id: str
    transaction_id: str
    provider_key: str
    provider_id: str
    amount: int
    currency: str
    start_extra: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class VoidRequest:
    """End the hold, or the unfinished payment, `provider_id` without taking money."""

    payment_id: str
    transaction_id: str
    provider_key: str
    provider_id: str
    amount: int
    currency: str
    start_extra: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RefundRequest:
    """Give `amount` of the charge back. `refund_id` is ours (`ref_…`)."""

    payment_id: str
    refund_id: str
    transaction_id: str
    provider_key: str
    provider_id: str
    provider_charge_id: str | None
    amount: int
    currency: str
    reason: str | None = None
    start_extra: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CustomerRequest:
    """Have the provider know a customer of ours: made once under `provider_key`, then changed by its id.

    `first_sent_at` is given when an earlier send may have arrived; then look before making another.
    """

    customer_id: str  # ours, `cus_…`; our mark on the provider's object
    provider_key: str
    person: Person
    provider_id: str | None = None  # known: change that one
    first_sent_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ForgetRequest:
    """Make the provider drop a saved method, so that it can never be charged again."""

    provider_key: str
    saved: SavedMethod


#: What a merchant can say against a dispute, in our words; all but `message` may be left out.
EVIDENCE_FIELDS = (
    "message", "customer_name", "customer_email", "customer_phone", "service_details",
    "delivery_address", "delivery_date", "carrier", "tracking_number",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class EvidenceRequest:
    """Answer a dispute. `evidence` by the names of EVIDENCE_FIELDS: people's data. Sent once, for good."""

    dispute_id: str  # ours, `dsp_…`
    provider_id: str
    provider_key: str
    amount: int
    currency: str
    evidence: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class AcceptRequest:
    """Give in to a dispute: the customer keeps `amount`."""

    dispute_id: str
    provider_id: str
    provider_key: str
    amount: int
    currency: str


Request = StartRequest | CaptureRequest | VoidRequest | RefundRequest

_REQUESTS: Mapping[str, type[StartRequest | CaptureRequest | VoidRequest | RefundRequest]] = {
    "start": StartRequest,
    "capture": CaptureRequest,
    "void": VoidRequest,
    "refund": RefundRequest,
}


def operation_of(request: Request) -> Operation:
    match request:
        case StartRequest():
            return "start"
        case CaptureRequest():
            return "capture"
        case VoidRequest():
            return "void"
        case RefundRequest():
            return "refund"


def dump_request(request: Request) -> dict[str, Any]:
    """The request as plain JSON, so that exactly the same one can be sent again."""
    return {"operation": operation_of(request), **asdict(request)}


def load_request(stored: Mapping[str, Any]) -> Request:
    fields = {name: value for name, value in stored.items() if name != "operation"}
    if isinstance(fields.get("person"), Mapping):
        fields["person"] = Person(**fields["person"])
    if isinstance(fields.get("saved"), Mapping):
        fields["saved"] = SavedMethod(**fields["saved"])
    return _REQUESTS[stored["operation"]](**fields)


@dataclass(frozen=True, slots=True)
class LookUpRequest:
    """Which transaction to ask about. Everything the provider could find it by; times are UTC."""

    operation: Operation
    request: Request  # as it was sent
    provider_id: str | None  # the object of this transaction, if an answer ever named it
    provider_charge_id: str | None
    extra: Mapping[str, str]
    first_sent_at: datetime
    last_sent_at: datetime
    # After a restore it may have been sent under a transaction id that is lost: then whatever was made for the same
    # payment (for a refund: for the same refund) is the one.
    by_payment: bool = False


@dataclass(frozen=True, slots=True)
class ChargeRef:
    """A charge that took money, by every name we know it under."""

    provider_id: str
    provider_charge_id: str | None
    extra: Mapping[str, str] = field(default_factory=dict)
