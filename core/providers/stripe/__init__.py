"""Stripe: card payments by token, payment pages by redirect, refunds, look-ups and webhooks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import ClassVar

from core.domain.outcomes import LookUp, NotFound, Outcome
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
            return payments.with_key(self._calls, payments.start(self._calls, request))

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
            found = look_up(self._calls, request)
        return found if isinstance(found, NotFound) else payments.with_key(self._calls, found)

    def verify_webhook(self, headers: Mapping[str, str], body: bytes, now: datetime) -> VerifiedEvent:
        return signatures.verify(headers, body, self._webhook_secrets, now)

    def read_webhook(self, event: VerifiedEvent) -> list[News] | Ignored:
        news = webhooks.read(event)
        return news if isinstance(news, Ignored) else [self._with_key(one) for one in news]

    def _with_key(self, news: News) -> News:
        """An action told by webhook is as complete as one told by an answer."""
        return news if news.outcome is None else replace(news, outcome=payments.with_key(self._calls, news.outcome))

    def _deadline(self) -> Deadline:
        """One for all requests of an operation."""
        return Deadline(self._limits.deadline)
