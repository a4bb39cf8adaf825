"""A payment method as it is first made out of a test token or a typed number."""

from __future__ import annotations

import hashlib

from .. import ids
from ..ledger import Json
from ..world import Desk
from . import cards
from .cards import Card


def new(desk: Desk, card: Card) -> Json:
    """A fresh `pm_…`, attached to nobody yet."""
    body: Json = {
        "id": ids.fresh("pm_1"),
        "object": "payment_method",
        "allow_redisplay": "unspecified",
        "billing_details": billing(),
        card.type: _card(desk, card) if card.type == "card" else _bank_account(desk, card),
        "created": desk.now,
        "customer": None,
        "customer_account": None,
        "livemode": False,
        "metadata": {},
        "type": card.type,
        "_card": card.token,
        "_bad": card.decline is cards.NUMBER,
        "_used": False,
    }
    return desk.add("payment_method", body)


def billing() -> Json:
    address = dict.fromkeys(("city", "country", "line1", "line2", "postal_code", "state"))
    return {"address": address, "email": None, "name": None, "phone": None, "tax_id": None}


def _card(desk: Desk, card: Card) -> Json:
    return {
        "brand": card.brand,
        "checks": {
            "address_line1_check": None,
            "address_postal_code_check": card.postal_check,
            "cvc_check": card.cvc_check,
        },
        "country": "US",
        "display_brand": card.brand,
        "exp_month": 12,
        "exp_year": 2034,
        "fingerprint": _fingerprint(desk, card),
        "funding": "debit" if card.token.endswith("debit") else "credit",
        "generated_from": None,
        "last4": card.number[-4:],
        "networks": {"available": [card.brand], "preferred": None},
        "regulated_status": "unregulated",
        "three_d_secure_usage": {"supported": True},
        "wallet": None,
    }


def _bank_account(desk: Desk, card: Card) -> Json:
    return {
        "account_holder_type": "individual",
        "account_type": "checking",
        "bank_name": "STRIPE TEST BANK",
        "financial_connections_account": None,
        "fingerprint": _fingerprint(desk, card),
        "last4": card.number[-4:],
        "networks": {"preferred": "ach", "supported": ["ach"]},
        "routing_number": cards.ROUTING_NUMBER,
        "status_details": {},
    }


def _fingerprint(desk: Desk, card: Card) -> str:
    """The same for the same number within an account, and another one in every account."""
    return hashlib.sha256(f"{desk.account.id} {card.number}".encode()).hexdigest()[:16]
