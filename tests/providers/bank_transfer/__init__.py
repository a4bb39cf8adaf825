"""A third provider, small and whole: the customer orders a bank transfer, and the money comes a day later."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar

from core.domain.outcomes import (
    DisputeAnswer,
    LookUp,
    NotExecuted,
    NotExecutedReason,
    NotFound,
    Outcome,
    Succeeded,
    Unknown,
)
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
    CurrencyLimit,
    CustomerRequest,
    EvidenceRequest,
    ForgetRequest,
    IdentityUnknown,
    Ignored,
    ListingBroken,
    LookUpRequest,
    News,
    RefundRequest,
    StartRequest,
    StatementLine,
    VerifiedEvent,
    VoidRequest,
)
from core.providers.keys import mode_of_key
from core.providers.paging import Page, in_turn
from core.providers.settings import ProviderSettings, Secret
from tests.providers.bank_transfer import webhooks
from tests.providers.bank_transfer.client import Body, Client
from tests.providers.bank_transfer.outcomes import read_refund, read_transfer, text

SETTINGS = ProviderSettings(
    address="https://api.bank.example", secrets=(Secret("secret_key", "Secret key (sk_…)"),), signs_with_key=True
)
_ABLE = Capabilities(
    methods=frozenset({"redirect"}),
    currencies={"EUR": CurrencyLimit(100, 99_999_999)},
    manual_capture_methods=frozenset(),
    partial_capture=False,
    void=False,
    close_unfinished=False,  # nobody can call back what was ordered at another bank
    refund=True,
    partial_refund=True,
    multiple_refunds=True,
    failure_webhooks=True,
    resend_window_seconds=24 * 3600,
    not_found_lookups=1,
    unknown_review_seconds=24 * 3600,
    changes=True,
)


def _told(found: list[Body] | NotExecuted | Unknown) -> Page[list[Body]]:
    return Page(found) if isinstance(found, list) else Page([], found)


def _cannot(what: str) -> NotExecuted:
    """Decided here: nothing is sent."""
    return NotExecuted(NotExecutedReason.INVALID_REQUEST, f"a bank transfer has no {what}")


def _mark_of(request: LookUpRequest) -> dict[str, str]:
    """The transaction's; after a restore that is lost, and the payment's or the refund's is left."""
    sent = request.request
    if not request.by_payment:
        return {"mark": sent.transaction_id}
    return {"refund": sent.refund_id} if isinstance(sent, RefundRequest) else {"payment": sent.payment_id}


class BankTransfer:
    """One merchant's account at the bank; see core.providers.base.PaymentProvider."""

    name: ClassVar[str] = "bank_transfer"
    capabilities: ClassVar[Capabilities] = _ABLE
    settings: ClassVar[ProviderSettings] = SETTINGS

    def __init__(self, account: Account, limits: CallLimits) -> None:
        self._account = account
        self._client = Client(account, limits, SETTINGS.address)

    def identify(self) -> AccountIdentity:
        mode = mode_of_key("the bank", self._account, {"sk_test_": "test", "sk_live_": "live"})
        found = self._client.get("/account")
        name = None if isinstance(found, NotExecuted | Unknown) else text(found, "id")
        if name is None:
            raise IdentityUnknown("The bank does not know this key; copy it again from its settings.")
        return AccountIdentity(name, mode)

    def start(self, request: StartRequest) -> Outcome:
        if request.method != "redirect" or request.kind != "charge" or request.save_method:
            return _cannot(f"{request.kind} by {request.method}")
        if request.currency not in _ABLE.currencies:
            return _cannot(request.currency)
        body = {"amount": request.amount, "currency": request.currency, "back": request.return_url}
        marks = {"mark": request.transaction_id, "payment": request.payment_id}
        found = self._client.post("/transfers", request.provider_key, {**body, **marks})
        return found if isinstance(found, NotExecuted | Unknown) else read_transfer(found)

    def refund(self, request: RefundRequest) -> Outcome:
        body = {"transfer": request.provider_id, "amount": request.amount}
        marks = {"mark": request.transaction_id, "refund": request.refund_id}
        found = self._client.post("/refunds", request.provider_key, {**body, **marks})
        return found if isinstance(found, NotExecuted | Unknown) else read_refund(found)

    def look_up(self, request: LookUpRequest) -> LookUp:
        read, path = (read_refund, "/refunds") if request.operation == "refund" else (read_transfer, "/transfers")
        found: Body | NotFound | NotExecuted | Unknown
        if request.provider_id is not None:
            found = self._client.get(path, request.provider_id)
        else:
            found = self._marked(path, _mark_of(request))
        if isinstance(found, NotExecuted):  # a refused question says nothing about the transaction
            seen = {"seen": "the question was refused", "reason": found.reason.value}
            return Unknown(seen, refused_key=found.reason is NotExecutedReason.MISCONFIGURED)
        return found if isinstance(found, Unknown | NotFound) else read(found)

    def _marked(self, path: str, mark: dict[str, str]) -> Body | NotFound | NotExecuted | Unknown:
        rows = self._rows(path, **mark)
        if not isinstance(rows, list):
            return rows
        # Of several attempts at a payment the one that took or can still take money.
        return min(rows, key=lambda one: one.get("state") == "expired", default=NotFound(mark))

    def _rows(self, path: str, **query: str) -> list[Body] | NotExecuted | Unknown:
        found = self._client.get(path, **query)
        if isinstance(found, NotExecuted | Unknown):
            return found
        rows: Any = found.get("rows")
        return rows if isinstance(rows, list) else Unknown({"seen": "a list that cannot be read"})

    def list_refunds(self, charge: ChargeRef) -> Sequence[News] | NotExecuted | Unknown:
        rows = self._rows("/refunds", transfer=charge.provider_id)
        return [webhooks.news_of("refund", one) for one in rows] if isinstance(rows, list) else rows

    def list_changes(self, since: datetime, until: datetime) -> Iterator[AnyNews]:
        window = {"since": str(int(since.timestamp())), "until": str(int(until.timestamp()))}
        for subject in ("transfer", "refund"):
            yield from (webhooks.news_of(subject, one) for one in self._page(f"/{subject}s", **window))

    def list_charges(self, since: datetime, until: datetime) -> Iterator[ChargeSeen]:
        for row in self._page("/transfers", since=str(int(since.timestamp())), until=str(int(until.timestamp()))):
            yield webhooks.seen_of(row)

    def _page(self, path: str, **query: str) -> list[Body]:
        """The only page there is, in its turn. Raises ListingBroken."""
        page = in_turn(lambda: _told(self._rows(path, **query)))
        if page.failed is not None:
            raise ListingBroken(page.failed)
        return page.answer

    def verify_webhook(self, headers: Mapping[str, str], body: bytes, now: datetime) -> VerifiedEvent:
        return webhooks.verify(headers, body, self._account.webhook_secrets)

    def read_webhook(self, event: VerifiedEvent) -> Sequence[AnyNews] | Ignored:
        return webhooks.read(event)

    # What a bank transfer has not

    def capture(self, request: CaptureRequest) -> Outcome:
        return _cannot("hold to capture")

    def void(self, request: VoidRequest) -> Outcome:
        return _cannot("hold to end")

    def upsert_customer(self, request: CustomerRequest) -> Succeeded | NotExecuted | Unknown:
        return _cannot("customers")

    def forget_method(self, request: ForgetRequest) -> Succeeded | NotExecuted | Unknown:
        return _cannot("saved methods")

    def read_dispute(self, provider_id: str) -> DisputeAnswer:
        return _cannot("disputes")

    def send_evidence(self, request: EvidenceRequest) -> DisputeAnswer:
        return _cannot("disputes")

    def accept_dispute(self, request: AcceptRequest) -> DisputeAnswer:
        return _cannot("disputes")

    def list_statement(self, since: datetime, until: datetime) -> Iterator[StatementLine]:
        raise ListingBroken(_cannot("statement"))
