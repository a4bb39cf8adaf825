"""One customer of the shop, with a card saved at each provider by a payment, and charged again while away."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from cli.demo.client import Customer, Surprise
from cli.demo.steps import PAYSTACK_CARD, REDIRECT, VISA, Scene, Step


def saved_at_stripe(scene: Scene, step: Step) -> None:
    customer = _customer(scene)
    payment = scene.pay(step, payment_method=VISA, customer=customer, save_payment_method=True, reference="order-9")
    step.expect("status", payment["status"], "succeeded")
    scene.kept["stripe card"] = _kept(scene, step, payment["id"], "4242")
    marks = [(one["metadata"] or {}).get("tollgate_customer") for one in scene.ledgers.read("stripe")["customers"]]
    step.expect("customers at Stripe", marks.count(customer), 1)


def charged_at_stripe(scene: Scene, step: Step) -> None:
    _charge_again(scene, step, "stripe card", amount=3100, reference="order-10")


def saved_at_paystack(scene: Scene, step: Step) -> None:
    """Only a payment can save a card there."""
    body = {"amount": 450000, "currency": "NGN", "provider": "paystack", "payment_method": REDIRECT}
    payment = scene.pay(step, customer=_customer(scene), save_payment_method=True, reference="order-11", **body)
    step.expect("status", payment["status"], "requires_action")
    Customer.submit(payment["next_action"]["url"], action="pay", card=PAYSTACK_CARD)
    scene.shop.until(f"/v1/payments/{payment['id']}", "succeeded")
    scene.kept["paystack card"] = _kept(scene, step, payment["id"], PAYSTACK_CARD[-4:])


def charged_at_paystack(scene: Scene, step: Step) -> None:
    _charge_again(scene, step, "paystack card", amount=120000, currency="NGN", reference="order-12")


def _customer(scene: Scene) -> str:
    """Made by the first who asks. An address of her own, so that each run of the tour begins without saved cards."""
    if "customer" not in scene.kept:
        person = {"email": f"grace-{uuid4().hex[:12]}@shop.example", "name": "Grace", "reference": "user-42"}
        made = scene.shop.post("/v1/customers", person)
        if made.status_code != 201:
            raise Surprise(f"POST /v1/customers answered {made.status_code}: {made.text[:200]}")
        scene.kept["customer"] = made.json()["id"]
    return scene.kept["customer"]


def _kept(scene: Scene, step: Step, payment_id: str, last4: str) -> str:
    """The saved method the payment left behind, as the customer's list shows it."""
    payment = scene.shop.when(f"/v1/payments/{payment_id}", lambda one: one["payment_method"]["id"] is not None)
    method_id: str = payment["payment_method"]["id"]
    listed = scene.shop.get(f"/v1/customers/{_customer(scene)}/payment_methods")["data"]
    cards = [one["card"]["last4"] for one in listed if one["id"] == method_id and one["card"]]
    step.expect("saved card", cards, [last4])
    return method_id


def _charge_again(scene: Scene, step: Step, which: str, **body: Any) -> None:
    method = {"type": "saved", "id": scene.kept[which]}
    payment = scene.pay(step, payment_method=method, off_session=True, **body)
    step.expect("status", payment["status"], "succeeded")
    step.expect("captured", payment["amount_captured"], body["amount"])
    step.expect("customer", payment["customer"], scene.kept["customer"])
