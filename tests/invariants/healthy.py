"""A shop with a payment of every kind at both providers, all at rest: nothing in it breaks an invariant."""

from __future__ import annotations

from typing import Any

from core.invariants import Violation, check, compare_ledger
from tests.orchestration.test_disputes_paystack import paid as paid_at_paystack
from tests.orchestration.test_saved_methods import saved
from tests.support.waiting import wait_until
from tests.support.world import World

DISPUTED = {"type": "token", "token": "pm_card_createDispute"}
DECLINED = {"type": "token", "token": "pm_card_chargeDeclined"}
PERSON = {"email": "ada@example.com", "name": "Ada"}
#: Longer than what happens "later" at the sandboxes takes.
SOON = 10.0


def fill(world: World) -> dict[str, Any]:
    """Payments by what they are; each is at rest."""
    endpoint = world.post(
        "/v1/webhook_endpoints", {"url": "https://shop.example/hook", "event_types": ["payment.failed"]}
    )
    assert endpoint.status_code == 201, endpoint.text
    made = {
        "paid": world.pay(),
        "held": world.pay(capture="manual"),
        "voided": world.pay(capture="manual"),
        "captured": world.pay(capture="manual"),
        "refunded": world.pay(),
        "disputed": world.pay(payment_method=DISPUTED),
        "saved": saved(world),
        "page": world.pay(payment_method={"type": "redirect"}, customer=PERSON),
        "paystack": paid_at_paystack(world),
        "paystack_refunded": paid_at_paystack(world),
    }
    method = {"type": "saved", "id": made["saved"]["payment_method"]["id"]}
    made["again"] = world.pay(amount=700, payment_method=method, off_session=True)
    _post(world, made["voided"], "cancel")
    _post(world, made["captured"], "capture", amount=3000)
    _post(world, made["captured"], "refunds", amount=1000)
    _post(world, made["refunded"], "refunds", amount=2000)
    _post(world, made["paystack_refunded"], "refunds", amount=100000)
    _dispute_at_paystack(world, made["paystack"])
    gone = world.request("DELETE", f"/v1/webhook_endpoints/{endpoint.json()['id']}")
    assert gone.ok, gone.text
    made["declined"] = world.pay(payment_method=DECLINED)
    world.advance(SOON)
    wait_until(lambda: _told(world), "the disputes and refunds to be told")
    return {name: world.payment(one["id"]) for name, one in made.items()}


def _post(world: World, payment: Any, what: str, **body: Any) -> None:
    answer = world.post(f"/v1/payments/{payment['id']}/{what}", body)
    assert answer.status_code == 202, answer.text
    world.settle()


def _dispute_at_paystack(world: World, payment: Any) -> None:
    reference = world.transactions(payment["id"])[0]["provider_id"]
    world.sandboxes["paystack"].post("disputes", secret_key=world.secrets["paystack"], reference=reference)
    world.settle()


def _told(world: World) -> bool:
    world.settle()
    disputes = world.rows("SELECT id FROM disputes")
    open_refunds = world.rows("SELECT id FROM refunds WHERE status <> 'succeeded'")
    return len(disputes) == 2 and not open_refunds


def book_of(world: World, provider: str) -> tuple[Any, Any]:
    """The provider's ledger and its log of webhooks, of this world's account alone."""
    box, key = world.sandboxes[provider], world.secrets[provider]
    return box.get("ledger", secret_key=key), box.get("webhooks", secret_key=key, limit=999999)


def broken(world: World, *, settled: bool = True) -> list[Violation]:
    """All that is wrong with this world's books and the providers'."""
    found = check(world.worker.database, settled=settled)
    for provider in world.sandboxes:
        found += compare_ledger(world.worker.database, provider, *book_of(world, provider), settled=settled)
    return found
