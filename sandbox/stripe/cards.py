"""Stripe's test cards and what happens to each (docs.stripe.com/testing), as one table."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from .. import ids
from ..ledger import Json
from ..world import Desk
from .errors import StripeError


@dataclass(frozen=True, slots=True)
class Decline:
    code: str
    decline_code: str | None
    message: str
    advice: str | None = None
    network_code: str | None = None
    blocked: bool = False


@dataclass(frozen=True, slots=True)
class Card:
    """`authentication`: "always" asks for it every time. `refund`: "pending" or "fails". `dispute`: its reason."""

    token: str
    number: str
    brand: str = "visa"
    decline: Decline | None = None
    authentication: str | None = None
    refund: str | None = None
    dispute: str | None = None
    inquiry: bool = False
    bypasses_pending: bool = False
    cvc_check: str = "pass"
    postal_check: str | None = None


_DECLINED = "Your card was declined."
GENERIC = Decline("card_declined", "generic_decline", _DECLINED, "try_again_later", "01")
FUNDS = Decline("card_declined", "insufficient_funds", "Your card has insufficient funds.", "try_again_later", "51")
LOST = Decline("card_declined", "lost_card", _DECLINED, "do_not_try_again", "41")
STOLEN = Decline("card_declined", "stolen_card", _DECLINED, "do_not_try_again", "43")
EXPIRED = Decline("expired_card", None, "Your card has expired.", "do_not_try_again", "54")
CVC = Decline("incorrect_cvc", None, "Your card's security code is incorrect.", "confirm_card_data", "82")
PROCESSING = Decline(
    "processing_error",
    None,
    "An error occurred while processing your card. Try again in a little bit.",
    "try_again_later",
)
VELOCITY = Decline(
    "card_declined",
    "card_velocity_exceeded",
    "Your card was declined for making repeated attempts too frequently or exceeding its amount limit.",
    "try_again_later",
    "65",
)
RADAR = Decline("card_declined", "fraudulent", _DECLINED, "do_not_try_again", None, blocked=True)
NUMBER = Decline("incorrect_number", None, "Your card number is incorrect.", "confirm_card_data", "14")
LIVE = Decline(
    "card_declined",
    "test_mode_live_card",
    "Your card was declined. Your request was in test mode, but used a non test (live) card. For a list of valid"
    " test cards, visit: https://stripe.com/docs/testing.",
)

CARDS = (
    Card("pm_card_visa", "4242424242424242"),
    Card("pm_card_visa_debit", "4000056655665556"),
    Card("pm_card_mastercard", "5555555555554444", "mastercard"),
    Card("pm_card_amex", "378282246310005", "amex"),
    Card("pm_card_bypassPending", "4000000000000077", bypasses_pending=True),
    Card("pm_card_visa_chargeDeclined", "4000000000000002", decline=GENERIC),
    Card("pm_card_chargeDeclined", "4000000000000002", decline=GENERIC),
    Card("pm_card_visa_chargeDeclinedInsufficientFunds", "4000000000009995", decline=FUNDS),
    Card("pm_card_chargeDeclinedInsufficientFunds", "4000000000009995", decline=FUNDS),
    Card("pm_card_visa_chargeDeclinedLostCard", "4000000000009987", decline=LOST),
    Card("pm_card_visa_chargeDeclinedStolenCard", "4000000000009979", decline=STOLEN),
    Card("pm_card_chargeDeclinedExpiredCard", "4000000000000069", decline=EXPIRED),
    Card("pm_card_chargeDeclinedIncorrectCvc", "4000000000000127", decline=CVC, cvc_check="fail"),
    Card("pm_card_chargeDeclinedProcessingError", "4000000000000119", decline=PROCESSING),
    Card("pm_card_visa_chargeDeclinedVelocityLimitExceeded", "4000000000006975", decline=VELOCITY),
    Card("pm_card_chargeCustomerFail", "4000000000000341", decline=GENERIC),
    Card("pm_card_radarBlock", "4100000000000019", decline=RADAR),
    Card("pm_card_authenticationRequired", "4000002760003184", authentication="always"),
    Card("pm_card_authenticationRequiredOnSetup", "4000002500003155", authentication="always"),
    Card("pm_card_authenticationRequiredSetupForOffSession", "4000002500003155", authentication="on_session"),
    Card("pm_card_threeDSecure2Required", "4000000000003220", authentication="always"),
    Card("pm_card_createDispute", "4000000000000259", dispute="fraudulent"),
    Card("pm_card_createDisputeProductNotReceived", "4000000000002685", dispute="product_not_received"),
    Card("pm_card_createDisputeInquiry", "4000000000001976", dispute="general", inquiry=True),
    Card("pm_card_pendingRefund", "4000000000007726", refund="pending"),
    Card("pm_card_refundFail", "4000000000005126", refund="fails"),
    Card("pm_card_cvcCheckFail", "4000000000000101", cvc_check="fail"),
    Card("pm_card_avsFail", "4000000000000010", postal_check="fail"),
)
BY_TOKEN = {card.token: card for card in CARDS}
# Two tokens may share a number; the first one says how the number behaves.
BY_NUMBER = {card.number: card for card in reversed(CARDS)}


def typed(number: str) -> Card:
    """The card somebody typed into a page: a test number, or one that will be declined."""
    digits = re.sub(r"[\s-]", "", number)
    if digits in BY_TOKEN:
        return BY_TOKEN[digits]
    if digits in BY_NUMBER:
        return BY_NUMBER[digits]
    real = digits.isdigit() and 13 <= len(digits) <= 19 and _luhn(digits)
    return Card("typed", digits[-4:].rjust(4, "0"), decline=LIVE if real else NUMBER)


def _luhn(digits: str) -> bool:
    doubled = [sum(divmod(int(digit) * 2, 10)) for digit in digits[-2::-2]]
    return (sum(map(int, digits[-1::-2])) + sum(doubled)) % 10 == 0


def of(payment_method: Json) -> Card:
    """The behaviour behind a stored payment method."""
    kept = BY_TOKEN.get(payment_method["_card"])
    return kept or Card(
        "typed", payment_method["card"]["last4"], decline=NUMBER if payment_method.get("_bad") else LIVE
    )


def new_payment_method(desk: Desk, card: Card) -> Json:
    """A fresh `pm_…` for one use of a card."""
    body: Json = {
        "id": ids.fresh("pm_1"),
        "object": "payment_method",
        "allow_redisplay": "unspecified",
        "billing_details": _billing(),
        "card": {
            "brand": card.brand,
            "checks": _checks(card),
            "country": "US",
            "display_brand": card.brand,
            "exp_month": 12,
            "exp_year": 2034,
            "fingerprint": _fingerprint(card.number),
            "funding": "debit" if card.token.endswith("debit") else "credit",
            "generated_from": None,
            "last4": card.number[-4:],
            "networks": {"available": [card.brand], "preferred": None},
            "regulated_status": "unregulated",
            "three_d_secure_usage": {"supported": True},
            "wallet": None,
        },
        "created": desk.now,
        "customer": None,
        "customer_account": None,
        "livemode": False,
        "metadata": {},
        "type": "card",
        "_card": card.token,
        "_bad": card.decline is NUMBER,
        "_used": False,
    }
    return desk.add("payment_method", body)


def find_payment_method(desk: Desk, id: str) -> Json:
    """A test token becomes a fresh payment method; any other id must be one of this account's."""
    card = BY_TOKEN.get(id)
    if card:
        return new_payment_method(desk, card)
    found = desk.get("payment_method", id)
    if found is None:
        raise StripeError(400, f"No such PaymentMethod: '{id}'", code="resource_missing", param="payment_method")
    return found


def _billing() -> Json:
    address = dict.fromkeys(("city", "country", "line1", "line2", "postal_code", "state"))
    return {"address": address, "email": None, "name": None, "phone": None, "tax_id": None}


def _checks(card: Card) -> Json:
    return {
        "address_line1_check": None,
        "address_postal_code_check": card.postal_check,
        "cvc_check": card.cvc_check,
    }


def _fingerprint(number: str) -> str:
    return hashlib.sha256(number.encode()).hexdigest()[:16]
