"""Customers who do not come back in time: one never, one after the payment has been closed."""

from __future__ import annotations

from typing import Any

from cli.demo.client import Customer
from cli.demo.steps import ADA, PAYSTACK_CARD, REDIRECT, Scene, Step


def abandoned(scene: Scene, step: Step) -> None:
    token = {"type": "token", "token": "pm_card_authenticationRequired"}
    payment = scene.pay(step, payment_method=token, reference="order-16")
    step.expect("status", payment["status"], "requires_action")
    _closed(scene, payment["id"])
    step.expect("charges", len(scene.ledgers.charges("stripe", payment["id"])), 0)


def paid_too_late(scene: Scene, step: Step) -> None:
    """Paystack cannot close its page: the money is taken note of, and given back."""
    body = {"amount": 300000, "currency": "NGN", "provider": "paystack", "payment_method": REDIRECT, "customer": ADA}
    payment = scene.pay(step, reference="order-17", **body)
    step.expect("status", payment["status"], "requires_action")
    _closed(scene, payment["id"])
    Customer.submit(payment["next_action"]["url"], action="pay", card=PAYSTACK_CARD)
    path = f"/v1/payments/{payment['id']}"
    late = scene.shop.when(path, lambda one: bool(one["amount_received"]))
    sums = (late["status"], late["amount_captured"], late["amount_received"])
    step.expect("late money", sums, ("canceled", 0, 300000))
    step.expect("refund", scene.give_back(payment["id"], 300000)["status"], "succeeded")
    step.expect("refunded", scene.shop.get(path)["amount_refunded"], 300000)
    step.statuses = scene.way(payment["id"])
    step.expect("way", step.statuses, ["requires_action", "canceled", "surplus_received"])


def _closed(scene: Scene, payment_id: str) -> dict[str, Any]:
    """Canceled once its time is over: the schedule is asked to look more often than it would by itself."""
    return scene.shop.until(
        f"/v1/payments/{payment_id}", "canceled", meanwhile=lambda: scene.schedule.run("close_abandoned")
    )
