"""The interface every provider implements, and the values that cross it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Literal, Protocol

from core.domain.money import Money
from core.domain.outcomes import LookUp, Outcome

#: What News and look-ups speak about. `start` is the charge or the authorization of a payment.
Operation = Literal["start", "capture", "void", "refund"]


@dataclass(frozen=True, slots=True)
class CurrencyLimit:
    """Smallest and largest amount the provider takes, in ISO minor units; every amount is a multiple of `step`."""

    minimum: int
    maximum: int
    step: int = 1


@dataclass(frozen=True, slots=True)
class Pacing:
    """Requests a second the provider allows one account, as published; None where nothing is published."""

    per_operation: float | None
    total_test: float | None
    total_live: float | None


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a provider can do, declared; everything else is refused before it is sent."""

    methods: frozenset[str]  # "token", "redirect"
    currencies: Mapping[str, CurrencyLimit]
    manual_capture_methods: frozenset[str]  # methods that can authorize first
    partial_capture: bool
    void: bool  # may an authorization, or an unfinished payment, be ended by us
    refund: bool
    partial_refund: bool
    multiple_refunds: bool
    failure_webhooks: bool  # False: failures are found by asking only
    resend_window_seconds: int | None  # how long the same key replays; None: it never does, look up instead
    not_found_lookups: int  # look-ups, a minute apart, before "not found" counts
    unknown_review_seconds: int  # an outcome open longer than this goes to a person
    customer_email_for: frozenset[str] = frozenset()  # methods that need the customer's e-mail
    return_url_for: frozenset[str] = frozenset()  # methods that need a return_url
    pacing: Pacing = Pacing(None, None, None)


def step_of(capabilities: Capabilities, currency: str) -> int:
    """The step, in ISO minor units, that charges, captures and refunds are to be multiples of; 1 where none is said."""
    limit = capabilities.currencies.get(currency)
    return 1 if limit is None else limit.step


@dataclass(frozen=True, slots=True)
class Account:
    """One merchant's opened account at one provider. Built by the provider manager, never logged."""

    account_id: str  # ours, `acc_…`
    mode: Literal["test", "live"]
    credentials: Mapping[str, str] = field(repr=False)  # secret_key, publishable_key
    webhook_secrets: tuple[str, ...] = field(repr=False)  # newest first; several during a rotation
    api_base: str | None = None  # None: the provider's own address


@dataclass(frozen=True, slots=True)
class CallLimits:
    """Seconds. `deadline` ends a call as a whole by closing its socket: read time-outs are per read."""

    connect: float = 5.0
    deadline: float = 30.0


@dataclass(frozen=True, slots=True)
class AccountIdentity:
    """Who the provider says we are with these credentials."""

    provider_account: str
    mode: Literal["test", "live"]
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Person:
    """The customer as far as a provider needs to know. People's data: sealed at rest, never logged."""

    email: str | None = field(default=None, repr=False)
    name: str | None = field(default=None, repr=False)
    phone: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class StartRequest:
    """Charge or authorize. `transaction_id` (`txn_…`) is our mark on every object made at the provider."""

    payment_id: str
    transaction_id: str
    provider_key: str
    kind: Literal["charge", "authorize"]
    amount: int
    currency: str
    method: Literal["token", "redirect"]
    token: str | None = field(default=None, repr=False)
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


@dataclass(frozen=True, slots=True)
class VerifiedEvent:
    """A webhook whose signature holds. `dedupe_key` is equal for repeated deliveries of one event."""

    dedupe_key: str
    kind: str
    provider_event_id: str | None
    created_at: datetime | None
    body: Mapping[str, Any] | None  # None: not readable as JSON; kept and ignored with the reason


@dataclass(frozen=True, slots=True)
class News:
    """One fact a provider told us. `outcome` None means: something happened, ask before believing."""

    operation: Operation
    outcome: Outcome | None
    transaction_id: str | None = None  # our mark, where the object carries it
    provider_id: str | None = None  # the object itself
    start_provider_id: str | None = None  # the charge or authorization it belongs to (for refunds)
    occurred_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Ignored:
    """An event we understand and deliberately do nothing about."""

    reason: str


class PaymentProvider(Protocol):
    """Every method that sends ends within `CallLimits.deadline` and never raises for what a provider
    may answer: it returns an Outcome. Money is moved by start, capture, void and refund only."""

    name: ClassVar[str]
    capabilities: ClassVar[Capabilities]

    def __init__(self, account: Account, limits: CallLimits) -> None: ...

    def identify(self) -> AccountIdentity:
        """Ask who the credentials belong to. Raises `IdentityUnknown` with a sentence for the operator."""

    def start(self, request: StartRequest) -> Outcome: ...

    def capture(self, request: CaptureRequest) -> Outcome: ...

    def void(self, request: VoidRequest) -> Outcome: ...

    def refund(self, request: RefundRequest) -> Outcome: ...

    def look_up(self, request: LookUpRequest) -> LookUp:
        """Settle what became of a transaction. Reads only."""

    def verify_webhook(self, headers: Mapping[str, str], body: bytes, now: datetime) -> VerifiedEvent:
        """Pure. Header names are lower case. Raises `core.domain.errors.Forged`."""

    def read_webhook(self, event: VerifiedEvent) -> list[News] | Ignored:
        """Pure translation of a verified event into our words."""


class IdentityUnknown(Exception):
    """The credentials could not be identified; the message says what to do and holds no secret."""
