"""Authorizations: the saved cards a payment leaves behind, good for one customer until deactivated."""

from __future__ import annotations

import re

from .. import ids
from ..http import Call
from ..ledger import Json
from ..world import Desk
from . import cards, params
from .cards import Card
from .errors import invalid

# Three causes, one sentence: Paystack does not tell a stranger which of them it was.
NOT_USABLE = (
    "Email does not match Authorization code. Authorization may be inactive or belong to a different email. "
    "Please confirm."
)


def keep(desk: Desk, customer_code: str, card: Card) -> str:
    """Every payment with a card makes a new code; the signature tells that it is the same card."""
    code = "AUTH_" + ids.fresh_lower(10)
    desk.add(
        "authorization",
        {
            "id": code,
            "customer": customer_code,
            "card": card.number,
            "reusable": card.reusable,
            "active": True,
            "created": desk.now,
        },
        parent="of:" + customer_code,
    )
    return code


def shown(card: Card, code: str | None, currency: str, reusable: bool) -> Json:
    return {
        "authorization_code": code,
        "bin": card.number[:6],
        "last4": card.number[-4:],
        "exp_month": "12",
        "exp_year": "2034",
        "channel": "card",
        "card_type": f"{card.brand} ",  # the trailing blank is Paystack's own
        "bank": card.bank,
        "country_code": "ZA" if currency == "ZAR" else "NG",
        "brand": card.brand,
        "reusable": reusable,
        "signature": cards.signature(card.number),
        "account_name": None,
        "receiver_bank_account_number": None,
        "receiver_bank": None,
    }


def of_channel(code: str | None, channel: str) -> Json:
    """What stands in the place of a card when the customer paid in another way: never good for a second payment."""
    empty = dict.fromkeys(("bin", "last4", "exp_month", "exp_year", "card_type", "bank", "brand", "signature"))
    return {**empty, "authorization_code": code, "channel": channel, "country_code": "NG", "reusable": False,
            "account_name": None}  # fmt: skip


def of_customer(desk: Desk, customer_code: str) -> list[Json]:
    """The active ones, as a customer's page lists them."""
    kept = desk.children("authorization", "of:" + customer_code)
    return [shown(cards.typed(one["card"]), one["id"], "", one["reusable"]) for one in kept if one["active"]]


def usable(desk: Desk, code: object, customer: Json | None) -> Json:
    """The authorization a merchant wants to charge for this customer; PaystackError when it must not."""
    if code in (None, ""):
        raise params.missing("authorization_code")
    if not isinstance(code, str) or not re.fullmatch(r"AUTH_[a-z0-9]+", code, re.IGNORECASE):
        raise invalid(
            f'"authorization_code" with value "{code}" fails to match the required pattern: /^AUTH_[a-z0-9]+$/i'
        )
    kept = desk.get("authorization", code)
    if kept is None:
        raise invalid("Authorization code is invalid", "Ensure that you pass a code that exists on your integration")
    if customer is None or kept["customer"] != customer["id"] or not kept["active"] or not kept["reusable"]:
        raise invalid(NOT_USABLE, "Pass the email of the payment that made the authorization")
    return kept


def deactivate(call: Call) -> Json:
    """Earlier payments go on saying `reusable: true`: that is what was true when they were made."""
    code = call.params.get("authorization_code")
    if code in (None, ""):
        raise params.missing("authorization_code")
    kept = call.desk.get("authorization", str(code))
    if kept is None:
        raise invalid("Authorization code is invalid", "Ensure that you pass a code that exists on your integration")
    kept["active"] = False
    call.desk.save("authorization", kept)
    return {"status": True, "message": "Authorization has been deactivated"}
