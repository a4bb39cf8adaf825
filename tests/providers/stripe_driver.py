"""The sandbox's Stripe, as the contract and Stripe's own tests use it."""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime
from typing import Any, ClassVar

from core.domain.outcomes import ActionRequired, Succeeded
from core.providers.base import Account, CaptureRequest, Person, StartRequest, VoidRequest
from tests.providers.driver import Driver, fresh, start_request, submit

GOOD = "pm_card_visa"
DECLINED = "pm_card_chargeDeclinedInsufficientFunds"
AUTHENTICATE = "pm_card_authenticationRequired"
BACK = "https://shop.example/thanks?order=42#top"


class StripeDriver(Driver):
    name = "stripe"
    currency = "USD"
    operations: ClassVar[dict[str, str]] = {
        "start": "payment_intents.create",
        "capture": "payment_intents.capture",
        "void": "payment_intents.cancel",
        "refund": "refunds.create",
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

    def sign(self, body: bytes, now: datetime, secret: str | None = None) -> dict[str, str]:
        stamp = int(now.timestamp())
        key = (self.made["webhook_secret"] if secret is None else secret).encode()
        signature = hmac.new(key, f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
        return {"stripe-signature": f"t={stamp},v1={signature}"}

    def capture_request(self, start: StartRequest, outcome: Succeeded, amount: int) -> CaptureRequest:
        return CaptureRequest(
            payment_id=start.payment_id,
            transaction_id=fresh("transaction"),
            provider_key=f"{start.payment_id}:capture:1",
            provider_id=outcome.facts.provider_id or "",
            amount=amount,
            currency=start.currency,
            start_extra=outcome.facts.extra,
        )

    def void_request(self, start: StartRequest, outcome: Succeeded | ActionRequired) -> VoidRequest:
        return VoidRequest(
            payment_id=start.payment_id,
            transaction_id=fresh("transaction"),
            provider_key=f"{start.payment_id}:void:1",
            provider_id=outcome.facts.provider_id or "",
            amount=start.amount,
            currency=start.currency,
            start_extra=outcome.facts.extra,
        )
