"""What happens to money that was taken: a dispute that is won, and a refund that comes back."""

from __future__ import annotations

from cli.demo.steps import Scene, Step

#: The words by which Stripe's test mode, and the local one, decide for the merchant.
WINNING = "winning_evidence"


def disputed(scene: Scene, step: Step) -> None:
    token = {"type": "token", "token": "pm_card_createDispute"}
    payment = scene.pay(step, payment_method=token, reference="order-14")
    step.expect("status", payment["status"], "succeeded")
    path = f"/v1/payments/{payment['id']}"
    dispute = scene.shop.when(f"{path}/disputes", lambda found: bool(found["data"]))["data"][0]
    step.expect("dispute", (dispute["status"], dispute["amount"]), ("needs_response", 5000))
    step.expect("withheld", scene.shop.get(path)["amount_disputed"], 5000)
    refused = scene.shop.post(f"{path}/refunds", {"amount": 5000})
    step.expect("refund", (refused.status_code, refused.json().get("code")), (409, "payment_disputed"))
    answered = scene.shop.accepted(f"/v1/disputes/{dispute['id']}/evidence", {"message": WINNING})
    step.expect("evidence", scene.shop.finished(answered)["status"], "succeeded")
    scene.shop.until(f"/v1/disputes/{dispute['id']}", "won")
    step.expect("afterwards", scene.shop.get(path)["amount_disputed"], 0)
    step.statuses = scene.shop.steps(payment["id"], "dispute")
    step.expect("way", step.statuses, ["needs_response", "under_review", "won"])


def refund_failed(scene: Scene, step: Step) -> None:
    token = {"type": "token", "token": "pm_card_refundFail"}
    payment = scene.pay(step, payment_method=token, reference="order-15")
    asked = scene.shop.accepted(f"/v1/payments/{payment['id']}/refunds", {"amount": 5000})
    scene.shop.until(f"/v1/refunds/{asked['refund']['id']}", "failed")
    step.statuses = scene.shop.steps(payment["id"], "refund")
    step.expect("way", step.statuses, ["processing", "succeeded", "failed"])
    # As the events told it: the refund may fail before one has looked.
    told = [event for event in scene.shop.told(payment["id"]) if event["type"] in ("refund.succeeded", "refund.failed")]
    step.expect("refunded", [event["data"]["payment"]["amount_refunded"] for event in told], [5000, 0])
