"""What really happened to a payment's money, by the ledgers of the local providers, and what must hold of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.model.books import FINAL, MAY_FOLLOW, Payment
from tests.model.shop import PROVIDERS, Shop, Violation

_GONE_BACK_NOT = frozenset({"failed", "canceled"})


@dataclass(frozen=True)
class Money:
    """One payment in both ledgers, in minor units."""

    charged: int  # charges that took money
    held: int  # holds that stand
    waiting: int  # objects that a customer or a bank may still turn into money
    taken: int
    refunded: int
    refund_sums: tuple[int, ...]


def read_ledgers(shop: Shop) -> dict[str, Any]:
    return {name: shop.world.ledger(name) for name in PROVIDERS}


def money_of(ledgers: Mapping[str, Any], payment_id: str) -> Money:
    def ours(row: Mapping[str, Any]) -> bool:
        return bool((row["metadata"] or {}).get("tollgate_payment") == payment_id)

    holds = [row for row in ledgers["paystack"]["holds"] if ours(row)]
    captured = {row["charge"] for row in holds if row["charge"]}
    charges = [
        row
        for name in PROVIDERS
        for row in ledgers[name]["charges"]
        if ours(row) or (name == "paystack" and row["id"] in captured)
    ]
    ids = {row["id"] for row in charges}
    refunds = [row for name in PROVIDERS for row in ledgers[name]["refunds"] if row["charge"] in ids]
    alive = tuple(sorted(row["amount"] for row in refunds if row["status"] not in _GONE_BACK_NOT))
    return Money(
        charged=sum(row["status"] == "succeeded" for row in charges),
        held=sum(row["status"] == "authorized" for row in charges) + sum(bool(row["held"]) for row in holds),
        waiting=sum(row["status"] == "pending" for row in charges),
        taken=sum(row["amount_captured"] for row in charges if row["status"] == "succeeded"),
        refunded=sum(alive),
        refund_sums=alive,
    )


def check_step(shop: Shop, payment: Payment, money: Money) -> None:
    """What must hold at every moment, however much is under way. Takes note of what the payment is by now."""
    seen = shop.read(payment.path)
    before, payment.status, payment.seen = payment.status, seen["status"], seen
    if seen["status"] not in MAY_FOLLOW[before]:
        raise Violation(f"{payment.id} went from {before} to {seen['status']}")
    page = (seen["next_action"] or {}).get("url")
    if page and page not in payment.pages:
        payment.pages.append(page)
    if money.charged + money.held > 1 + shop.surplus(payment.id):
        raise Violation(f"{payment.id} is charged more than once: {money}")
    if money.taken > payment.amount * max(1, money.charged):
        raise Violation(f"{payment.id}: {money.taken} taken, {payment.amount} asked for")
    if money.refunded > money.taken:
        raise Violation(f"{payment.id}: {money.refunded} given back of {money.taken}")
    if money.refunded > payment.may_be_refunded:
        raise Violation(f"{payment.id}: {money.refunded} given back, {payment.may_be_refunded} accepted")
    if seen["status"] == "succeeded" and money.charged == 0:
        raise Violation(f"{payment.id} is called succeeded, and no charge is")
    if seen["amount_captured"] > money.taken:
        raise Violation(f"{payment.id}: {seen['amount_captured']} captured, says the gate; {money.taken}, the ledger")


def check_settled(shop: Shop, payment: Payment, money: Money, in_review: bool) -> None:
    """What must hold when nothing is under way any more and every provider has been heard."""
    if in_review:
        return  # a person decides; what holds at every moment has held
    seen, surplus = payment.seen, shop.surplus(payment.id)
    facts = f"{payment.id} ({payment.method}) is {seen['status']}; {money}; surplus {surplus}"
    if money.charged + money.held > (seen["status"] in ("succeeded", "authorized")) + surplus:
        raise Violation(f"money nobody's books know: {facts}")
    if seen["status"] == "succeeded" and (money.charged - surplus != 1 or seen["amount_received"] != money.taken):
        raise Violation(f"the sums differ: {facts}; {seen['amount_received']} received, says the gate")
    if seen["status"] in ("failed", "canceled") and seen["amount_received"] != money.taken:
        raise Violation(f"late money is told wrong: {facts}; {seen['amount_received']} received")
    if surplus and not payment.pages and not payment.touched:
        # Late money is a customer's who pays on an old page. What we sent ourselves has to be known.
        raise Violation(f"charged, and called failed: {facts}")
    if seen["status"] == "authorized" and money.held == 0:
        raise Violation(f"no hold stands: {facts}")
    if seen["status"] not in FINAL and seen["status"] != "authorized" and money.waiting == 0:
        raise Violation(f"left open, and nothing is awaited: {facts}")
    if seen["amount_refunded"] != money.refunded:
        raise Violation(f"refunds differ: {facts}; the gate says {seen['amount_refunded']}")
    _check_refunds(shop, payment, money)


def _check_refunds(shop: Shop, payment: Payment, money: Money) -> None:
    """Each accepted refund came to an end, and the ledger has one for each that succeeded."""
    told = {refund: shop.read(f"/v1/refunds/{refund}")["status"] for refund in payment.refunds}
    still = {refund: status for refund, status in told.items() if status not in ("succeeded", "failed", "canceled")}
    if still:
        raise Violation(f"refunds of {payment.id} came to no end: {still}")
    made = sorted(payment.refunds[refund] for refund, status in told.items() if status == "succeeded")
    if not payment.touched and tuple(made) != money.refund_sums:
        raise Violation(f"{payment.id}: refunds {made} succeeded, the ledger has {money.refund_sums}")
