"""Paystack's test cards (paystack.com/docs/payments/test-payments) and the sandbox's own, as one table."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Card:
    """One card and its fate, everywhere it can be used.

    `step`: what the customer must do on a second page. `refund`: how a refund of it ends. `saved`: what a later charge
    of the saved card meets: None pays, "challenge" sends the customer to a page, any other text declines.
    `disputed`: who wins the dispute that follows a payment, the merchant or the customer. `capture`, `release`: what
    becomes of a hold: success, failed or (capture only) late.
    """

    number: str
    what: str
    brand: str = "visa"
    bank: str = "TEST BANK"
    decline: str | None = None
    step: str | None = None
    refund: str = "processed"
    saved: str | None = None
    reusable: bool = True
    disputed: str | None = None
    capture: str = "success"
    release: str = "success"


CARDS = (
    Card("4084084084084081", "pays"),
    Card("507850785078507812", "asks for a PIN, then pays", "verve", step="pin"),
    Card("5060666666666666666", "asks for PIN and one-time password, then pays", "verve", step="otp"),
    Card("507850785078507804", "asks for phone and one-time password, then pays", "verve", step="phone"),
    Card("5192602720584796", "asks the bank, then pays", "mastercard", step="3DS"),
    Card("4084080000005408", "is declined", decline="Declined"),
    Card("507850785078507853", "fails: no token", "verve", decline="Token Not Generated. Customer Not Registered"),
    Card("4084080000670037", "has insufficient funds", decline="Insufficient Funds"),
    Card("4084080000671803", "pays, a refund fails", refund="failed"),
    Card("4084080000671902", "pays, a refund needs attention", refund="needs-attention"),
    # From here on the sandbox's own: Paystack has no test card for these.
    Card("4084080000001001", "pays, charged again when saved it asks the customer", saved="challenge"),
    Card("4084080000001002", "pays, charged again when saved it has insufficient funds", saved="Insufficient Funds"),
    Card("4084080000001003", "pays, cannot be saved", reusable=False),
    Card("4084080000001004", "pays, is disputed, evidence wins", disputed="merchant"),
    Card("4084080000001005", "pays, is disputed, evidence loses", disputed="customer"),
    Card("4084080000001006", "can be held, the capture fails", capture="failed"),
    Card("4084080000001007", "can be held, the capture is known later", capture="late"),
    Card("4084080000001008", "can be held, the release fails", release="failed"),
    Card("4084080000001009", "has expired", decline="Expired card"),
    Card("4084080000001010", "was stolen", decline="Stolen Card, Pick up"),
)  # fmt: skip
BY_NUMBER = {card.number: card for card in CARDS}


def typed(number: str) -> Card:
    """The card somebody typed into the page; any other number is refused by its bank."""
    digits = re.sub(r"[\s-]", "", number)
    return BY_NUMBER.get(digits) or Card(digits[-16:].rjust(10, "0"), "unknown", decline="Invalid card number")


def signature(number: str) -> str:
    """The same for one card, whoever uses it: seen at Paystack with two customers of one integration."""
    return "SIG_" + hashlib.sha256(number.encode()).hexdigest()[:20]
