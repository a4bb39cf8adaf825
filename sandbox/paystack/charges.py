"""Charging a saved card, with nobody at the other end: paid, declined, or paused for the customer."""

from __future__ import annotations

from ..http import Call
from ..ledger import Json
from . import authorizations, cards, customers, params, paying, transactions
from .transaction_object import attempted


def charge_authorization(call: Call) -> Json:
    """HTTP 200 also for a decline: the result is `data.status`. A refused request uses no reference up.

    `queue` changes nothing here, as in Paystack's test mode.
    """
    desk, given = call.desk, call.params
    email = params.email(given.get("email"))
    amount, currency = transactions.asked_money(desk, given)
    customer = customers.find(desk, email)
    kept = authorizations.usable(desk, given.get("authorization_code"), customer)
    reference = transactions.free_reference(desk, given)
    transaction = transactions.new(desk, given, customer or {}, amount, currency, reference)
    card = cards.typed(kept["card"])
    transaction |= {"card": card.number, "authorization_code": kept["id"], "saved": True, "attempts": 1}
    desk.add("transaction", transaction, parent=reference)
    if card.saved == "challenge":
        # As a page nobody has been to: it reads `abandoned` until the customer comes.
        data = transactions.page_of(desk, transaction) | {"paused": True}
        said = "Please, redirect your customer to the authorization url provided"
        return {"status": True, "message": said, "data": data}
    if card.saved:
        paying.fail(desk, transaction, card.saved)
    else:
        paying.succeed(desk, transaction, "Approved")
    return {"status": True, "message": "Charge attempted", "data": attempted(desk, transaction)}
