"""Paystack: payment pages, saved cards, holds of rand, refunds, disputes, look-ups, lists and webhooks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import ClassVar

from core.domain.outcomes import DisputeAnswer, LookUp, NotExecuted, Outcome, Succeeded, Unknown
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
from core.providers.paystack import (
    changes,
    charges,
    customers,
    disputes,
    holds,
    identity,
    methods,
    payments,
    refunds,
    statement,
    webhooks,
)
from core.providers.paystack.capabilities import CAPABILITIES
from core.providers.paystack.client import PaystackClient
from core.providers.paystack.look_up import look_up
from core.providers.paystack.settings import SETTINGS
from core.providers.settings import ProviderSettings

__all__ = ["PaystackProvider"]


class PaystackProvider:
    """One merchant's account at Paystack; see core.providers.base.PaymentProvider.

    What may take several calls has one deadline for all of them; of a list, every page has its own.
    """

    name: ClassVar[str] = "paystack"
    capabilities: ClassVar[Capabilities] = CAPABILITIES
    settings: ClassVar[ProviderSettings] = SETTINGS

    def __init__(self, account: Account, limits: CallLimits) -> None:
        self._account, self._limits = account, limits
        self._client = PaystackClient(account, limits)

    def identify(self) -> AccountIdentity:
        with Deadline(self._limits.deadline):
            return identity.identify(self._client, self._account)

    def start(self, request: StartRequest) -> Outcome:
        return payments.start(self._client, request)

    def capture(self, request: CaptureRequest) -> Outcome:
        with Deadline(self._limits.deadline):
            return holds.capture(self._client, request)

    def void(self, request: VoidRequest) -> Outcome:
        with Deadline(self._limits.deadline):
            return holds.release(self._client, request)

    def refund(self, request: RefundRequest) -> Outcome:
        return refunds.refund(self._client, request)

    def look_up(self, request: LookUpRequest) -> LookUp:
        with Deadline(self._limits.deadline):
            return look_up(self._client, request)

    def list_refunds(self, charge: ChargeRef) -> Sequence[News] | NotExecuted | Unknown:
        with Deadline(self._limits.deadline):
            return refunds.list_refunds(self._client, charge)

    def upsert_customer(self, request: CustomerRequest) -> Succeeded | NotExecuted | Unknown:
        return customers.upsert_customer(self._client, request)

    def forget_method(self, request: ForgetRequest) -> Succeeded | NotExecuted | Unknown:
        return methods.forget(self._client, request)

    def read_dispute(self, provider_id: str) -> DisputeAnswer:
        return disputes.read_dispute(self._client, provider_id)

    def send_evidence(self, request: EvidenceRequest) -> DisputeAnswer:
        with Deadline(self._limits.deadline):
            return disputes.send_evidence(self._client, request)

    def accept_dispute(self, request: AcceptRequest) -> DisputeAnswer:
        with Deadline(self._limits.deadline):
            return disputes.accept_dispute(self._client, request)

    def list_changes(self, since: datetime, until: datetime) -> Iterator[AnyNews]:
        return changes.list_changes(self._client, since, until)

    def list_charges(self, since: datetime, until: datetime) -> Iterator[ChargeSeen]:
        return charges.list_charges(self._client, since, until)

    def list_statement(self, since: datetime, until: datetime) -> Iterator[StatementLine]:
        return statement.list_statement(self._client, since, until)

    def verify_webhook(self, headers: Mapping[str, str], body: bytes, now: datetime) -> VerifiedEvent:
        return webhooks.verify(headers, body, self._account.webhook_secrets, now)

    def read_webhook(self, event: VerifiedEvent) -> Sequence[AnyNews] | Ignored:
        return webhooks.read(event)
