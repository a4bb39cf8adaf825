"""The steps of the tour: each makes a payment, and says what it saw and what it should have seen."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from cli.demo.client import Customer, Receiver, Shop, Surprise
from cli.demo.ledger import Ledgers

RETURN_URL = "https://shop.example/thanks"
VISA = {"type": "token", "token": "pm_card_visa"}
PAYSTACK_CARD = "4084084084084081"


@dataclass(slots=True)
class Step:
    """One line of the table. `checks` are (what, seen, expected)."""

    title: str
    payment: str | None = None
    statuses: list[str] = field(default_factory=list)
    checks: list[tuple[str, Any, Any]] = field(default_factory=list)
    trouble: str | None = None
    milliseconds: int = 0

    def expect(self, what: str, seen: Any, expected: Any) -> None:
        self.checks.append((what, seen, expected))

    @property
    def passed(self) -> bool:
        return self.trouble is None and bool(self.checks) and all(seen == want for _, seen, want in self.checks)

    @property
    def wrong(self) -> str:
        if self.trouble is not None:
            return self.trouble
        return "; ".join(f"{what}: {seen!r}, not {want!r}" for what, seen, want in self.checks if seen != want)


class Tour:
    """Runs the steps in order; the payments it made are compared with the ledgers afterwards."""

    def __init__(self, shop: Shop, receiver: Receiver, ledgers: Ledgers) -> None:
        self.shop, self.receiver, self.ledgers = shop, receiver, ledgers
        self.payments: list[str] = []
        self._paystack_payment = ""

    def run(self) -> Iterator[Step]:
        steps: list[tuple[str, Callable[[Step], None]]] = [
            ("Stripe: card paid", self._paid),
            ("Stripe: authorized, part captured, part refunded", self._captured),
            ("Stripe: card that needs authentication", self._authenticated),
            ("Stripe: card declined", self._declined),
            ("Paystack: NGN paid on its page", self._redirected),
            ("Paystack: refund", self._refunded),
            ("The same request twice, one idempotency key", self._repeated),
            ("The provider times out after it has charged", self._timed_out),
        ]
        for title, act in steps:
            step = Step(title)
            started = time.monotonic()
            try:
                act(step)
                if step.payment is not None and not step.statuses:
                    step.statuses = self.shop.steps(step.payment)
            except (Surprise, OSError, KeyError, TypeError) as error:
                step.trouble = f"{type(error).__name__}: {error}"
            step.milliseconds = round((time.monotonic() - started) * 1000)
            yield step

    def _begin(self, step: Step, **body: Any) -> dict[str, Any]:
        payment = self.shop.pay(**{"amount": 5000, "currency": "USD", "return_url": RETURN_URL, **body})
        step.payment = payment["id"]
        self.payments.append(payment["id"])
        return payment

    def _paid(self, step: Step) -> None:
        payment = self._begin(step, payment_method=VISA, reference="order-1")
        step.expect("status", payment["status"], "succeeded")
        step.expect("captured", payment["amount_captured"], 5000)

    def _captured(self, step: Step) -> None:
        payment = self._begin(step, payment_method=VISA, capture="manual", reference="order-2")
        step.expect("status", payment["status"], "authorized")
        path = f"/v1/payments/{payment['id']}"
        self.shop.finished(self.shop.accepted(f"{path}/capture", {"amount": 3000}))
        refund = self.shop.accepted(f"{path}/refunds", {"amount": 1000})
        self.shop.finished(refund)
        step.expect("refund", self.shop.refunded(refund["refund"]["id"])["status"], "succeeded")
        after = self.shop.get(path)
        step.expect("sums", (after["amount_captured"], after["amount_refunded"]), (3000, 1000))

    def _authenticated(self, step: Step) -> None:
        token = {"type": "token", "token": "pm_card_authenticationRequired"}
        payment = self._begin(step, payment_method=token, reference="order-3")
        step.expect("status", payment["status"], "requires_action")
        Customer.submit(payment["next_action"]["url"], action="authorize")
        step.expect("then", self.shop.until(payment["id"], "succeeded")["amount_captured"], 5000)

    def _declined(self, step: Step) -> None:
        token = {"type": "token", "token": "pm_card_visa_chargeDeclinedInsufficientFunds"}
        payment = self._begin(step, payment_method=token, reference="order-4")
        step.expect("status", payment["status"], "failed")
        step.expect("decline", (payment["decline"] or {}).get("code"), "insufficient_funds")

    def _redirected(self, step: Step) -> None:
        person = {"email": "ada@shop.example", "name": "Ada"}
        payment = self._begin(
            step,
            amount=500000,
            currency="NGN",
            provider="paystack",
            payment_method={"type": "redirect"},
            customer=person,
            reference="order-5",
        )
        step.expect("status", payment["status"], "requires_action")
        Customer.submit(payment["next_action"]["url"], action="pay", card=PAYSTACK_CARD)
        step.expect("then", self.shop.until(payment["id"], "succeeded")["amount_captured"], 500000)
        self._paystack_payment = payment["id"]

    def _refunded(self, step: Step) -> None:
        refund = self.shop.accepted(f"/v1/payments/{self._paystack_payment}/refunds", {"amount": 200000})
        step.payment = self._paystack_payment
        step.expect("refund", self.shop.refunded(refund["refund"]["id"])["status"], "succeeded")
        after = self.shop.get(f"/v1/payments/{self._paystack_payment}")
        step.expect("refunded", after["amount_refunded"], 200000)
        step.statuses = self.shop.steps(self._paystack_payment, "refund")

    def _repeated(self, step: Step) -> None:
        key = f"demo-{uuid4()}"
        body = {"amount": 1200, "currency": "JPY", "payment_method": VISA, "reference": "order-7"}
        first = self.shop.post("/v1/payments", body, key)
        again = self.shop.post("/v1/payments", body, key)
        step.payment = first.json()["payment"]["id"]
        self.payments.append(step.payment)
        step.expect("answers", (first.status_code, again.status_code), (202, 202))
        step.expect("same body", again.json() == first.json(), True)
        step.expect("told", again.headers.get("Idempotent-Replayed"), "true")
        step.expect("status", self.shop.finished(first.json())["result"]["payment"]["status"], "succeeded")
        step.expect("charges", len(self.ledgers.charges("stripe", step.payment)), 1)

    def _timed_out(self, step: Step) -> None:
        fault = {"operation": "payment_intents.create", "effect": "timeout_after", "times": 1}
        self.ledgers.fault("stripe", **fault)
        payment = self._begin(step, amount=7700, payment_method=VISA, reference="order-8")
        step.expect("status", payment["status"], "succeeded")
        step.expect("charges", len(self.ledgers.charges("stripe", payment["id"])), 1)
