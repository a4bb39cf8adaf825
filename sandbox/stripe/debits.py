"""Bank debits: money that is on its way for a while, and then comes or does not."""

from __future__ import annotations

from contextlib import suppress

from ..world import Desk
from . import cards, charges, checkout_sessions, confirmation, events
from .errors import StripeError


def settle(desk: Desk, intent_id: str) -> None:
    """The customer's bank has answered; a payment canceled in the meantime is left alone."""
    intent = desk.held("payment_intent", intent_id)
    if intent["status"] != "processing":
        return
    charge = desk.held("charge", intent["latest_charge"])
    decline = cards.behind(charge).decline
    if decline is None:
        charges.arrive(desk, charge)
        intent |= {"status": "succeeded", "amount_received": charge["amount_captured"]}
        desk.save("payment_intent", intent)
        events.emit(desk, "payment_intent.succeeded", intent)
    else:
        charges.fail(desk, charge, decline)
        events.emit(desk, "charge.failed", charge)
        method = desk.held("payment_method", intent["payment_method"])
        # There is no call to answer: the intent and its event carry the error.
        with suppress(StripeError):
            confirmation.fail(desk, intent, method, confirmation.declined(decline, charge))
    if intent.get("_session"):
        checkout_sessions.settled(desk, intent)
