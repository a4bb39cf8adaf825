"""Stripe: card payments by token, payment pages by redirect, refunds, look-ups and webhooks."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar

from core.domain.outcomes import LookUp, Outcome
from core.providers.base import (
    Account,
    AccountIdentity,
    CallLimits,
    Capabilities,
    CaptureRequest,
    Ignored,
    LookUpRequest,
    News,
    RefundRequest,
    StartRequest,
    VerifiedEvent,
    VoidRequest,
)
from core.providers.deadline import Deadline
from core.providers.stripe import payments, refunds, signatures, webhooks
from core.providers.stripe.capabilities import CAPABILITIES
from core.providers.stripe.client import StripeCalls
from core.providers.stripe.look_up import look_up

__all__ = ["StripeProvider"]


class StripeProvider:
    """One merchant's account at Stripe; see core.providers.base.PaymentProvider."""

    name: ClassVar[str] = "stripe"
    capabilities: ClassVar[Capabilities] = CAPABILITIES

    def __init__(self, account: Account, limits: CallLimits) -> None:
        self._limits = limits
        self._webhook_secrets = account.webhook_secrets
        self._calls = StripeCalls(account, limits)

    def identify(self) -> AccountIdentity:
        with self._deadline():
            return self._calls.identify()

    def start(self, request: StartRequest) -> Outcome:
        with self._deadline():
            return payments.start(self._calls, request)

    def capture(self, request: CaptureRequest) -> Outcome:
        with self._deadline():
            return payments.capture(self._calls, request)

    def void(self, request: VoidRequest) -> Outcome:
        with self._deadline():
            return payments.void(self._calls, request)

    def refund(self, request: RefundRequest) -> Outcome:
        with self._deadline():
            return refunds.refund(self._calls, request)

    def look_up(self, request: LookUpRequest) -> LookUp:
        with self._deadline():
            return look_up(self._calls, request)

    def verify_webhook(self, headers: Mapping[str, str], body: bytes, now: datetime) -> VerifiedEvent:
        return signatures.verify(headers, body, self._webhook_secrets, now)

    def read_webhook(self, event: VerifiedEvent) -> list[News] | Ignored:
        return webhooks.read(event)

    def _deadline(self) -> Deadline:
        """One for all requests of an operation."""
        return Deadline(self._limits.deadline)
