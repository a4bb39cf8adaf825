"""The interface every provider implements; the values that cross it are in its three neighbours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar, Literal, Protocol

from core.domain.outcomes import DisputeAnswer, LookUp, NotExecuted, Outcome, Succeeded, Unknown
from core.providers.asking import (
    EVIDENCE_FIELDS,
    AcceptRequest,
    CaptureRequest,
    ChargeRef,
    CustomerRequest,
    EvidenceRequest,
    ForgetRequest,
    LookUpRequest,
    Operation,
    Person,
    RefundRequest,
    Request,
    SavedMethod,
    StartRequest,
    VoidRequest,
    dump_request,
    load_request,
    operation_of,
)  # fmt: skip
from core.providers.capabilities import Capabilities, CurrencyLimit, Pacing, step_of
from core.providers.settings import ProviderSettings
from core.providers.telling import (
    AnyNews,
    ChargeSeen,
    DisputeNews,
    Ignored,
    ListingBroken,
    MethodNews,
    News,
    StatementLine,
    VerifiedEvent,
)  # fmt: skip

__all__ = [
    "EVIDENCE_FIELDS",
    "AcceptRequest",
    "Account",
    "AccountIdentity",
    "AnyNews",
    "CallLimits",
    "Capabilities",
    "CaptureRequest",
    "ChargeRef",
    "ChargeSeen",
    "CurrencyLimit",
    "CustomerRequest",
    "DisputeNews",
    "EvidenceRequest",
    "ForgetRequest",
    "IdentityUnknown",
    "Ignored",
    "ListingBroken",
    "LookUpRequest",
    "MethodNews",
    "News",
    "Operation",
    "Pacing",
    "PaymentProvider",
    "Person",
    "RefundRequest",
    "Request",
    "SavedMethod",
    "StartRequest",
    "StatementLine",
    "VerifiedEvent",
    "VoidRequest",
    "dump_request",
    "load_request",
    "operation_of",
    "step_of",
]


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


class PaymentProvider(Protocol):
    """Every method that sends ends within `CallLimits.deadline` and never raises for what a provider
    may answer: it returns an Outcome. Money is moved by start, capture, void and refund only, and by
    what is said about a dispute."""

    name: ClassVar[str]
    capabilities: ClassVar[Capabilities]
    settings: ClassVar[ProviderSettings]

    def __init__(self, account: Account, limits: CallLimits) -> None: ...

    def identify(self) -> AccountIdentity:
        """Ask who the credentials belong to. Raises `IdentityUnknown` with a sentence for the operator."""

    def start(self, request: StartRequest) -> Outcome: ...

    def capture(self, request: CaptureRequest) -> Outcome: ...

    def void(self, request: VoidRequest) -> Outcome: ...

    def refund(self, request: RefundRequest) -> Outcome: ...

    def look_up(self, request: LookUpRequest) -> LookUp:
        """Settle what became of a transaction. Reads only."""

    def list_refunds(self, charge: ChargeRef) -> Sequence[News] | NotExecuted | Unknown:
        """Every refund the provider has of a charge, ours and its dashboard's, each with its id and outcome."""

    def upsert_customer(self, request: CustomerRequest) -> Succeeded | NotExecuted | Unknown:
        """`facts.provider_id` names the provider's object. The same key never makes a second one.

        NotExecuted with the detail CUSTOMER_GONE says, as from `start`, that the object named is not there any more.
        """

    def forget_method(self, request: ForgetRequest) -> Succeeded | NotExecuted | Unknown:
        """Succeeded also when the method was gone already."""

    def read_dispute(self, provider_id: str) -> DisputeAnswer:
        """How a dispute stands. Reads only."""

    def send_evidence(self, request: EvidenceRequest) -> DisputeAnswer: ...

    def accept_dispute(self, request: AcceptRequest) -> DisputeAnswer: ...

    def list_changes(self, since: datetime, until: datetime) -> Iterator[AnyNews]:
        """What happened in the window, in the words of webhooks; may repeat what is known. UTC.

        Raises ListingBroken. Every page is a call of its own under the deadline.
        """

    def list_charges(self, since: datetime, until: datetime) -> Iterator[ChargeSeen]:
        """Every charge and authorization made in the window, ours and others', as they stand now. UTC.

        What cannot be said in our currencies and units is left out. Raises ListingBroken.
        """

    def list_statement(self, since: datetime, until: datetime) -> Iterator[StatementLine]:
        """Movements of the balance booked in the window, with what payouts hold. Raises ListingBroken."""

    def verify_webhook(self, headers: Mapping[str, str], body: bytes, now: datetime) -> VerifiedEvent:
        """Pure. Header names are lower case. Raises `core.domain.errors.Forged`."""

    def read_webhook(self, event: VerifiedEvent) -> Sequence[AnyNews] | Ignored:
        """Pure translation of a verified event into our words."""


class IdentityUnknown(Exception):
    """The credentials could not be identified; the message says what to do and holds no secret."""
