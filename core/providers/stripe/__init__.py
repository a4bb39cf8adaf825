"""Stripe: payments by token, page and saved method, refunds, disputes, customers, statements, webhooks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import ClassVar

from core.domain.outcomes import DisputeAnswer, LookUp, NotExecuted, NotFound, Outcome, Succeeded, Unknown
from core.providers.base import (
    AcceptRequest,
    Account,
    AccountIdentity,
    AnyNews,
    CallLimits,
    Capabilities,
    CaptureRequest,
    ChargeRef,
    ChargeSeen,
    CustomerRequest,
    EvidenceRequest,
    ForgetRequest,
    Ignored,
    LookUpRequest,
    News,
    RefundRequest,
    StartRequest,
    StatementLine,
    VerifiedEvent,
    VoidRequest,
)
from core.providers.deadline import Deadline
from core.providers.settings import ProviderSettings
from core.providers.stripe import (
    changes,
    charges,
    customers,
    disputes,
    methods,
    payments,
    refunds,
    signatures,
    statement,
    webhooks,
)
from core.providers.stripe.capabilities import CAPABILITIES
from core.providers.stripe.client import StripeCalls
from core.providers.stripe.lists import Ask, paged
from core.providers.stripe.look_up import look_up
from core.providers.stripe.settings import SETTINGS

__all__ = ["StripeProvider"]


class StripeProvider:
    """One merchant's account at Stripe; see core.providers.base.PaymentProvider."""

    name: ClassVar[str] = "stripe"
    capabilities: ClassVar[Capabilities] = CAPABILITIES
    settings: ClassVar[ProviderSettings] = SETTINGS

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
        found = look_up(self._calls, request, self._deadline)
        return found if isinstance(found, NotFound) else payments.with_key(self._calls, found)

    def list_refunds(self, charge: ChargeRef) -> Sequence[News] | NotExecuted | Unknown:
        with self._deadline():
            return refunds.list_refunds(self._calls, charge)

    def upsert_customer(self, request: CustomerRequest) -> Succeeded | NotExecuted | Unknown:
        with self._deadline():
            return customers.upsert(self._calls, request)

    def forget_method(self, request: ForgetRequest) -> Succeeded | NotExecuted | Unknown:
        with self._deadline():
            return methods.forget(self._calls, request)

    def read_dispute(self, provider_id: str) -> DisputeAnswer:
        with self._deadline():
            return disputes.read(self._calls, provider_id)

    def send_evidence(self, request: EvidenceRequest) -> DisputeAnswer:
        with self._deadline():
            return disputes.send_evidence(self._calls, request)

    def accept_dispute(self, request: AcceptRequest) -> DisputeAnswer:
        with self._deadline():
            return disputes.accept(self._calls, request)

    def list_changes(self, since: datetime, until: datetime) -> Iterator[AnyNews]:
        return (self._with_key(one) for one in changes.news(self._page(self._calls.list_events), since, until))

    def list_charges(self, since: datetime, until: datetime) -> Iterator[ChargeSeen]:
        return charges.charges(self._page(self._calls.list_intents), since, until)

    def list_statement(self, since: datetime, until: datetime) -> Iterator[StatementLine]:
        lines, payouts = self._calls.list_balance_transactions, self._calls.list_payouts
        return statement.lines(self._page(lines), self._page(payouts), since, until)

    def verify_webhook(self, headers: Mapping[str, str], body: bytes, now: datetime) -> VerifiedEvent:
        return signatures.verify(headers, body, self._webhook_secrets, now)

    def read_webhook(self, event: VerifiedEvent) -> Sequence[AnyNews] | Ignored:
        news = webhooks.read(event)
        return news if isinstance(news, Ignored) else [self._with_key(one) for one in news]

    def _with_key(self, news: AnyNews) -> AnyNews:
        """An action told by webhook is as complete as one told by an answer."""
        if not isinstance(news, News) or news.outcome is None:
            return news
        return replace(news, outcome=payments.with_key(self._calls, news.outcome))

    def _page(self, ask: Ask) -> Ask:
        return paged(ask, self._deadline)

    def _deadline(self) -> Deadline:
        """One for all requests of an operation."""
        return Deadline(self._limits.deadline)
