"""What a call that brought no object proves: one literal table from the wire to a verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import stripe

from core.domain.outcomes import CUSTOMER_GONE, NotExecuted, NotExecutedReason, Unknown
from core.providers.stripe.fields import FIELDS, field_of
from core.providers.stripe.redaction import redacted
from core.providers.transport import TransportError, never_sent

Verdict = Literal[
    "not_sent",  # the request never left
    "rate_limited",  # 429, decided before execution
    "lock_timeout",  # the same key or object is busy: same key again
    "misconfigured",  # 401, 403
    "invalid_request",  # refused as such
    "already",  # the object's state refuses it: read the object and say what is true
    "declined",  # 402
    "unknown",  # sent, and no readable answer
]

#: `error.code` decides first, below 500: Stripe puts some of these under several HTTP statuses.
BY_CODE: Mapping[str, Verdict] = {
    "lock_timeout": "lock_timeout",
    "idempotency_key_in_use": "lock_timeout",
    "rate_limit": "rate_limited",
    "payment_intent_unexpected_state": "already",
    "charge_already_captured": "already",
    "charge_already_refunded": "already",
    # The hold ran out: the intent says whether that is how it ended.
    "charge_expired_for_capture": "already",
    "capture_charge_authorization_expired": "already",
    # About the account and its keys, whatever was sent.
    "api_key_expired": "misconfigured",
    "secret_key_required": "misconfigured",
    "testmode_charges_only": "misconfigured",
}

#: Refusals that name no parameter: the code -> the parameter to blame.
BLAMED: Mapping[str, str] = {
    "payment_intent_mandate_invalid": "mandate_data",
    "payment_intent_incompatible_payment_method": "payment_method",
    "payment_method_unactivated": "payment_method",
    "payment_method_unexpected_state": "payment_method",
    "payment_method_unsupported_type": "payment_method",
    "payment_method_currency_mismatch": "currency",
    "amount_too_small": "amount",
    "amount_too_large": "amount",
    "url_invalid": "return_url",
}

#: Refusals that name neither code nor parameter: words of the message -> the parameter to blame.
BY_MESSAGE: Mapping[str, str] = {
    "may not be used again": "payment_method",
}

#: Then the exception of the package. IdempotencyError is our own mistake: the key was used for another
#: request, so that one may have been executed, and a new key could charge twice.
BY_EXCEPTION: Mapping[type[stripe.StripeError], Verdict] = {
    stripe.CardError: "declined",
    stripe.RateLimitError: "rate_limited",
    stripe.AuthenticationError: "misconfigured",
    stripe.PermissionError: "misconfigured",
    stripe.InvalidRequestError: "invalid_request",
    stripe.IdempotencyError: "unknown",
    stripe.APIConnectionError: "unknown",
    stripe.APIError: "unknown",
}

#: Then the status, for what the package calls APIError whatever it was.
BY_STATUS: Mapping[int, Verdict] = {409: "lock_timeout"}

_NOT_EXECUTED: Mapping[Verdict, tuple[NotExecutedReason, str]] = {
    "not_sent": (NotExecutedReason.CONNECTION, "Stripe could not be reached"),
    "rate_limited": (NotExecutedReason.RATE_LIMITED, "Stripe's rate limit is reached"),
    "lock_timeout": (NotExecutedReason.LOCK_TIMEOUT, "Stripe is still busy with this object or key"),
    "misconfigured": (NotExecutedReason.MISCONFIGURED, "Stripe refused the credentials"),
    "invalid_request": (NotExecutedReason.INVALID_REQUEST, "Stripe refused the request"),
    "already": (NotExecutedReason.INVALID_REQUEST, "Stripe refused the request in this state"),
}

_ADVICE: Mapping[Verdict, str] = {
    "not_sent": "Stripe could not be reached; check the network and the address of the account.",
    "misconfigured": "Stripe refused the secret key; copy it again from the dashboard's API keys.",
    "rate_limited": "Stripe's rate limit is reached; try again in a minute.",
}


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed call, without secrets. `error` is Stripe's error body, redacted."""

    verdict: Verdict
    exception: str
    cause: str | None = None
    http_status: int | None = None
    request_id: str | None = None
    retry_after: float | None = None
    error: Mapping[str, Any] = field(default_factory=dict)

    @property
    def code(self) -> str | None:
        return _text(self.error.get("code"))

    @property
    def param(self) -> str | None:
        """Stripe's parameter to blame, if it can be told."""
        named = _text(self.error.get("param")) or BLAMED.get(self.code or "")
        message = self.error.get("message")
        said = message if isinstance(message, str) else ""
        return named or next((name for part, name in BY_MESSAGE.items() if part in said), None)

    @property
    def missing(self) -> bool:
        """The object that was asked for is not there for these credentials."""
        return self.verdict == "invalid_request" and (self.http_status == 404 or self.code == "resource_missing")

    @property
    def intent(self) -> dict[str, Any] | None:
        """The intent that Stripe puts into the errors about it."""
        found = self.error.get("payment_intent")
        return found if isinstance(found, dict) else None

    @property
    def key_taken(self) -> bool:
        """Another request came under this key, and Stripe has answered it."""
        return self.exception == stripe.IdempotencyError.__name__ and self.http_status == 400 and self.code is None

    def evidence(self) -> dict[str, Any]:
        """What was seen, for people to judge; no message, since messages echo what was sent."""
        seen = {
            "exception": self.exception,
            "cause": self.cause,
            "http_status": self.http_status,
            "request_id": self.request_id,
            "type": _text(self.error.get("type")),
            "code": self.code,
        }
        return {name: value for name, value in seen.items() if value is not None}

    def outcome(self, fields: Mapping[str, str] = FIELDS) -> NotExecuted | Unknown:
        """For every verdict but `declined`, which needs the object it speaks of. `fields`: see fields.py."""
        known = _NOT_EXECUTED.get(self.verdict)
        if known is None:
            return Unknown(self.evidence(), raw=self.raw(), key_taken=self.key_taken)
        reason, sentence = known
        named = ", ".join(word for word in (self.code, self.param) if word)
        return NotExecuted(
            reason,
            f"{sentence} ({named})" if named else sentence,
            retry_after=self.retry_after,
            provider_code=self.code,
            param=field_of(self.param, fields),
            raw=self.raw(),
        )

    def names_lost_customer(self) -> bool:
        """The customer that a payment named is not there: deleted by somebody, or another account's."""
        return self.missing and self.param == "customer"

    def raw(self) -> Mapping[str, Any] | None:
        return {"error": self.error} if self.error else None

    def advice(self) -> str:
        status = f" (HTTP {self.http_status})" if self.http_status else ""
        return _ADVICE.get(self.verdict, f"Stripe did not answer as expected{status}; try again.")


def customer_gone(failure: Failure) -> NotExecuted | Unknown:
    """What a refusal for want of the customer is told as: another one can be made, and the call be made again."""
    outcome = failure.outcome()
    return replace(outcome, detail=CUSTOMER_GONE) if isinstance(outcome, NotExecuted) else outcome


class Failed(Exception):
    """Carries a Failure up to the operation that decides what it means."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.verdict)
        self.failure = failure


def verdict_of(error: stripe.StripeError, code: str | None) -> Verdict:
    if isinstance(error, stripe.APIConnectionError):
        return "not_sent" if never_sent(error) else BY_EXCEPTION[stripe.APIConnectionError]
    status = error.http_status or 0
    if status < 500 and code is not None and code in BY_CODE:
        return BY_CODE[code]
    by_exception = BY_EXCEPTION.get(type(error), "unknown")
    return BY_STATUS.get(status, by_exception) if by_exception == "unknown" else by_exception


def failure_of(error: stripe.StripeError) -> Failure:
    body = error.json_body
    found = body.get("error") if isinstance(body, dict) else None
    details = redacted(found) if isinstance(found, dict) else {}
    cause = error.__cause__
    return Failure(
        verdict=verdict_of(error, _text(details.get("code"))),
        exception=type(error).__name__,
        cause=cause.cause if isinstance(cause, TransportError) else None,
        http_status=error.http_status,
        request_id=_text(error.request_id),
        retry_after=_seconds((error.headers or {}).get("retry-after")),
        error=details,
    )


def unreadable() -> Failure:
    """An answer that holds no object where one has to be."""
    return failure_of(stripe.APIError("no object in the answer"))


def _seconds(value: Any) -> float | None:
    """`Retry-After` in seconds; its date form is not used by Stripe."""
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        return None
    return seconds if 0 <= seconds <= 3600 else None


def _text(value: Any) -> str | None:
    return value[:200] if isinstance(value, str) and value else None
