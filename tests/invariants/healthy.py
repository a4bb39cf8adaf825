"""A shop with a payment of every kind at both providers, all at rest: nothing in it breaks an invariant."""

from __future__ import annotations

from typing import Any

import requests

from core.invariants import Violation, check, compare_ledger
from tests.orchestration import by_hand
from tests.orchestration.test_disputes_paystack import paid as paid_at_paystack
from tests.orchestration.test_saved_methods import press, saved
from tests.support.waiting import wait_until
from tests.support.world import World

DISPUTED = {"type": "token", "token": "pm_card_createDispute"}
DECLINED = {"type": "token", "token": "pm_card_chargeDeclined"}
#: Longer than what happens "later" at the sandboxes takes.
SOON = 10.0


def fill(world: World) -> dict[str, Any]:
    """Payments by what they are; each is at rest."""
    # Disputes and refunds are told when time has gone by: they are left to the end.
    made = {
        "paid": world.pay(),
        "declined": world.pay(payment_method=DECLINED),
        "held": world.pay(capture="manual"),
        "voided": world.pay(capture="manual"),
        "captured": world.pay(capture="manual"),
        "refunded": world.pay(),
        "disputed": world.pay(payment_method=DISPUTED),
        "saved": saved(world),
        "surplus": surplus(world),
        "page": world.pay(payment_method={"type": "redirect"}, customer={"email": "ada@example.com", "name": "Ada"}),
        "paystack": paid_at_paystack(world),
        "paystack_refunded": paid_at_paystack(world),
    }
    method = {"type": "saved", "id": made["saved"]["payment_method"]["id"]}
    made["again"] = world.pay(amount=700, payment_method=method, off_session=True)
    post(world, made["voided"], "cancel")
    post(world, made["captured"], "capture", amount=3000)
    post(world, made["captured"], "refunds", amount=1000)
    post(world, made["refunded"], "refunds", amount=2000)
    post(world, made["paystack_refunded"], "refunds", amount=100000)
    disputed_at_paystack(world, made["paystack"])
    world.advance(SOON)
    wait_until(lambda: _told(world, made), "the disputes and refunds to be told")
    return {name: world.payment(one["id"]) for name, one in made.items()}


def post(world: World, payment: Any, what: str, **body: Any) -> None:
    answer = world.post(f"/v1/payments/{payment['id']}/{what}", body)
    assert answer.status_code == 202, answer.text
    world.settle()


def surplus(world: World) -> Any:
    """A redirect that was paid after it had been given up."""
    payment = world.pay(payment_method={"type": "token", "token": "pm_card_visa"})
    return payment


def disputed_at_paystack(world: World, payment: Any) -> None:
    reference = world.transactions(payment["id"])[0]["provider_id"]
    world.sandboxes["paystack"].post("disputes", secret_key=world.secrets["paystack"], reference=reference)
    world.settle()


def _told(world: World, made: Any) -> bool:
    world.settle()
    disputes = world.rows("SELECT id FROM disputes")
    ended = world.rows("SELECT id FROM refunds WHERE status <> 'succeeded'")
    return len(disputes) == 2 and not ended


def broken(world: World, *, settled: bool = True) -> list[Violation]:
    """All that is wrong with this world's books and the providers'."""
    found = check(world.worker.database, settled=settled)
    for provider, box in world.sandboxes.items():
        key = world.secrets[provider]
        ledger, log = box.get("ledger", secret_key=key), box.get("webhooks", secret_key=key, limit=999999)
        found += compare_ledger(world.worker.database, provider, ledger, log, settled=settled)
    return found


__all__ = ["broken", "by_hand", "fill", "post", "press", "requests"]
