"""One line of the table, and what its act has at hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from cli.demo.client import Receiver, Shop
from cli.demo.ledger import Ledgers
from cli.demo.office import Office
from cli.demo.schedule import Schedule

RETURN_URL = "https://shop.example/thanks"
VISA = {"type": "token", "token": "pm_card_visa"}
REDIRECT = {"type": "redirect"}
#: One that pays without asking anything.
PAYSTACK_CARD = "4084084084084081"
ADA = {"email": "ada@shop.example", "name": "Ada"}


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


@dataclass(slots=True)
class Scene:
    """Who takes part. `payments` are those made so far; in `kept` one step leaves ids to a later one."""

    shop: Shop
    receiver: Receiver
    ledgers: Ledgers
    schedule: Schedule
    office: Office
    payments: list[str] = field(default_factory=list)
    kept: dict[str, str] = field(default_factory=dict)

    def pay(self, step: Step, **body: Any) -> dict[str, Any]:
        """A payment carried out as far as it goes without its customer."""
        payment = self.shop.pay(**{"amount": 5000, "currency": "USD", "return_url": RETURN_URL, **body})
        self.made(step, payment["id"])
        return payment

    def made(self, step: Step, payment_id: str) -> None:
        step.payment = payment_id
        self.payments.append(payment_id)

    def way(self, payment_id: str) -> list[str]:
        """The payment's statuses without the first, which all have in common: long ways fit into the table then."""
        return self.shop.steps(payment_id)[1:]

    def give_back(self, payment_id: str, amount: int) -> dict[str, Any]:
        """The refund once it has ended."""
        asked = self.shop.accepted(f"/v1/payments/{payment_id}/refunds", {"amount": amount})
        self.shop.finished(asked)
        return self.shop.refunded(asked["refund"]["id"])


Act = Callable[[Scene, Step], None]
