"""The bank's sandbox, as the contract uses it."""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime
from typing import Any, ClassVar

from core.domain.outcomes import ActionRequired, Facts
from core.providers.base import Account, PaymentProvider, RefundRequest, StartRequest
from tests.providers.bank_transfer.sandbox import CLOSED_ACCOUNT, DAY
from tests.providers.driver import Driver, start_request, submit


class BankDriver(Driver):
    name = "bank_transfer"
    sandbox_module = "tests.providers.bank_transfer"
    currency = "EUR"
    operations: ClassVar[dict[str, str]] = {
        "start": "transfers.create",
        "refund": "refunds.create",
        "look_up": "transfers.retrieve",
    }
    lost_start_is = ActionRequired

    def account(self) -> Account:
        return Account(
            account_id="acc_test",
            mode="test",
            credentials={"secret_key": self.secret_key},
            webhook_secrets=(self.secret_key,),
            api_base=self.sandbox.url,
        )

    def request(self, kind: str = "charge", amount: int = 500_00, **changes: Any) -> StartRequest:
        back = "https://shop.example/thanks?order=42"
        return start_request("redirect", kind, amount, "EUR", **({"return_url": back} | changes))

    def declined_request(self) -> None:
        return None

    def page_request(self) -> StartRequest:
        return self.request()

    def press(self, action: ActionRequired, button: str) -> None:
        assert action.next_action
        assert action.next_action.url
        submit(action.next_action.url, action=button)

    def failing_refund(self, provider: PaymentProvider) -> RefundRequest:
        request = self.request()
        return self.refund_request(request, self.paid(provider, request), CLOSED_ACCOUNT)

    def slow_refund(self, provider: PaymentProvider) -> RefundRequest:
        request = self.request()
        return self.refund_request(request, self.paid(provider, request), 100_00)

    def let_refunds_end(self) -> None:
        self.advance(2 * DAY)

    def on_its_way(self, provider: PaymentProvider) -> tuple[StartRequest, Facts]:
        request = self.request()
        outcome = provider.start(request)
        assert isinstance(outcome, ActionRequired)
        self.press(outcome, "order")
        return request, outcome.facts

    def let_pages_end(self) -> bool:
        self.advance(8 * DAY)
        return True

    def sign(self, body: bytes, now: datetime, secret: str | None = None) -> dict[str, str]:
        key = (self.secret_key if secret is None else secret).encode()
        return {"x-bank-signature": hmac.new(key, body, hashlib.sha256).hexdigest()}
