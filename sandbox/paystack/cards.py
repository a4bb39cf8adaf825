"""Paystack's test cards and what happens to each (paystack.com/docs/payments/test-payments), as one table."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Card:
    """`step`: what the customer must do on a second page. `refund`: how a refund of it ends."""

    number: str
    what: str
    brand: str = "visa"
    bank: str = "TEST BANK"
    decline: str | None = None
    step: str | None = None
    refund: str = "processed"


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
)  # fmt: skip
BY_NUMBER = {card.number: card for card in CARDS}


def typed(number: str) -> Card:
    """The card somebody typed into the page; any other number is refused by its bank."""
    digits = re.sub(r"[\s-]", "", number)
    return BY_NUMBER.get(digits) or Card(digits[-16:].rjust(10, "0"), "unknown", decline="Invalid card number")


def signature(number: str, email: str) -> str:
    """The same for one card of one customer, so that cards can be told apart."""
    return "SIG_" + hashlib.sha256(f"{number} {email}".encode()).hexdigest()[:20]
