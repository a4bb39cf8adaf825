"""What a provider call can come to, as values; and what each of them permits next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Literal


class DeclineCategory(StrEnum):
    """How a decline may be followed up."""

    HARD = "hard"
    SOFT = "soft"
    CUSTOMER_ACTION = "customer_action"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Decline:
    """A refusal by bank or provider in our words; `provider_code` keeps theirs.

    `known` is False where their word stands in no table of ours; such words are counted.
    """

    code: str
    category: DeclineCategory
    message: str
    provider_code: str | None = None
    known: bool = True

    def as_dict(self) -> dict[str, Any]:
        return {
            "code": self.code,
            "category": self.category.value,
            "message": self.message,
            "provider_code": self.provider_code,
        }


class NotExecutedReason(StrEnum):
    """Why we are sure that the provider did nothing."""

    CONNECTION = "connection"  # refused, DNS, TLS, connect time-out: the request never left
    BREAKER_OPEN = "breaker_open"
    RATE_LIMITED = "rate_limited"  # 429 decided before execution
    LOCK_TIMEOUT = "lock_timeout"  # 429 lock_timeout, 409 in use: same key again, nowhere else
    MISCONFIGURED = "misconfigured"  # 401, 403
    INVALID_REQUEST = "invalid_request"  # the provider refused the request as such
    NOT_FOUND = "not_found"  # looked up after the waiting time and not there


@dataclass(frozen=True, slots=True)
class KeptMethod:
    """A card, or another instrument, that the provider keeps for later payments. `token` charges it."""

    token: str = field(repr=False)
    kind: str  # "card", "bank", …
    provider_customer: str | None = None
    #: Equal for one and the same card at this provider account, whatever token it is kept under.
    fingerprint: str | None = field(default=None, repr=False)
    #: Where the provider ties the instrument to an address: later charges have to name the same one.
    email: str | None = field(default=None, repr=False)
    brand: str | None = None
    last4: str | None = field(default=None, repr=False)
    exp_month: int | None = None
    exp_year: int | None = None
    bank: str | None = None
    country: str | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What the provider said about the object, in our words. All sums in minor units of `currency`."""

    provider_id: str | None = None  # the object to ask about later: pi_…, cs_…, a Paystack reference, re_…
    provider_charge_id: str | None = None  # the charge behind it, where that is another object
    amount: int | None = None
    amount_authorized: int | None = None
    amount_captured: int | None = None
    amount_received: int | None = None
    currency: str | None = None
    fee: int | None = None
    created_at: datetime | None = None
    extra: Mapping[str, str] = field(default_factory=dict)  # ids worth keeping, never secrets
    #: The provider's body, stored sealed: it holds people's data and tokens.
    raw: Mapping[str, Any] | None = field(default=None, repr=False)
    #: The instrument that was paid with, where it can be charged again; people's data.
    method: KeptMethod | None = field(default=None, repr=False)


#: In `Facts.extra`: the object a declined charge left behind at the provider, still payable until it is ended.
CANCEL_AFTER_DECLINE = "cancel_after_decline"
#: `NotExecuted.detail`, word for word: the customer object that was named is not there any more.
CUSTOMER_GONE = "customer_gone"


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class NextAction:
    """Where the customer has to go. `url` for a redirect; `client_secret` for a provider's own script."""

    url: str | None
    expires_at: datetime | None = None
    client_secret: str | None = None
    publishable_key: str | None = None

    def as_dict(self) -> dict[str, Any]:
        body: dict[str, Any] = {"type": "redirect" if self.url else "provider_script", "url": self.url}
        body["expires_at"] = _stamp(self.expires_at) if self.expires_at is not None else None
        if self.client_secret:
            body["client_secret"] = self.client_secret
            body["publishable_key"] = self.publishable_key
        return body


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The provider did it: money taken, held, released or given back, as the operation says."""

    facts: Facts


@dataclass(frozen=True, slots=True)
class Pending:
    """Accepted by the provider, the end comes later by webhook or look-up."""

    facts: Facts


@dataclass(frozen=True, slots=True)
class ActionRequired:
    """The customer has to do something; a failed try on a redirect page stays in this state."""

    facts: Facts
    next_action: NextAction | None


@dataclass(frozen=True, slots=True)
class Declined:
    """A final no to this transaction."""

    facts: Facts
    decline: Decline


@dataclass(frozen=True, slots=True)
class Canceled:
    """The provider says the object was canceled, expired or released without money kept."""

    facts: Facts
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class NotExecuted:
    """Proof that nothing happened. `retry_after` in seconds when the provider named a wait."""

    reason: NotExecutedReason
    detail: str
    retry_after: float | None = None
    provider_code: str | None = None
    param: str | None = None  # the field of the request that is to blame, in our API's words
    raw: Mapping[str, Any] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Unknown:
    """Sent, and the answer was lost or unreadable. `evidence` says what was seen; it holds no secrets.

    `refused_key` is given by a question that the provider refused for its credentials. `key_taken`: the provider has
    seen another request under the same provider key, so that one may have been executed.
    """

    evidence: Mapping[str, Any]
    raw: Mapping[str, Any] | None = field(default=None, repr=False)
    refused_key: bool = False
    key_taken: bool = False


@dataclass(frozen=True, slots=True)
class NotFound:
    """A look-up did not find the object. Becomes NotExecuted only by promise 4's rule, never by itself."""

    evidence: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DisputeFacts:
    """A customer's complaint as the provider tells it now. `amount` in minor units of `currency`."""

    provider_id: str
    status: Literal["needs_response", "under_review", "won", "lost", "closed"]
    amount: int
    currency: str
    #: The charge it is about, by every id the provider names it with.
    charge_ids: tuple[str, ...]
    reason: str | None = None
    evidence_due_by: datetime | None = None
    #: May the payment still be refunded in spite of it (an inquiry)?
    refundable: bool = False
    #: Is the amount held back or gone while it stands so? False for an inquiry and for what was won.
    withheld: bool = True
    evidence_sent: bool = False
    created_at: datetime | None = None
    raw: Mapping[str, Any] | None = field(default=None, repr=False)


#: What a question or an operation about a dispute comes to.
DisputeAnswer = DisputeFacts | NotFound | NotExecuted | Unknown

Outcome = Succeeded | Pending | ActionRequired | Declined | Canceled | NotExecuted | Unknown
LookUp = Outcome | NotFound


class Retry(StrEnum):
    """May the same provider be tried again, and how."""

    NO = "no"
    SAME_KEY = "same_key"  # after back-off, the stored request unchanged
    LOOK_UP = "look_up"  # ask first; what is found decides


class Elsewhere(StrEnum):
    """May another account be tried."""

    NO = "no"
    YES = "yes"
    ONCE = "once"
    IF_ROUTE_SAYS = "if_route_says"
    AFTER_PROOF = "after_proof"


@dataclass(frozen=True, slots=True)
class Next:
    """One row of the failover table: what an outcome permits."""

    retry: Retry
    elsewhere: Elsewhere


#: Whole: every outcome has a row, and a test holds each. The key is the outcome's name plus, where it matters,
#: category or reason.
FAILOVER: Mapping[str, Next] = {
    "succeeded": Next(Retry.NO, Elsewhere.NO),
    "pending": Next(Retry.NO, Elsewhere.NO),
    "action_required": Next(Retry.NO, Elsewhere.NO),
    "canceled": Next(Retry.NO, Elsewhere.NO),
    "declined:hard": Next(Retry.NO, Elsewhere.NO),
    "declined:soft": Next(Retry.NO, Elsewhere.IF_ROUTE_SAYS),
    "declined:customer_action": Next(Retry.NO, Elsewhere.NO),
    "declined:unknown": Next(Retry.NO, Elsewhere.NO),
    "not_executed:connection": Next(Retry.SAME_KEY, Elsewhere.YES),
    "not_executed:breaker_open": Next(Retry.SAME_KEY, Elsewhere.YES),
    "not_executed:rate_limited": Next(Retry.SAME_KEY, Elsewhere.YES),
    "not_executed:lock_timeout": Next(Retry.SAME_KEY, Elsewhere.NO),
    "not_executed:misconfigured": Next(Retry.NO, Elsewhere.ONCE),
    "not_executed:invalid_request": Next(Retry.NO, Elsewhere.NO),
    "not_executed:not_found": Next(Retry.SAME_KEY, Elsewhere.YES),
    "unknown": Next(Retry.LOOK_UP, Elsewhere.AFTER_PROOF),
}


def failover_key(outcome: Outcome) -> str:
    """The row of FAILOVER that applies to `outcome`."""
    match outcome:
        case Succeeded():
            return "succeeded"
        case Pending():
            return "pending"
        case ActionRequired():
            return "action_required"
        case Canceled():
            return "canceled"
        case Declined(decline=decline):
            return f"declined:{decline.category.value}"
        case NotExecuted(reason=reason):
            return f"not_executed:{reason.value}"
        case Unknown():
            return "unknown"
