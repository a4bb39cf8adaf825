"""What the model remembers: every request the gate accepted, and what its 202 promised."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

#: Where a payment may be seen after it was seen somewhere; more than one step may lie between two looks.
#: Written down here anew: read from the product's own table, a wrong row there would be right.
MAY_FOLLOW: Mapping[str, frozenset[str]] = {
    "processing": frozenset({"processing", "requires_action", "authorized", "succeeded", "failed", "canceled"}),
    "requires_action": frozenset({"processing", "requires_action", "authorized", "succeeded", "failed", "canceled"}),
    "authorized": frozenset({"authorized", "succeeded", "failed", "canceled"}),
    "succeeded": frozenset({"succeeded"}),
    "failed": frozenset({"failed"}),
    "canceled": frozenset({"canceled"}),
}
FINAL = frozenset({"succeeded", "failed", "canceled"})
ENDED_JOB = frozenset({"succeeded", "failed", "canceled"})

STRIPE_TOKEN = {"currency": "USD", "provider": "stripe", "return_url": "https://shop.example/back"}
PERSON = {"customer": {"email": "ada@example.com", "name": "Ada"}}


def _token(name: str, **more: Any) -> dict[str, Any]:
    return {**STRIPE_TOKEN, "payment_method": {"type": "token", "token": name}, **more}


def _redirect(currency: str, **more: Any) -> dict[str, Any]:
    return {
        "currency": currency,
        "payment_method": {"type": "redirect"},
        "return_url": "https://shop.example/back",
        **PERSON,
        **more,
    }


#: What customers pay with, in the ways that differ on our road.
METHODS: Mapping[str, Mapping[str, Any]] = {
    "card": _token("pm_card_visa"),
    "card, captured later": _token("pm_card_visa", capture="manual"),
    "card that asks": _token("pm_card_authenticationRequired"),
    "card that asks, captured later": _token("pm_card_authenticationRequired", capture="manual"),
    "declined card": _token("pm_card_visa_chargeDeclined"),
    "card whose capture is declined": _token("pm_card_captureDeclined", capture="manual"),
    "card whose refund fails": _token("pm_card_refundFail"),
    "card whose refund takes time": _token("pm_card_pendingRefund"),
    "card to be saved": _token("pm_card_visa", save_payment_method=True, **PERSON),
    "page at Stripe": _redirect("USD", provider="stripe"),
    "page at Stripe, captured later": _redirect("USD", provider="stripe", capture="manual"),
    "page at Paystack": _redirect("NGN", provider="paystack"),
    "page at Paystack, held": _redirect("ZAR", provider="paystack", capture="manual"),
    "page at Paystack, to be saved": _redirect("NGN", provider="paystack", save_payment_method=True),
    "page anywhere": _redirect("USD"),
}


@dataclass
class Asked:
    """A request that was accepted, to be asked again."""

    path: str
    body: Mapping[str, Any]
    key: str
    answer: Any

    @property
    def job(self) -> str:
        return str(self.answer["job"]["url"])


@dataclass
class Payment:
    id: str
    method: str
    amount: int
    status: str = "processing"
    seen: Mapping[str, Any] = field(default_factory=dict)
    #: Every page the customer was ever sent to: he may come back to an old one.
    pages: list[str] = field(default_factory=list)
    #: Refunds the gate accepted, by id.
    refunds: dict[str, int] = field(default_factory=dict)
    #: Given back at the provider's dashboard.
    dashboard_refunds: int = 0
    #: Somebody acted at the provider, behind our back.
    touched: bool = False

    @property
    def path(self) -> str:
        return f"/v1/payments/{self.id}"

    @property
    def provider(self) -> str:
        """That has it, or had it last; one that nobody has yet may still go to either."""
        return str(self.seen.get("provider") or "stripe")

    @property
    def may_be_refunded(self) -> int:
        return sum(self.refunds.values()) + self.dashboard_refunds


@dataclass
class Books:
    payments: list[Payment] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
