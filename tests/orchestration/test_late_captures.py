"""Captures we called declined and that took the money all the same: told by an event, believed from the provider."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from core.domain.outcomes import Decline, DeclineCategory, Declined, Facts, Outcome, Succeeded
from core.providers.paystack import PaystackProvider
from core.providers.stripe import StripeProvider
from tests.orchestration import by_hand
from tests.support.world import World

CARD = "4084084084084081"
HELD = {
    "stripe": {"capture": "manual", "amount": 90000},
    "paystack": {
        "amount": 90000,
        "currency": "ZAR",
        "capture": "manual",
        "payment_method": {"type": "redirect"},
        "customer": {"email": "thandi@example.com"},
        "provider": "paystack",
    },
}
_NO = Decline("card_declined", DeclineCategory.HARD, "The bank refused.", "declined")


def held(world: World, provider: str) -> dict[str, Any]:
    payment = world.pay(**HELD[provider])
    if provider == "paystack":
        page = payment["next_action"]["url"]
        assert requests.post(page, data={"action": "pay", "card": CARD}, allow_redirects=False, timeout=10).ok
        world.settle()
    found = world.payment(payment["id"])
    assert (found["status"], found["amount_authorized"]) == ("authorized", 90000), found
    return found


@pytest.fixture
def denied(monkeypatch: pytest.MonkeyPatch) -> None:
    """Captures are carried out, and answered as declined."""
    for provider in (StripeProvider, PaystackProvider):
        real = provider.capture

        def capture(self: Any, request: Any, real: Any = real) -> Outcome:
            done = real(self, request)
            assert isinstance(done, Succeeded), done
            return Declined(Facts(provider_id=done.facts.provider_id), _NO)

        monkeypatch.setattr(provider, "capture", capture)


@pytest.mark.usefixtures("denied")
@pytest.mark.parametrize("provider", ["stripe", "paystack"])
def test_the_money_is_booked_told_and_can_be_given_back(world: World, provider: str) -> None:
    payment = held(world, provider)
    with world.without_webhooks(provider):
        assert world.post(f"/v1/payments/{payment['id']}/capture", {"amount": 60000}).status_code == 202
        world.work()
        failed = world.payment(payment["id"])
        assert (failed["status"], failed["amount_received"]) == ("failed", 0)
    world.settle()

    found = world.payment(payment["id"])
    assert (found["status"], found["amount_received"], found["amount_captured"]) == ("failed", 60000, 0)
    (taken,) = [row for row in world.transactions(payment["id"]) if row["kind"] == "capture"]
    assert (taken["status"], taken["surplus"], taken["recheck_at"]) == ("succeeded", True, None)
    assert by_hand.findings(world, payment) == ["surplus_received"]
    assert by_hand.told(world, payment).count("payment.surplus_received") == 1

    world.post(f"/v1/payments/{payment['id']}/sync")
    world.settle()
    assert world.payment(payment["id"])["amount_received"] == 60000, "told again, counted once"

    back = world.post(f"/v1/payments/{payment['id']}/refunds")
    assert (back.status_code, back.json()["refund"]["amount"]) == (202, 60000), back.text
    world.settle()
    world.advance(3600)
    world.settle()
    assert world.payment(payment["id"])["amount_refunded"] == 60000
    (charged,) = [one for one in world.charges(provider, payment["id"]) if one["amount_captured"]]
    assert (charged["amount_captured"], charged["amount_refunded"]) == (60000, 60000)
