"""The sandbox's Paystack, as the contract uses it."""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime
from typing import ClassVar

from core.domain.outcomes import ActionRequired
from core.providers.base import Account, Person, StartRequest
from tests.providers.driver import Driver, start_request, submit


class PaystackDriver(Driver):
    name = "paystack"
    currency = "NGN"
    operations: ClassVar[dict[str, str]] = {"start": "transaction.initialize", "refund": "refund.create"}
    lost_start_is = ActionRequired

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

    def press(self, action: ActionRequired, button: str) -> None:
        assert action.next_action
        assert action.next_action.url
        cards = {"card": "4084084084084081"} if button == "pay" else {}
        submit(action.next_action.url, action=button, **cards)

    def sign(self, body: bytes, now: datetime, secret: str | None = None) -> dict[str, str]:
        key = (self.secret_key if secret is None else secret).encode()
        return {"x-paystack-signature": hmac.new(key, body, hashlib.sha512).hexdigest()}
