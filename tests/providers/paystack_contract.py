"""The sandbox's Paystack, as the contract uses it."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace
from datetime import datetime
from typing import ClassVar

from core.domain.outcomes import ActionRequired, Facts
from core.providers.base import Account, PaymentProvider, Person, RefundRequest, StartRequest
from tests.providers.driver import Driver, start_request, submit

GOOD = "4084084084084081"


class PaystackDriver(Driver):
    name = "paystack"
    currency = "NGN"
    operations: ClassVar[dict[str, str]] = {
        "start": "transaction.initialize",
        "refund": "refund.create",
        "look_up": "transaction.verify",
    }
    lost_start_is = ActionRequired
    card = GOOD

    def account(self) -> Account:
        return Account(
            account_id="acc_test",
            mode="test",
            credentials={"secret_key": self.secret_key},
            webhook_secrets=(self.secret_key,),
            api_base=self.sandbox.url,
        )

    def request(self, kind: str = "charge", amount: int = 500_00) -> StartRequest:
        back, person = "https://shop.example/thanks?order=42", Person(email="ada@example.com")
        return start_request("redirect", kind, amount, "NGN", return_url=back, person=person)

    def declined_request(self) -> None:
        return None

    def page_request(self) -> StartRequest:
        return self.request()

    no_dispute = "999999999"

    def hold_request(self, amount: int = 500_00) -> StartRequest:
        return replace(self.request("authorize", amount), currency="ZAR")

    def disputed(self, provider: PaymentProvider) -> tuple[StartRequest, Facts, str]:
        request = self.request()
        facts = self.paid(provider, request)
        made = self.sandbox.post("disputes", secret_key=self.secret_key, reference=facts.provider_id)
        return request, facts, str(made["id"])

    def failing_refund(self, provider: PaymentProvider) -> RefundRequest:
        self.card = "4084080000671803"
        request = self.request()
        facts = self.paid(provider, request)
        self.card = GOOD
        return self.refund_request(request, facts, 100_00)

    def slow_refund(self, provider: PaymentProvider) -> RefundRequest:
        request = self.request()
        return self.refund_request(request, self.paid(provider, request), 100_00)

    def press(self, action: ActionRequired, button: str) -> None:
        assert action.next_action
        assert action.next_action.url
        cards = {"card": self.card} if button == "pay" else {}
        submit(action.next_action.url, action=button, **cards)

    def sign(self, body: bytes, now: datetime, secret: str | None = None) -> dict[str, str]:
        key = (self.secret_key if secret is None else secret).encode()
        return {"x-paystack-signature": hmac.new(key, body, hashlib.sha512).hexdigest()}
