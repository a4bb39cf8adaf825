"""An older copy of the database, for what is done otherwise: Paystack's refunds and holds, and saved methods."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from core.orchestration import installation, scheduled
from core.providers.paystack.client import PaystackClient
from tests.orchestration import by_hand
from tests.support.restoring import Restorable, succeeded
from tests.support.world import World

CARD, PAUSES = "4084084084084081", "4084080000001001"
DAY = 86400
PERSON = {"email": "ada@example.com", "name": "Ada"}


def paid_on_page(world: World, card: str = CARD, **changes: Any) -> dict[str, Any]:
    body = world.redirect_body(**{"currency": "NGN", "amount": 500_000, "provider": "paystack", **changes})
    payment = world.pay(**body)
    fields = {"action": "pay", "card": card}
    assert requests.post(payment["next_action"]["url"], data=fields, allow_redirects=False, timeout=10).ok
    world.settle()
    return world.payment(payment["id"])


def lose(place: Restorable, kept: str) -> None:
    """Everything since the backup; what the provider sent of it was answered, and is not sent again."""
    place.world.settle()
    installation.keep_anchor(place.world.worker)
    place.restored_and_resumed(kept)


def own(world: World, payment: dict[str, Any], *kinds: str) -> list[Any]:
    return [row for row in world.transactions(payment["id"]) if row["kind"] in kinds]


def refund(world: World, payment: dict[str, Any], amount: int) -> None:
    answer = world.post(f"/v1/payments/{payment['id']}/refunds", {"amount": amount})
    assert answer.status_code == 202, answer.text


def test_a_refund_at_paystack_is_found_by_the_note_that_names_it(place: Restorable) -> None:
    world = place.world
    payment = paid_on_page(world)
    refund(world, payment, 100_000)
    world.settle()
    refund(world, payment, 100_000)  # the same sum again: only its note tells it from the first
    by_hand.keep_webhooks_back(world, "paystack")  # they told the database that is lost
    kept = place.backup()
    world.settle()
    listed = world.ledger("paystack")["refunds"]
    lose(place, kept)
    place.settle_slowly()
    # It was found while it was under way; the schedule asks how it ended.
    world.advance(DAY)
    scheduled.synchronise_open(world.worker)
    place.settle_slowly()
    assert world.payment(payment["id"])["amount_refunded"] == 200_000
    assert len(world.ledger("paystack")["refunds"]) == len(listed) == 2
    sent = own(world, payment, "refund")
    assert [row["send_count"] for row in sent] == [1, 1]
    assert {row["provider_id"] for row in sent} == {str(one["id"]) for one in listed}


class OlderClient:
    """Notes of a version that named the transaction alone."""

    @staticmethod
    def post(send: Any) -> Any:
        def older(client: PaystackClient, path: str, body: dict[str, Any]) -> Any:
            note = body.get("merchant_note")
            return send(client, path, {**body, "merchant_note": note.rpartition(" ")[0]} if note else body)

        return older


@pytest.mark.parametrize("sent", [True, False])
def test_a_refund_at_paystack_that_cannot_be_found_goes_to_review_and_is_never_sent_again(
    place: Restorable, monkeypatch: pytest.MonkeyPatch, sent: bool
) -> None:
    world = place.world
    payment = paid_on_page(world)
    refund(world, payment, 100_000)
    by_hand.keep_webhooks_back(world, "paystack")
    kept = place.backup()
    if sent:
        with monkeypatch.context() as patch:
            patch.setattr(PaystackClient, "post", OlderClient.post(PaystackClient.post))
            world.settle()
    else:
        world.create()  # nobody carries it out; it goes with the database
        installation.keep_anchor(world.worker)
    made = len(world.ledger("paystack")["refunds"])
    installation.keep_anchor(world.worker)
    place.restored_and_resumed(kept)
    place.settle_slowly()
    world.advance(2 * DAY)
    place.settle_slowly()
    assert len(world.ledger("paystack")["refunds"]) == made == int(sent)
    [row] = own(world, payment, "refund")
    assert (row["send_count"], row["status"]) == (1, "sent")
    assert world.rows("SELECT error ->> 'code' AS code FROM jobs WHERE status = 'needs_review'") == [
        {"code": "refund_unconfirmed"}
    ]


@pytest.mark.parametrize(
    ("ask", "body", "ends"), [("capture", {"amount": 60_000}, "succeeded"), ("cancel", None, "canceled")]
)
def test_a_hold_at_paystack_that_was_ended_is_not_ended_again(
    place: Restorable, ask: str, body: dict[str, Any] | None, ends: str
) -> None:
    world = place.world
    payment = paid_on_page(world, currency="ZAR", amount=90_000, capture="manual")
    assert payment["status"] == "authorized"
    assert world.post(f"/v1/payments/{payment['id']}/{ask}", body).status_code == 202
    kept = place.backup()
    lose(place, kept)
    assert world.payment(payment["id"])["status"] == "authorized"
    place.settle_slowly()
    found = world.payment(payment["id"])
    assert (found["status"], found["amount_captured"]) == (ends, 60_000 if body else 0)
    assert [row["send_count"] for row in own(world, payment, "capture", "void")] == [1]
    taken = succeeded(world.charges("paystack", payment["id"]))
    assert sum(one["amount_captured"] for one in taken) == found["amount_captured"]


def method_of(world: World, provider: str, card: str = CARD) -> str:
    if provider == "paystack":
        first = paid_on_page(world, card, save_payment_method=True)
    else:
        first = world.pay(save_payment_method=True, customer=PERSON)
    return str(first["payment_method"]["id"])


def saved_body(provider: str, method: str) -> dict[str, Any]:
    currency = "NGN" if provider == "paystack" else "USD"
    return {"amount": 100_000, "currency": currency, "payment_method": {"type": "saved", "id": method}}


@pytest.mark.parametrize("provider", ["stripe", "paystack"])
@pytest.mark.parametrize("charged", [True, False])
def test_a_saved_card_is_charged_once(place: Restorable, provider: str, charged: bool) -> None:
    world = place.world
    payment = world.create(**saved_body(provider, method_of(world, provider)))
    kept = place.backup()
    if charged:
        world.settle()
        assert world.payment(payment["id"])["status"] == "succeeded"
    else:
        world.create()  # nobody carries it out; it goes with the database
    installation.keep_anchor(world.worker)
    place.restored_and_resumed(kept)
    place.settle_slowly()
    assert world.payment(payment["id"])["status"] == "succeeded"
    assert [one["amount"] for one in succeeded(world.charges(provider, payment["id"]))] == [100_000]
    assert [row["send_count"] for row in own(world, payment, "charge")] == [1 if charged else 2]


def test_a_paused_card_whose_page_is_lost_is_not_charged_again(place: Restorable) -> None:
    world = place.world
    payment = world.create(**saved_body("paystack", method_of(world, "paystack", PAUSES)))
    kept = place.backup()
    world.settle()
    page = world.payment(payment["id"])["next_action"]["url"]
    lose(place, kept)
    place.settle_slowly()
    still = world.payment(payment["id"])
    assert (still["status"], still["next_action"]) == ("requires_action", None)
    assert len(world.charges("paystack", payment["id"])) == 1
    # The customer had been given it.
    requests.post(page, data={"action": "authorize"}, allow_redirects=False, timeout=10)
    world.settle()
    assert world.payment(payment["id"])["status"] == "succeeded"


@pytest.mark.parametrize("provider", ["stripe", "paystack"])
def test_a_card_that_was_saved_since_the_backup_is_known_again(place: Restorable, provider: str) -> None:
    world = place.world
    if provider == "stripe":
        payment = world.create(save_payment_method=True, customer=PERSON)
        kept = place.backup()
        world.settle()
    else:
        body = world.redirect_body(currency="NGN", amount=500_000, provider="paystack", save_payment_method=True)
        payment = world.create(**body)
        world.settle()
        kept = place.backup()
        page = world.payment(payment["id"])["next_action"]["url"]
        assert requests.post(page, data={"action": "pay", "card": CARD}, allow_redirects=False, timeout=10).ok
    lose(place, kept)
    scheduled.synchronise_open(world.worker)
    place.settle_slowly()
    done = world.payment(payment["id"])
    assert done["status"] == "succeeded"
    again = world.pay(**saved_body(provider, done["payment_method"]["id"]))
    assert again["status"] == "succeeded"
    assert len(succeeded(world.charges(provider, payment["id"]))) == 1
