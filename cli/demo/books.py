"""Where a payment goes when a provider fails, and how our books are made to agree with the providers'."""

from __future__ import annotations

from collections.abc import Mapping

from cli.demo.client import Customer
from cli.demo.steps import ADA, PAYSTACK_CARD, REDIRECT, Scene, Step

_BY_PAGE = {"currency": "USD", "payment_method": REDIRECT, "customer": ADA}


def failed_over(scene: Scene, step: Step) -> None:
    """Stripe takes no connection, so nothing can have reached it: the customer gets Paystack's page."""
    scene.ledgers.fault("stripe", effect="refuse", ms=1500)
    payment = scene.pay(step, reference="order-18", **_BY_PAGE)
    step.expect("page", (payment["status"], payment["provider"]), ("requires_action", "paystack"))
    Customer.submit(payment["next_action"]["url"], action="pay", card=PAYSTACK_CARD)
    scene.shop.until(f"/v1/payments/{payment['id']}", "succeeded")
    step.expect("charges at Stripe", len(scene.ledgers.charges("stripe", payment["id"])), 0)
    told = [one["kind"] for one in scene.shop.get(f"/v1/payments/{payment['id']}/timeline")["data"]]
    step.expect("attempts told", sum(kind == "transaction.sent" for kind in told), 2)


def stayed(scene: Scene, step: Step) -> None:
    """Stripe made the page and its answer was lost: no other provider is asked, and there is one page."""
    scene.ledgers.fault("stripe", operation="checkout_sessions.create", effect="timeout_after", times=1)
    payment = scene.pay(step, reference="order-19", **_BY_PAGE)
    step.expect("page", (payment["status"], payment["provider"]), ("requires_action", "stripe"))
    Customer.submit(payment["next_action"]["url"], action="pay", card="4242424242424242")
    scene.shop.until(f"/v1/payments/{payment['id']}", "succeeded")
    step.expect("charges", len(scene.ledgers.charges("stripe", payment["id"])), 1)
    step.expect("charges at Paystack", len(scene.ledgers.charges("paystack", payment["id"])), 0)


def routed(scene: Scene, step: Step) -> None:
    """A route is explained before it is active, carries a payment by weight, says why, and is taken back."""
    office, path = scene.office, "/routes"
    weights = {office.account("stripe"): 60, office.account("paystack"): 40}
    app = {"channel": "app"}
    rule = {"name": "app", "when": {"metadata": {"channel": ["app"]}}, "then": {"weights": weights}}
    why = {"reason": "shown in the tour"}
    drafted = office.post(path, {"definition": {"rules": [rule]}, **why})
    sample = {"amount": 5000, "currency": "USD", "metadata": app}
    said = office.post(f"{path}/explain", {"version": drafted["version"], "sample": sample})
    step.expect("shares", {one["account"]: one["share"] for one in said["accounts"]}, _of_one(weights))
    office.post(f"{path}/{drafted['version']}/activate", why)
    payment = scene.pay(step, reference="order-19b", metadata=app, **_BY_PAGE)
    again = office.post(f"{path}/explain", {"payment": payment["id"]})
    step.expect("drawn again", again["accounts"][0]["account"], payment["provider_account"])
    card = PAYSTACK_CARD if payment["provider"] == "paystack" else "4242424242424242"
    Customer.submit(payment["next_action"]["url"], action="pay", card=card)
    scene.shop.until(f"/v1/payments/{payment['id']}", "succeeded")
    told = scene.shop.get(f"/v1/payments/{payment['id']}/timeline")["data"]
    words = next(one["summary"] for one in told if one["kind"] == "route.decided")
    begins = f"Routed to {payment['provider']} by rule app of route version {drafted['version']}"
    step.expect("said why", words.startswith(begins), True)
    step.expect("taken back", office.post(f"{path}/rollback", why)["active"], None)


def _of_one(weights: Mapping[str, int]) -> dict[str, float]:
    return {account: weight / 100 for account, weight in weights.items()}


def found_again(scene: Scene, step: Step) -> None:
    """Not one webhook arrives; what happened is found in Stripe's own list."""
    scene.ledgers.fault("stripe", effect="webhook_lose", event="*", times=50)
    token = {"type": "token", "token": "pm_card_authenticationRequired"}
    payment = scene.pay(step, payment_method=token, reference="order-20")
    Customer.submit(payment["next_action"]["url"], action="authorize")
    before = scene.shop.get(f"/v1/payments/{payment['id']}")["status"]
    run = scene.office.reconcile("stripe", "missed_events")
    after = scene.shop.until(f"/v1/payments/{payment['id']}", "succeeded")
    scene.ledgers.clear("stripe")
    step.expect("before and after", (before, after["status"]), ("requires_action", "succeeded"))
    step.expect("gaps filled", run["counts"].get("filled", 0) >= 1, True)
    scene.kept["refunded at the dashboard"] = payment["id"]


def decided(scene: Scene, step: Step) -> None:
    """Somebody gives money back at Stripe's dashboard: taken over, told as a finding, and a person ends it."""
    step.payment = scene.kept["refunded at the dashboard"]
    (charge,) = scene.ledgers.charges("stripe", step.payment)
    scene.office.dashboard_refund(charge["payment"], 1500)
    scene.shop.when(f"/v1/payments/{step.payment}", lambda one: bool(one["amount_refunded"] == 1500))
    found = scene.office.get("/findings", payment=step.payment, status="open")["data"]
    step.expect("findings", [one["kind"] for one in found], ["refund_not_ours"])
    done = scene.office.post(f"/findings/{found[0]['id']}/resolve", {"action": "done", "reason": "agreed by telephone"})
    step.expect("resolved", (done["status"], done["action"]), ("resolved", "done"))
    step.expect("open", scene.office.get("/findings", payment=step.payment, status="open")["data"], [])
    step.statuses = scene.shop.steps(step.payment, "refund")


def paid_out(scene: Scene, step: Step) -> None:
    """Days later the providers pay out: every line finds its payment, and each payout its lines, to the unit."""
    day = scene.office.now().date()
    scene.office.advance(days=2)
    scene.office.advance(days=2)
    for provider in ("stripe", "paystack"):
        run = scene.office.reconcile(provider, "statement")
        counts = run["counts"]
        step.expect(f"{provider} run", (run["status"], counts.get("unmatched", 0)), ("succeeded", 0))
        step.expect(f"{provider} lines", counts.get("matched", 0) > 0, True)
    until = scene.office.now().date()
    payouts = scene.office.get("/reports/settlements", since=day.isoformat(), until=until.isoformat())["data"]
    step.expect("payouts", len({one["account"] for one in payouts}), 2)
    step.expect("differences", [one["difference"] for one in payouts], [0] * len(payouts))
    matched = [one["status"] for one in payouts]
    step.expect("matched", matched, ["matched"] * len(payouts))
    step.statuses = [f"{len(payouts)} payouts", "matched"]
