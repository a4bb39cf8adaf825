"""The sandbox's Stripe, as the contract and Stripe's own tests use it."""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime
from typing import Any, ClassVar

from core.domain.outcomes import ActionRequired, Facts, Succeeded
from core.providers.base import (
    Account,
    CaptureRequest,
    PaymentProvider,
    Person,
    RefundRequest,
    StartRequest,
    VoidRequest,
)
from tests.providers.driver import Driver, capture_of, start_request, submit, void_of
from tests.support.waiting import wait_until

GOOD = "pm_card_visa"
DECLINED = "pm_card_chargeDeclinedInsufficientFunds"
AUTHENTICATE = "pm_card_authenticationRequired"
#: A bank account whose debit stays on its way.
UNSETTLED = "000000000009"
BACK = "https://shop.example/thanks?order=42#top"


class StripeDriver(Driver):
    name = "stripe"
    currency = "USD"
    operations: ClassVar[dict[str, str]] = {
        "start": "payment_intents.create",
        "capture": "payment_intents.capture",
        "void": "payment_intents.cancel",
        "refund": "refunds.create",
        "look_up": "payment_intents.retrieve",
    }
    lost_start_is = Succeeded

    def account(self) -> Account:
        return Account(
            account_id="acc_test",
            mode="test",
            credentials={"secret_key": self.secret_key, "publishable_key": self.made["publishable_key"]},
            webhook_secrets=(self.made["webhook_secret"],),
            api_base=self.sandbox.url,
        )

    def request(self, kind: str = "charge", amount: int = 500_00, **changes: Any) -> StartRequest:
        return start_request("token", kind, amount, changes.pop("currency", "USD"), **({"token": GOOD} | changes))

    def declined_request(self) -> StartRequest:
        return self.request(token=DECLINED)

    def page_request(self, kind: str = "charge", **changes: Any) -> StartRequest:
        values = {"return_url": BACK, "person": Person(email="ada@example.com")} | changes
        return start_request("redirect", kind, 500_00, "USD", **values)

    def press(self, action: ActionRequired, button: str) -> None:
        assert action.next_action
        assert action.next_action.url
        if "/authenticate/" in action.next_action.url:
            submit(action.next_action.url, action="authorize" if button == "pay" else "fail")
        elif button == "pay":
            submit(action.next_action.url, action="pay", card="4242424242424242")
        else:
            submit(action.next_action.url, action=button)

    no_dispute = "du_0000000000000000000000000"

    def hold_request(self, amount: int = 500_00) -> StartRequest:
        return self.request("authorize", amount)

    def disputed(self, provider: PaymentProvider) -> tuple[StartRequest, Facts, str]:
        request = self.request(token="pm_card_createDispute")
        facts = self.paid(provider, request)
        made = wait_until(lambda: self.ledger()["disputes"], "the dispute")
        return request, facts, str(made[0]["id"])

    def failing_refund(self, provider: PaymentProvider) -> RefundRequest:
        request = self.request(token="pm_card_refundFail")
        return self.refund_request(request, self.paid(provider, request), 100_00)

    def slow_refund(self, provider: PaymentProvider) -> RefundRequest:
        request = self.request(token="pm_card_pendingRefund")
        return self.refund_request(request, self.paid(provider, request), 100_00)

    def on_its_way(self, provider: PaymentProvider) -> tuple[StartRequest, Facts]:
        request = self.page_request()
        outcome = provider.start(request)
        assert isinstance(outcome, ActionRequired)
        assert outcome.next_action
        submit(outcome.next_action.url or "", action="pay", card=UNSETTLED)
        return request, outcome.facts

    def sign(self, body: bytes, now: datetime, secret: str | None = None) -> dict[str, str]:
        stamp = int(now.timestamp())
        key = (self.made["webhook_secret"] if secret is None else secret).encode()
        signature = hmac.new(key, f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
        return {"stripe-signature": f"t={stamp},v1={signature}"}

    def capture_request(self, start: StartRequest, outcome: Succeeded, amount: int) -> CaptureRequest:
        return capture_of(start, outcome.facts, amount)

    def void_request(self, start: StartRequest, outcome: Succeeded | ActionRequired) -> VoidRequest:
        return void_of(start, outcome.facts)
