"""What must not charge twice: a request sent again, and a provider that times out after it has charged."""

from __future__ import annotations

from uuid import uuid4

from cli.demo.steps import VISA, Scene, Step


def repeated(scene: Scene, step: Step) -> None:
    key = f"demo-{uuid4()}"
    body = {"amount": 1200, "currency": "JPY", "payment_method": VISA, "reference": "order-7"}
    first = scene.shop.post("/v1/payments", body, key)
    again = scene.shop.post("/v1/payments", body, key)
    payment_id = first.json()["payment"]["id"]
    scene.made(step, payment_id)
    step.expect("answers", (first.status_code, again.status_code), (202, 202))
    step.expect("same body", again.json() == first.json(), True)
    step.expect("told", again.headers.get("Idempotent-Replayed"), "true")
    step.expect("status", scene.shop.finished(first.json())["result"]["payment"]["status"], "succeeded")
    step.expect("charges", len(scene.ledgers.charges("stripe", payment_id)), 1)


def timed_out(scene: Scene, step: Step) -> None:
    scene.ledgers.fault("stripe", operation="payment_intents.create", effect="timeout_after", times=1)
    payment = scene.pay(step, amount=7700, payment_method=VISA, reference="order-8")
    step.expect("status", payment["status"], "succeeded")
    step.expect("charges", len(scene.ledgers.charges("stripe", payment["id"])), 1)
