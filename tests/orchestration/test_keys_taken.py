"""A provider that has seen another request under our key: our database is an older copy, and nobody noticed."""

from __future__ import annotations

from typing import Any

from tests.orchestration import by_hand
from tests.support.world import World


def sent_by_a_lost_database(world: World, payment: dict[str, Any]) -> None:
    """The charge of a payment that is still to be carried out here, under the transaction id it had there."""
    params: dict[str, Any] = {
        "amount": 5000,
        "currency": "usd",
        "payment_method": "pm_card_visa",
        "confirm": True,
        "return_url": "https://shop.example/back",
        "metadata": {"tollgate_payment": payment["id"], "tollgate_transaction": "txn_01m85e8fffew2b0s4wsec6gjng"},
    }
    options: Any = {"idempotency_key": f"{payment['id']}-charge-1"}
    with world.without_webhooks("stripe"):
        by_hand.client(world).v1.payment_intents.create(params, options)  # type: ignore[arg-type]


def test_the_charge_it_belongs_to_is_found_and_never_called_failed(world: World) -> None:
    by_hand.keep_webhooks_back(world, "stripe")
    payment = world.create()
    sent_by_a_lost_database(world, payment)
    world.advance(3600)  # longer than clocks are apart: what was made then is older than our own send
    world.work()
    (doubted,) = world.transactions(payment["id"])
    assert (doubted["status"], doubted["evidence"]["type"]) == ("unknown", "idempotency_error")
    for seconds in (6, 61, 61):
        world.advance(seconds)
        world.work()
    assert world.payment(payment["id"])["status"] == "succeeded"
    assert len(world.charges("stripe", payment["id"])) == 1
    (found,) = world.transactions(payment["id"])
    assert found["send_count"] == 1
