"""Paystack: payment pages by redirect, refunds, look-ups and webhooks."""

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
from core.providers.paystack import identity, payments, refunds, webhooks
from core.providers.paystack.client import PaystackClient
from core.providers.paystack.currencies import CURRENCIES
from core.providers.paystack.look_up import look_up
from core.providers.paystack.outcomes import refuse_unsent

__all__ = ["PaystackProvider"]


class PaystackProvider:
    """One merchant's account at Paystack; see core.providers.base.PaymentProvider."""

    name: ClassVar[str] = "paystack"
    capabilities: ClassVar[Capabilities] = Capabilities(
        methods=frozenset({"redirect"}),
        currencies=CURRENCIES,
        manual_capture_methods=frozenset(),
        partial_capture=False,
        void=False,
        close_unfinished=False,  # a page cannot be closed: it is left to be abandoned, and watched
        refund=True,
        partial_refund=True,
        multiple_refunds=True,
        failure_webhooks=False,
        resend_window_seconds=None,  # a second initialize with one reference is refused, a second refund refunds
        not_found_lookups=2,
        unknown_review_seconds=72 * 3600,  # as long as Paystack repeats its webhooks in live mode
        customer_email_for=frozenset({"redirect"}),
    )

    def __init__(self, account: Account, limits: CallLimits) -> None:
        self._account, self._limits = account, limits
        self._client = PaystackClient(account, limits)

    def identify(self) -> AccountIdentity:
        with Deadline(self._limits.deadline):
            return identity.identify(self._client, self._account)

    def start(self, request: StartRequest) -> Outcome:
        return payments.start(self._client, request)

    def capture(self, request: CaptureRequest) -> Outcome:
        return refuse_unsent("Paystack takes the money at once: there is nothing to capture")

    def void(self, request: VoidRequest) -> Outcome:
        return refuse_unsent("Paystack cannot end a payment page")

    def refund(self, request: RefundRequest) -> Outcome:
        return refunds.refund(self._client, request)

    def look_up(self, request: LookUpRequest) -> LookUp:
        # Several questions may be needed: one deadline for all of them.
        with Deadline(self._limits.deadline):
            return look_up(self._client, request)

    def verify_webhook(self, headers: Mapping[str, str], body: bytes, now: datetime) -> VerifiedEvent:
        return webhooks.verify(headers, body, self._account.webhook_secrets)

    def read_webhook(self, event: VerifiedEvent) -> list[News] | Ignored:
        return webhooks.read(event)
