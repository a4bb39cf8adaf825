"""A request that arrives at the provider long after its worker was given up: its money is found when it is told of."""

from __future__ import annotations

import pytest

from core import points
from core.domain.identifiers import parse_id, public_id
from core.orchestration import execute, jobs
from tests.orchestration import by_hand
from tests.support.world import World

DAY = 25 * 3600


class Died(BaseException):
    """The process ends here."""


def _die_before_sending(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(point: str, kind: str) -> None:
        if point == "call.sending":
            raise Died

    (run,) = execute.prepare(world.worker, jobs.claim(world.worker.database, "payments", 1, "dies", 6.0))
    with monkeypatch.context() as patched:
        patched.setattr(points, "hook", die)
        with pytest.raises(Died):
            run()


def test_money_of_a_request_a_day_late_is_known_when_its_event_comes(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Look-ups go by the time of sending; the event names the object, and that is asked about."""
    by_hand.keep_webhooks_back(world)
    payment = world.create()
    _die_before_sending(world, monkeypatch)
    world.advance(DAY)
    world.work()
    assert world.payment(payment["id"])["status"] == "failed", "with proof: it is not there"

    (sent,) = world.transactions(payment["id"])
    mark = public_id("transaction", sent["id"])
    late = by_hand.client(world).v1.payment_intents.create(
        {
            "amount": 5000,
            "currency": "usd",
            "payment_method": "pm_card_visa",
            "confirm": True,
            "return_url": "https://shop.example/back",
            "metadata": {"tollgate_payment": payment["id"], "tollgate_transaction": mark, "tollgate_kind": "charge"},
        }
    )
    by_hand.deliver_all(world, by_hand.stripe_events(world, late.id, "payment_intent.succeeded"))
    world.work()
    done = world.payment(payment["id"])
    assert (done["status"], done["amount_captured"], done["amount_received"]) == ("failed", 0, 5000)
    query = "SELECT kind FROM findings WHERE payment_id = :id"
    found = {row["kind"] for row in world.rows(query, id=parse_id("payment", payment["id"]))}
    assert "surplus_received" in found
    assert world.post(f"/v1/payments/{payment['id']}/refunds").status_code == 202
