"""A customer pays, or fails to: with a card, with a second step, or in a way that settles later."""

from __future__ import annotations

from ..ledger import Json
from ..world import Desk
from . import authorizations, cards, disputes, events, settlements
from .cards import Card
from .transaction_object import shown

# What the page offers beside cards, and what the customer is then waiting for.
LATER_CHANNELS = {
    "bank": "Pay from your bank account",
    "ussd": "Pay by USSD code",
    "qr": "Scan to pay",
    "mobile_money": "Pay with mobile money",
    "bank_transfer": "Pay by bank transfer",
    "eft": "Pay by EFT",
}


def pay(desk: Desk, transaction: Json, card: Card) -> None:
    """The customer submits a card; a refused one leaves the page open for another."""
    transaction |= {"attempts": transaction["attempts"] + 1, "card": card.number, "channel": "card"}
    if card.decline:
        fail(desk, transaction, card.decline)
    elif card.step:
        await_step(desk, transaction, card.step)
    else:
        transaction["authorization_code"] = authorizations.keep(desk, transaction["customer"]["customer_code"], card)
        succeed(desk, transaction, "Successful")


def is_paused(transaction: Json) -> bool:
    """The charge of a saved card that waits for its customer to come to the page."""
    return bool(transaction["saved"]) and transaction["status"] == "abandoned"


def await_step(desk: Desk, transaction: Json, step: str) -> None:
    transaction |= {"status": "ongoing", "gateway_response": f"Authentication required: {step}"}
    desk.save("transaction", transaction)


def finish_step(desk: Desk, transaction: Json, passed: bool) -> None:
    """The customer gave the PIN or password the bank asked for, or could not."""
    if not passed:
        fail(desk, transaction, "Authentication failed")
        return
    if not transaction["authorization_code"]:  # a saved card keeps the code it was charged under
        card = cards.typed(transaction["card"])
        transaction["authorization_code"] = authorizations.keep(desk, transaction["customer"]["customer_code"], card)
    succeed(desk, transaction, "Successful")


def pay_later(desk: Desk, transaction: Json, channel: str) -> None:
    """A way without a card: the money is seen after the settle time."""
    transaction |= {
        "attempts": transaction["attempts"] + 1,
        "channel": channel,
        "status": "pending",
        "gateway_response": "Pending",
    }
    desk.save("transaction", transaction)
    desk.later("finish_payment", str(transaction["id"]))


def finish_later(desk: Desk, transaction_id: str) -> None:
    transaction = desk.held("transaction", transaction_id)
    if transaction["status"] == "pending":
        succeed(desk, transaction, "Approved")


def fail(desk: Desk, transaction: Json, said: str) -> None:
    """No event: Paystack tells of successes only."""
    transaction |= {"status": "failed", "gateway_response": said, "errors": transaction["errors"] + 1}
    desk.save("transaction", transaction)


def take(desk: Desk, transaction: Json, said: str) -> None:
    """The money is the merchant's, and will be settled; without an event."""
    transaction |= {"status": "success", "paid": desk.now, "gateway_response": said}
    desk.save("transaction", transaction)
    settlements.expect(desk)
    card = cards.typed(transaction["card"]) if transaction["card"] else None
    if card and card.disputed:
        desk.later("open_dispute", str(transaction["id"]))


def succeed(desk: Desk, transaction: Json, said: str) -> None:
    take(desk, transaction, said)
    data = shown(desk, transaction)
    # In events an absent metadata is 0 and an absent plan {}, as in Paystack's samples.
    events.emit(desk, "charge.success", data | {"metadata": data["metadata"] or 0, "plan": {}})


def open_dispute(desk: Desk, transaction_id: str) -> None:
    transaction = desk.held("transaction", transaction_id)
    winner = cards.typed(transaction["card"]).disputed or "customer"
    disputes.open_dispute(desk, transaction, transaction["amount"], winner, pending=False)
