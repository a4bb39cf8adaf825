"""Paystack's page: paid there and given back, and rand held there and captured."""

from __future__ import annotations

from cli.demo.client import Customer
from cli.demo.steps import ADA, PAYSTACK_CARD, REDIRECT, Scene, Step


def paid(scene: Scene, step: Step) -> None:
    body = {"amount": 500000, "currency": "NGN", "provider": "paystack", "payment_method": REDIRECT, "customer": ADA}
    payment = scene.pay(step, reference="order-5", **body)
    step.expect("status", payment["status"], "requires_action")
    Customer.submit(payment["next_action"]["url"], action="pay", card=PAYSTACK_CARD)
    after = scene.shop.until(f"/v1/payments/{payment['id']}", "succeeded")
    step.expect("captured", after["amount_captured"], 500000)
    scene.kept["paid on a page"] = payment["id"]


def refunded(scene: Scene, step: Step) -> None:
    step.payment = scene.kept["paid on a page"]
    step.expect("refund", scene.give_back(step.payment, 200000)["status"], "succeeded")
    after = scene.shop.get(f"/v1/payments/{step.payment}")
    step.expect("refunded", after["amount_refunded"], 200000)
    step.statuses = scene.shop.steps(step.payment, "refund")


def held(scene: Scene, step: Step) -> None:
    body = {"amount": 90000, "currency": "ZAR", "provider": "paystack", "payment_method": REDIRECT, "customer": ADA}
    payment = scene.pay(step, capture="manual", reference="order-13", **body)
    step.expect("status", payment["status"], "requires_action")
    Customer.submit(payment["next_action"]["url"], action="pay", card=PAYSTACK_CARD)
    path = f"/v1/payments/{payment['id']}"
    step.expect("held", scene.shop.until(path, "authorized")["amount_authorized"], 90000)
    scene.shop.finished(scene.shop.accepted(f"{path}/capture", {"amount": 60000}))
    step.expect("captured", scene.shop.until(path, "succeeded")["amount_captured"], 60000)
    step.statuses = scene.way(payment["id"])
