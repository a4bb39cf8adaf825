"""Cards at Stripe: paid, held and captured, authenticated, declined."""

from __future__ import annotations

from cli.demo.client import Customer
from cli.demo.steps import VISA, Scene, Step


def paid(scene: Scene, step: Step) -> None:
    payment = scene.pay(step, payment_method=VISA, reference="order-1")
    step.expect("status", payment["status"], "succeeded")
    step.expect("captured", payment["amount_captured"], 5000)


def captured(scene: Scene, step: Step) -> None:
    payment = scene.pay(step, payment_method=VISA, capture="manual", reference="order-2")
    step.expect("status", payment["status"], "authorized")
    path = f"/v1/payments/{payment['id']}"
    scene.shop.finished(scene.shop.accepted(f"{path}/capture", {"amount": 3000}))
    step.expect("refund", scene.give_back(payment["id"], 1000)["status"], "succeeded")
    after = scene.shop.get(path)
    step.expect("sums", (after["amount_captured"], after["amount_refunded"]), (3000, 1000))


def authenticated(scene: Scene, step: Step) -> None:
    token = {"type": "token", "token": "pm_card_authenticationRequired"}
    payment = scene.pay(step, payment_method=token, reference="order-3")
    step.expect("status", payment["status"], "requires_action")
    Customer.submit(payment["next_action"]["url"], action="authorize")
    after = scene.shop.until(f"/v1/payments/{payment['id']}", "succeeded")
    step.expect("captured", after["amount_captured"], 5000)


def declined(scene: Scene, step: Step) -> None:
    token = {"type": "token", "token": "pm_card_visa_chargeDeclinedInsufficientFunds"}
    payment = scene.pay(step, payment_method=token, reference="order-4")
    step.expect("status", payment["status"], "failed")
    step.expect("decline", (payment["decline"] or {}).get("code"), "insufficient_funds")
